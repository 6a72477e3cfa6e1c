import type { SealgateError } from '../../errors.ts';
import type { Operation } from '../operation.ts';

/** One use of a key, on its way. It is settled once; whatever comes after that changes nothing. */
export type Request = {
  readonly operation: Operation;
  resolve(octets: Buffer): void;
  reject(error: SealgateError): void;
};

type Waiting = { request: Request; timer: NodeJS.Timeout };

/** Requests that no session has taken yet, in their order, each with the time it may wait. */
export class WaitingRequests {
  readonly #expired: () => SealgateError;
  #waiting: Waiting[] = [];

  /** @param expired why a request whose time is over fails */
  constructor(expired: () => SealgateError) {
    this.#expired = expired;
  }

  get count(): number {
    return this.#waiting.length;
  }

  /** @param time milliseconds */
  add(operation: Operation, time: number): Promise<Buffer> {
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    this.#push({ operation, resolve, reject }, time);
    return promise;
  }

  /** The next in turn; its time does not run any more. */
  next(): Request | null {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) return null;
    clearTimeout(waiting.timer);
    return waiting.request;
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
    this.#waiting.push(waiting);
  }

  #take(): Request[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { timer } of waiting) clearTimeout(timer);
    return waiting.map(({ request }) => request);
  }

  #expire(waiting: Waiting): void {
    this.#waiting = this.#waiting.filter((each) => each !== waiting);
    waiting.request.reject(this.#expired());
  }
}
