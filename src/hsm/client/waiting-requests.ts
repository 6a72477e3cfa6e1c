import type { SealgateError } from '../../errors.ts';
import { limits } from '../../limits.ts';
import type { Operation } from '../operation.ts';

/** One use of a key, on its way. It is settled once; whatever comes after that changes nothing. */
export type Request = {
  readonly operation: Operation;
  resolve(octets: Buffer): void;
  reject(error: SealgateError): void;
};

type Waiting = { request: Request; timer: NodeJS.Timeout };

/**
 * Requests that no session has taken yet, each with the time it may wait. In their order for each key and for signing and opening
 * apart, and those by turns: whoever opens a thousand mails keeps nobody else from reading, and nobody from sending.
 */
export class WaitingRequests {
  readonly #expired: () => SealgateError;
  /** In the order of their turns; none is empty. */
  #queues = new Map<string, Waiting[]>();
  #count = 0;

  /** @param expired why a request whose time is over fails */
  constructor(expired: () => SealgateError) {
    this.#expired = expired;
  }

  get count(): number {
    return this.#count;
  }

  /** Whether one more would wait in vain: for its own queue, which takes half of all places at most, or for all. */
  isFull(operation: Operation): boolean {
    const own = this.#queues.get(queueOf(operation))?.length ?? 0;
    return this.#count >= limits.keys.waiting || own >= limits.keys.waiting / 2;
  }

  /** @param time milliseconds */
  add(operation: Operation, time: number): Promise<Buffer> {
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    this.#push({ operation, resolve, reject }, time);
    return promise;
  }

  /** The next in turn; its time does not run any more. */
  next(): Request | null {
    for (const [name, queue] of this.#queues) {
      const waiting = queue.shift();
      // Behind all others for its next turn.
      this.#queues.delete(name);
      if (queue.length > 0) this.#queues.set(name, queue);
      if (waiting === undefined) continue;
      this.#count--;
      clearTimeout(waiting.timer);
      return waiting.request;
    }
    return null;
  }

  /** From now on: what they wait for has changed. @param time milliseconds */
  renew(time: number): void {
    const requests = this.#take();
    for (const request of requests) this.#push(request, time);
  }

  rejectAll(error: SealgateError): void {
    for (const request of this.#take()) request.reject(error);
  }

  #push(request: Request, time: number): void {
    const waiting: Waiting = { request, timer: setTimeout(() => this.#expire(waiting), time) };
    const name = queueOf(request.operation);
    const queue = this.#queues.get(name);
    if (queue === undefined) this.#queues.set(name, [waiting]);
    else queue.push(waiting);
    this.#count++;
  }

  #take(): Request[] {
    const waiting = [...this.#queues.values()].flat();
    this.#queues = new Map();
    this.#count = 0;
    for (const { timer } of waiting) clearTimeout(timer);
    return waiting.map(({ request }) => request);
  }

  #expire(waiting: Waiting): void {
    const name = queueOf(waiting.request.operation);
    const queue = this.#queues.get(name);
    const at = queue?.indexOf(waiting) ?? -1;
    if (queue === undefined || at < 0) return;
    queue.splice(at, 1);
    this.#count--;
    if (queue.length === 0) this.#queues.delete(name);
    waiting.request.reject(this.#expired());
  }
}

function queueOf({ kind, key }: Operation): string {
  return `${kind === 'sign' ? 'sign' : 'open'} ${key}`;
}
