import { Worker } from 'node:worker_threads';
import { FailureError } from '../failures.ts';
import { LEADING_THREAD, type LeaderAnswer, type LeaderAnswers, type LeaderCall } from './leader-messages.ts';

type Pending = {
  call: LeaderCall;
  time: number | null;
  resolve(answer: LeaderAnswers[keyof LeaderAnswers]): void;
  reject(error: Error): void;
};

/** The leading thread as the main thread sees it: calls one after another, each with its time. */
export class Leader {
  readonly #worker: Worker;
  readonly #hung: () => void;
  readonly #queue: Pending[] = [];
  #timer: NodeJS.Timeout | null = null;
  #patience = 60_000;

  /** @param hung the module did not answer in time, or its thread has failed */
  constructor(hung: () => void) {
    this.#hung = hung;
    this.#worker = new Worker(new URL(import.meta.url.replace(/leader(\.[jt]s)$/, 'leading-thread$1')), {
      workerData: LEADING_THREAD,
    });
    this.#worker.on('message', (answer: LeaderAnswer) => this.#receive(answer));
    this.#worker.on('error', hung);
  }

  /** @param milliseconds that a call may take from now on */
  set patience(milliseconds: number) {
    this.#patience = milliseconds;
  }

  get isBusy(): boolean {
    return this.#queue.length > 0;
  }

  /**
   * @param time milliseconds; null: it waits for a person, who has as long as the reader gives
   * @throws FailureError
   */
  call<C extends LeaderCall>(
    call: C,
    time: number | null = this.#patience,
  ): Promise<LeaderAnswers[C['call']]> {
    return new Promise((resolve, reject) => {
      this.#queue.push({
        call,
        time,
        resolve: (answer) => resolve(answer as LeaderAnswers[C['call']]),
        reject,
      });
      if (this.#queue.length === 1) this.#next();
    });
  }

  #next(): void {
    const [pending] = this.#queue;
    if (pending === undefined) return;
    if (pending.time !== null) this.#timer = setTimeout(this.#hung, pending.time);
    this.#worker.postMessage(pending.call);
  }

  #receive(answer: LeaderAnswer): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const pending = this.#queue.shift();
    if (answer.kind === 'answer') pending?.resolve(answer.answer);
    else pending?.reject(new FailureError(answer.failure));
    this.#next();
  }
}
