import type { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { TLSSocket } from 'node:tls';

/** What is written waits for the end of the turn up to this many octets. */
const GATHERED_OCTETS = 64 * 1024;
/** Pieces are joined by copying them where they have fewer octets than this on average. */
const COPIED_OCTETS = 4 * 1024;
/** How long a peer may take to read what was written before the end, and to close. */
const LINGER_MS = 60_000;
/** How long a peer may take nothing of what is written: it holds room that all sessions share. */
const STALLED_MS = 120_000;

export type OutgoingTimes = {
  /** Milliseconds in which a peer has to take something of what is written. */
  stalledMs?: number | undefined;
  /** Milliseconds in which it has to take all of it and to close, once the connection is to end. */
  lingerMs?: number | undefined;
};

/**
 * The writing half of a connection. What is written in one turn of the event loop leaves together.
 *
 * Holds: octets leave whole and in order, or the connection is gone; then writes go nowhere, and nobody waits for them.
 */
export class Outgoing {
  readonly #socket: Socket;
  /** The socket itself, unless there is something between. */
  #sink: Writable;
  readonly #stalled: () => void;
  readonly #stalledMs: number;
  readonly #lingerMs: number;
  #pieces: Buffer[] = [];
  #octets = 0;
  #draining: Promise<void> | null = null;
  #corked = false;
  #isEnding = false;
  readonly #onTurnEnd = (): void => this.flush();

  /** `stalled`: the peer has taken nothing for too long; the connection is not closed for it here. */
  constructor(
    socket: Socket,
    stalled: () => void,
    { stalledMs = STALLED_MS, lingerMs = LINGER_MS }: OutgoingTimes = {},
  ) {
    this.#socket = socket;
    this.#sink = socket;
    this.#stalled = stalled;
    this.#stalledMs = stalledMs;
    this.#lingerMs = lingerMs;
  }

  /** From here on everything goes through `sink`, which ends in the socket. */
  redirect(sink: Writable): void {
    this.flush();
    this.#sink = sink;
  }

  /** Writes whole; strings are latin1. A promise: wait for it before writing much more. */
  write(octets: Buffer | string): Promise<void> | null {
    if (this.#socket.destroyed) return null;
    const piece = typeof octets === 'string' ? Buffer.from(octets, 'latin1') : octets;
    // Not in this tick: there may be more to say.
    if (this.#pieces.length === 0 && !this.#corked) setImmediate(this.#onTurnEnd);
    this.#pieces.push(piece);
    this.#octets += piece.length;
    if (this.#octets >= GATHERED_OCTETS) this.flush();
    return this.#draining;
  }

  /** Until `uncork`, which has to be called in the same tick, what is written waits. */
  cork(): void {
    this.#corked = true;
  }

  /** Lets go at once what was written. A promise: as of `write`. */
  uncork(): Promise<void> | null {
    this.#corked = false;
    this.flush();
    return this.#draining;
  }

  /** Lets go what was written as if it had not been corked: at the end of the turn, with what is written until then. */
  uncorkLater(): void {
    this.#corked = false;
    if (this.#pieces.length > 0) setImmediate(this.#onTurnEnd);
  }

  /** Writes octets that are only there until this resolves: then the system has them, or the connection is gone. */
  through(octets: Buffer): Promise<void> {
    this.flush();
    if (this.#isClosed) return Promise.resolve();
    const socket = this.#socket;
    return new Promise((resolve) => {
      const done = (): void => {
        socket.off('close', done);
        resolve();
      };
      // What is between tells nobody of octets that it had when it was destroyed.
      socket.on('close', done);
      if (!this.#sink.write(octets, done)) this.#drain();
    });
  }

  /** Hands over to the system what was written. */
  flush(): void {
    const pieces = this.#pieces;
    const [only] = pieces;
    if (only === undefined) return;
    const isSmall = this.#octets < pieces.length * COPIED_OCTETS;
    this.#pieces = [];
    this.#octets = 0;
    if (this.#isClosed) return;
    if (pieces.length === 1) this.#send(only);
    // What is between takes each write for itself.
    else if (isSmall || this.#sink !== this.#socket) this.#send(Buffer.concat(pieces));
    else {
      // They still leave together, and no buffer is made for them that V8 would have to collect.
      this.#sink.cork();
      for (const each of pieces) this.#send(each);
      this.#sink.uncork();
    }
  }

  /** Sends what is written and closes. Does nothing where that was done, or the connection is gone. */
  end(): void {
    const socket = this.#socket;
    if (this.#isEnding || socket.destroyed) return;
    this.#isEnding = true;
    // Where the peer has closed its half, Node has ended ours: what was written may still wait for it.
    if (!this.#sink.writableEnded) {
      this.flush();
      this.#sink.end();
    }
    // Closing over octets that nobody has read would reset the connection, and lose the last words.
    socket.resume();
    // Whatever the peer says meanwhile, or drains: it is not waited for any longer.
    const timer = setTimeout(() => socket.destroy(), this.#lingerMs).unref();
    socket.once('close', () => clearTimeout(timer));
  }

  /** Closes at once, so that the peer cannot take what it has for whole. */
  destroy(): void {
    const socket = this.#socket;
    // Node never closes a socket that is reset while its own half is being closed, which it does by itself when the peer has closed.
    const isClosing = socket.writableEnded && !socket.writableFinished;
    if (socket instanceof TLSSocket || isClosing) socket.destroy();
    else socket.resetAndDestroy();
  }

  get #isClosed(): boolean {
    return this.#socket.destroyed || this.#sink.writableEnded;
  }

  #send(octets: Buffer): void {
    if (!this.#sink.write(octets)) this.#drain();
  }

  /** Resolves when nothing waits for the peer any more, or the connection is gone. */
  #drain(): void {
    if (this.#draining !== null) return;
    const socket = this.#socket;
    const sink = this.#sink;
    // Node counts the octets that the system takes: a slow peer is no stalled one.
    socket.setTimeout(this.#stalledMs);
    this.#draining = new Promise((resolve) => {
      const done = (): void => {
        socket.setTimeout(0);
        socket.off('timeout', this.#stalled);
        sink.off('drain', done);
        socket.off('close', done);
        this.#draining = null;
        resolve();
      };
      socket.on('timeout', this.#stalled);
      sink.on('drain', done);
      socket.on('close', done);
    });
  }
}
