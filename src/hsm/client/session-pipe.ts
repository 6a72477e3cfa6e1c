import type { Duplex } from 'node:stream';
import type { SealgateError } from '../../errors.ts';
import { limits } from '../../limits.ts';
import { errorOf, FailureError } from '../failures.ts';
import { FrameReader } from '../wire/frames.ts';
import { IDS, requestFrame } from '../wire/operation-frames.ts';
import { readAnswer } from '../wire/read-answer.ts';
import type { Request } from './waiting-requests.ts';

/** Inside one session at most: one that is done, and one that its thread takes up next without waiting for the gateway. */
const MOST_INSIDE = 2;

export type SessionPipeEvents = {
  /** There is room for further requests. `done`: an operation has succeeded. */
  answered(done: boolean): void;
  /** What came is no answer, or none came in time: the process is not to be relied upon. */
  broken(reason: string): void;
};

/**
 * The gateway's end of one session. Answers come in the order of the requests; one that does not fit the oldest request is
 * nonsense, so that no answer ever reaches another request than its own.
 */
export class SessionPipe {
  readonly #socket: Duplex;
  readonly #events: SessionPipeEvents;
  readonly #time: number;
  readonly #frames = new FrameReader(limits.keys.answerOctets);
  readonly #inside: { id: number; request: Request }[] = [];
  #nextId = 0;
  #timer: NodeJS.Timeout | null = null;

  /** @param time milliseconds for one operation */
  constructor(socket: Duplex, time: number, events: SessionPipeEvents) {
    this.#socket = socket;
    this.#time = time;
    this.#events = events;
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    // The end of the process, which is noticed elsewhere.
    socket.on('error', () => undefined);
  }

  get inside(): number {
    return this.#inside.length;
  }

  get hasRoom(): boolean {
    return this.#inside.length < MOST_INSIDE;
  }

  /** Until `uncork`, what is sent is gathered for one write. */
  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  send(request: Request): void {
    const id = this.#nextId;
    let pieces: Buffer[];
    try {
      pieces = requestFrame(id, request.operation);
    } catch (error) {
      if (!(error instanceof FailureError)) throw error;
      request.reject(errorOf(error.failure));
      return;
    }
    this.#nextId = (id + 1) % IDS;
    this.#inside.push({ id, request });
    for (const piece of pieces) this.#socket.write(piece);
    if (this.#inside.length === 1) this.#watch();
  }

  /** Fails what is inside. */
  fail(error: SealgateError): void {
    this.#stopWatching();
    for (const { request } of this.#inside.splice(0)) request.reject(error);
  }

  #receive(chunk: Buffer): void {
    const frames = this.#frames.push(chunk);
    if (frames === null) {
      this.#events.broken('an answer that is too long');
      return;
    }
    let done = false;
    for (const frame of frames) {
      const answer = readAnswer(frame);
      const [oldest] = this.#inside;
      if (answer === null || oldest === undefined || oldest.id !== answer.id) {
        this.#events.broken(answer === null ? 'an answer that is not one' : 'an answer to no request');
        return;
      }
      this.#inside.shift();
      if (this.#inside.length === 0) this.#stopWatching();
      else this.#watch();
      if ('octets' in answer) oldest.request.resolve(answer.octets);
      else oldest.request.reject(errorOf(answer.failure));
      done ||= 'octets' in answer;
    }
    if (frames.length > 0) this.#events.answered(done);
  }

  #watch(): void {
    if (this.#timer === null) {
      this.#timer = setTimeout(() => this.#events.broken('an operation did not end in time'), this.#time);
    } else this.#timer.refresh();
  }

  #stopWatching(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
