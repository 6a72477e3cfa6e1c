import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { SmallChunks } from '../octets/small-chunks.ts';

/** Octets read ahead of the consumer before the peer is told to wait. */
const READ_AHEAD = 128 * 1024;
/** Pieces are joined up to this many octets; larger ones are not copied. */
const JOINED_OCTETS = 64 * 1024;
/** How long a peer may take to read what was written before the end, and to close. */
const LINGER_MS = 60_000;
/** How long a peer may take nothing of what is written. */
const STALLED_MS = 120_000;

/**
 * One leg of a session: a socket with back-pressure both ways. What came before the peer's end can still be read behind it.
 */
export class Leg {
  readonly #socket: Socket;
  readonly #stalledMs: number;
  #arrived: Buffer[] = [];
  readonly #small = new SmallChunks();
  #arrivedOctets = 0;
  readonly #waiting = new Set<() => void>();
  #peerEnded = false;
  #gone = false;
  #cause = 'closed';
  #outgoing: Buffer[] = [];
  #outgoingOctets = 0;
  #draining: Promise<void> | null = null;
  readonly #whenGone = new AbortController();
  readonly #onData = (chunk: Buffer): void => this.#receive(chunk);
  readonly #onEnd = (): void => this.#ended('closed by the peer');
  readonly #onClose = (): void => this.#lost('closed');
  readonly #onError = (error: Error): void => this.#lost(error.message);

  /** `stalledMs`: time in which a peer has to take something of what is written; then the leg is closed. */
  constructor(socket: Socket, stalledMs: number = STALLED_MS) {
    this.#socket = socket;
    this.#stalledMs = stalledMs;
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

  /** Writes whole; what is written in one turn leaves in one packet, small pieces joined. A promise: wait for it before writing more. */
  write(octets: Buffer | string): Promise<void> | null {
    if (this.#gone || this.#socket.destroyed) return null;
    const piece = typeof octets === 'string' ? Buffer.from(octets, 'latin1') : octets;
    if (this.#outgoing.length === 0) process.nextTick(() => this.#flush());
    this.#outgoing.push(piece);
    this.#outgoingOctets += piece.length;
    if (this.#outgoingOctets >= JOINED_OCTETS) this.#flush();
    return this.#draining;
  }

  #flush(): void {
    const pieces = this.#outgoing;
    const [only] = pieces;
    if (only === undefined) return;
    this.#outgoing = [];
    this.#outgoingOctets = 0;
    if (!this.#socket.writable) return;
    const room = this.#socket.write(pieces.length === 1 ? only : Buffer.concat(pieces));
    if (!room && this.#draining === null) this.#draining = this.#drained();
  }

  #drained(): Promise<void> {
    const socket = this.#socket;
    // Node counts the octets that the system takes: a slow peer is no stalled one.
    socket.setTimeout(this.#stalledMs);
    return new Promise((resolve) => {
      const stalled = (): void => {
        this.#cause = 'the peer takes nothing';
        this.destroy();
      };
      const done = (): void => {
        socket.setTimeout(0);
        socket.off('timeout', stalled);
        socket.off('drain', done);
        socket.off('close', done);
        this.#draining = null;
        resolve();
      };
      socket.on('timeout', stalled);
      socket.on('drain', done);
      socket.on('close', done);
    });
  }

  /** Sends what is written and closes. */
  end(): void {
    const socket = this.#socket;
    if (!socket.destroyed && !socket.writableEnded) {
      this.#flush();
      socket.end();
      // Closing over octets that nobody has read would reset the connection, and lose the last words.
      socket.off('data', this.#onData);
      socket.on('data', () => undefined);
      socket.resume();
      // Whatever the peer says meanwhile, or drains: it is not waited for any longer.
      const timer = setTimeout(() => socket.destroy(), LINGER_MS).unref();
      socket.once('close', () => clearTimeout(timer));
    }
    this.#lost('ended by the gateway');
  }

  /** Closes at once, so that the peer cannot take what it has for whole. */
  destroy(): void {
    if (this.#socket instanceof TLSSocket) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
    this.#lost('ended by the gateway');
  }

  /** Gives the socket away, for TLS. What arrived and was not read is forgotten with this object. */
  release(): Socket {
    this.#flush();
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

  #lost(cause: string): void {
    this.#ended(cause);
    if (this.#gone) return;
    this.#gone = true;
    this.#whenGone.abort();
  }
}
