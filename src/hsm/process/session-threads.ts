import { Worker } from 'node:worker_threads';
import { unreachable } from '../../errors.ts';
import type { Failure } from '../messages.ts';
import { pipeOf } from '../wire/pipes.ts';
import {
  type FromSessionThread,
  SESSION_THREAD,
  type SessionThreadData,
  type Work,
} from './session-messages.ts';

export type SessionThreadsEvents = {
  /** So many sessions serve their pipes. */
  serving(count: number): void;
  /** Not even one session can be opened, or one has been lost: the process is of no use any more. */
  over(failure: Failure): void;
  /** A thread has failed: the module beneath it is in an unknown state. */
  defect(): void;
};

/**
 * The session threads of a key process. The first one loads its code while the keys are still being opened; the others are
 * started when the gateway says that requests wait.
 */
export class SessionThreads {
  readonly #kind: SessionThreadData['kind'];
  readonly #events: SessionThreadsEvents;
  readonly #workers: Worker[] = [];
  #work: Work | null = null;
  readonly #ready = new Set<number>();
  #serving = 0;
  #full = false;

  constructor(kind: SessionThreadData['kind'], events: SessionThreadsEvents) {
    this.#kind = kind;
    this.#events = events;
    this.#start();
  }

  /**
   * Lets the first thread begin.
   *
   * @param first for the first thread only, as with a session that it takes over
   * @param others for those that may follow
   */
  begin(first: Work, others: Work): void {
    this.#work = others;
    this.#workers[0]?.postMessage(first);
  }

  /** From now on these are the keys: for every request that the gateway sends after it was told so. */
  renew(work: Work): void {
    this.#work = work;
    for (const worker of this.#workers) worker.postMessage(work);
  }

  /** @param sessions how many there are to be, if the token allows it */
  grow(sessions: number): void {
    if (this.#work === null || this.#full) return;
    while (this.#workers.length < sessions) this.#start().postMessage(this.#work);
  }

  #start(): Worker {
    const workerData: SessionThreadData = {
      thread: SESSION_THREAD,
      kind: this.#kind,
      pipe: pipeOf(this.#workers.length),
    };
    const worker = new Worker(
      new URL(import.meta.url.replace(/session-threads(\.[jt]s)$/, 'session-thread$1')),
      { workerData },
    );
    const number = this.#workers.push(worker) - 1;
    worker.on('message', (message: FromSessionThread) => this.#receive(number, message));
    worker.on('error', () => this.#events.defect());
    return worker;
  }

  #receive(number: number, message: FromSessionThread): void {
    switch (message.kind) {
      case 'ready':
        this.#ready.add(number);
        this.#tell();
        break;
      case 'unfit':
        // One that only wanted to join is not missed: some tokens allow few sessions.
        if (number === 0) this.#events.over(message.failure);
        this.#full = true;
        break;
      case 'over':
        this.#events.over(message.failure);
        break;
      default:
        unreachable(message);
    }
  }

  /** Counted from the first: the gateway uses so many pipes. */
  #tell(): void {
    let count = 0;
    while (this.#ready.has(count)) count++;
    if (count === this.#serving) return;
    this.#serving = count;
    this.#events.serving(count);
  }
}
