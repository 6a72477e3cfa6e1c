import { Worker } from 'node:worker_threads';
import { unreachable } from '../../errors.ts';
import { unavailable } from '../failures.ts';
import {
  type FromKeyProcess,
  KEY_PROCESS,
  type Open,
  type Operation,
  parseToKeyProcess,
} from '../token-messages.ts';
import { type FromThread, KEY_THREAD, type Shared, type ToThread } from './thread-messages.ts';

/**
 * The key process: started by key-client.ts, one for each token, holding one PKCS#11 module and the PIN.
 *
 * Its main thread never calls the module, so it always notices that the gateway is gone and ends, whatever the
 * module is doing. Its threads have a session each. Anything unexpected ends the process: the gateway starts a
 * new one, and only the requests that were here are lost.
 */

/** A module that does not log out within this time is left to the operating system. */
const FINALIZE_MS = 3_000;

type Thread = { worker: Worker; busy: number | null };

class KeyProcess {
  readonly #send: (message: FromKeyProcess) => void;
  readonly #threads: Thread[] = [];
  readonly #waiting: { id: number; operation: Operation }[] = [];
  #wanted = 1;
  #opened = false;

  constructor(send: (message: FromKeyProcess) => void) {
    this.#send = send;
  }

  receive(value: unknown): void {
    const message = parseToKeyProcess(value);
    // Only the gateway holds the other end; if it sends nonsense, nothing here can be relied upon.
    if (message === null) {
      end(1);
      return;
    }
    switch (message.kind) {
      case 'open':
        this.#open(message);
        return;
      case 'perform':
        this.#perform(message.id, message.operation);
        return;
      case 'close':
        this.close();
        return;
      default:
        unreachable(message);
    }
  }

  #open(open: Open): void {
    if (this.#opened) {
      end(1);
      return;
    }
    this.#opened = true;
    this.#wanted = open.threads;
    this.#start({ kind: 'lead', open });
  }

  #perform(id: number, operation: Operation): void {
    if (this.#threads.length === 0) {
      this.#send({
        kind: 'failed',
        id,
        failure: unavailable('The key is not available.', 'not open', false),
      });
      return;
    }
    this.#waiting.push({ id, operation });
    this.#dispatch();
  }

  #dispatch(): void {
    for (const thread of this.#threads) {
      if (this.#waiting.length === 0) return;
      if (thread.busy !== null) continue;
      const next = this.#waiting.shift();
      if (next === undefined) return;
      thread.busy = next.id;
      post(thread.worker, { kind: 'perform', ...next });
    }
  }

  #start(first: ToThread): void {
    const worker = new Worker(new URL(import.meta.url.replace(/token-process(\.[jt]s)$/, 'token-thread$1')), {
      workerData: KEY_THREAD,
    });
    const thread: Thread = { worker, busy: null };
    worker.on('message', (message: FromThread) => this.#fromThread(thread, message));
    // A thread that fails has a module in an unknown state beneath it.
    worker.on('error', () => end(1));
    post(worker, first);
  }

  #fromThread(thread: Thread, message: FromThread): void {
    switch (message.kind) {
      case 'login-attempted':
        this.#send(message);
        return;
      case 'open-failed':
        // One that only wanted to join is not missed: some tokens allow few sessions.
        if (this.#threads.length === 0) this.#send(message);
        return;
      case 'led':
        this.#threads.push(thread);
        this.#send({ kind: 'opened', token: message.token });
        if (message.concurrent) this.#startFollowers(message.shared);
        return;
      case 'joined':
        this.#threads.push(thread);
        this.#dispatch();
        return;
      case 'done':
      case 'failed':
        thread.busy = null;
        this.#send(message);
        this.#dispatch();
        return;
      case 'finalized':
        end(0);
        return;
      default:
        unreachable(message);
    }
  }

  #startFollowers(shared: Shared): void {
    for (let i = 1; i < this.#wanted; i++) this.#start({ kind: 'join', shared });
  }

  /** Logs out if the module still answers, and ends in any case. */
  close(): void {
    const [leader] = this.#threads;
    const busy = this.#threads.some((thread) => thread.busy !== null);
    if (leader === undefined || busy) {
      end(0);
      return;
    }
    setTimeout(() => end(0), FINALIZE_MS);
    this.#threads.length = 0;
    post(leader.worker, { kind: 'finalize' });
  }
}

function post(worker: Worker, message: ToThread): void {
  worker.postMessage(message);
}

/** Not process.exit: that waits for threads, and one may be inside a module that never returns. */
function end(code: number): void {
  process.exitCode = code;
  process.kill(process.pid, 'SIGKILL');
}

if (process.argv[2] === KEY_PROCESS && process.send !== undefined) {
  const keyProcess = new KeyProcess((message) => {
    // The channel may be closing; then `disconnect` follows and ends the process.
    if (process.connected) process.send?.(message, undefined, {}, () => undefined);
  });
  process.on('message', (message: unknown) => keyProcess.receive(message));
  process.on('disconnect', () => keyProcess.close());
  // Ctrl-C in a terminal reaches the whole group; the gateway decides when its keys go.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => undefined);
}
