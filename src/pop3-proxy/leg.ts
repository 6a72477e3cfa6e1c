import type { Socket } from 'node:net';
import { Outgoing, type OutgoingTimes } from '../connections/outgoing.ts';
import { SmallChunks } from '../octets/small-chunks.ts';

/** Octets read ahead of the consumer before the peer is told to wait. */
const READ_AHEAD = 128 * 1024;

/**
 * One leg of a session: a socket with back-pressure both ways. What came before the peer's end can still be read behind it.
 */
export class Leg {
  readonly #socket: Socket;
  readonly #outgoing: Outgoing;
  #arrived: Buffer[] = [];
  readonly #small = new SmallChunks();
  #arrivedOctets = 0;
  readonly #waiting = new Set<() => void>();
  #peerEnded = false;
  #gone = false;
  #cause = 'closed';
  readonly #whenGone = new AbortController();
  readonly #onData = (chunk: Buffer): void => this.#receive(chunk);
  readonly #onEnd = (): void => this.#ended('closed by the peer');
  readonly #onClose = (): void => this.#lost('closed');
  readonly #onError = (error: Error): void => this.#lost(error.message);

  /** A peer that takes nothing for too long, or does not let go in time once the leg is to end, loses its connection. */
  constructor(socket: Socket, times: OutgoingTimes = {}) {
    this.#socket = socket;
    this.#outgoing = new Outgoing(socket, () => this.#stalled(), times);
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onClose);
    socket.on('error', this.#onError);
  }

  /** Nothing that is written arrives any more. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Aborted when the leg is gone. */
  get signal(): AbortSignal {
    return this.#whenGone.signal;
  }

  /** Why the leg ended; for the log. */
  get cause(): string {
    return this.#cause;
  }

  /** Octets that have arrived and were not read. */
  get buffered(): number {
    return this.#arrivedOctets;
  }

  /** The next octets; null: there will be none. */
  async read(): Promise<Buffer | null> {
    if (!(await this.readable())) return null;
    const chunk = this.#arrived.shift() ?? null;
    this.#arrivedOctets -= chunk?.length ?? 0;
    return chunk;
  }

  /** Waits until there are octets; false: there will be none, or nobody waits any more (`givenUp`). */
  async readable(givenUp?: AbortSignal): Promise<boolean> {
    if (this.#arrived.length === 0 && !this.#peerEnded && !this.#gone && givenUp?.aborted !== true) {
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
        this.#socket.resume();
        givenUp?.addEventListener('abort', () => {
          this.#waiting.delete(resolve);
          resolve();
        });
      });
    }
    return this.#arrived.length > 0;
  }

  /** Writes whole; what is written in one turn leaves together. A promise: wait for it before writing more. */
  write(octets: Buffer | string): Promise<void> | null {
    return this.#gone ? null : this.#outgoing.write(octets);
  }

  /** Sends what is written and closes. */
  end(): void {
    this.#outgoing.end();
    this.#lost('ended by the gateway');
  }

  /** Closes at once, so that the peer cannot take what it has for whole. */
  destroy(): void {
    this.#outgoing.destroy();
    this.#lost('ended by the gateway');
  }

  /** Gives the socket away, for TLS. What arrived and was not read is forgotten with this object. */
  release(): Socket {
    this.#outgoing.flush();
    const socket = this.#socket;
    socket.off('data', this.#onData);
    socket.off('end', this.#onEnd);
    socket.off('close', this.#onClose);
    socket.off('error', this.#onError);
    // TLS around it has its own; an error in between must not be nobody's.
    socket.on('error', () => undefined);
    socket.pause();
    this.#gone = true;
    return socket;
  }

  #receive(chunk: Buffer): void {
    if (this.#gone) return;
    const last = this.#arrived.length - 1;
    const waiting = this.#arrived[last];
    const joined = waiting === undefined ? null : this.#small.joined(waiting, chunk);
    if (joined === null) this.#arrived.push(chunk);
    else this.#arrived[last] = joined;
    this.#arrivedOctets += chunk.length;
    if (this.#waiting.size > 0) this.#wake();
    else if (this.#arrivedOctets > READ_AHEAD) this.#socket.pause();
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }

  #ended(cause: string): void {
    if (!this.#peerEnded && !this.#gone) this.#cause = cause;
    this.#peerEnded = true;
    this.#wake();
  }

  #stalled(): void {
    this.#lost('the peer takes nothing');
    this.destroy();
  }

  #lost(cause: string): void {
    this.#ended(cause);
    if (this.#gone) return;
    this.#gone = true;
    this.#whenGone.abort();
  }
}
