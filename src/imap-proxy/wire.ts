import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { deflated } from './deflate.ts';
import { Framer, type FramerEvent, type FramerSide } from './framer.ts';

/** Octets read ahead of the consumer before the peer is told to wait; clients need no login to make us keep theirs. */
const READ_AHEAD: Readonly<Record<FramerSide, number>> = { client: 64 * 1024, server: 256 * 1024 };

/** What is written waits for the end of the turn up to this many octets. */
const GATHERED_OCTETS = 64 * 1024;
/** Pieces are joined by copying them where they have fewer octets than this on average. */
const COPIED_OCTETS = 4 * 1024;
/** How long a peer may take to read what was written before the end, and to close. */
const LINGER_MS = 60_000;
/** How long a peer may take nothing of what is written: it holds room that all sessions share. */
const STALLED_MS = 120_000;

/** Who waits for octets. */
type Waiting = {
  attend: (() => boolean) | null;
  resolve: (open: boolean) => void;
  reject: (error: unknown) => void;
};

export type WireTimes = { stalledMs?: number | undefined; lingerMs?: number | undefined };

/**
 * One leg of a session: a socket, the framer on what it sends, and back-pressure both ways.
 * After an error or an end `more()` gives false, for good; writes go nowhere.
 */
export class Wire {
  readonly #socket: Socket;
  /** The socket itself, unless there is compression between. */
  #source: Readable;
  #sink: Writable;
  readonly #side: FramerSide;
  readonly #framer: Framer;
  readonly #stalledMs: number;
  readonly #lingerMs: number;
  #waiting: Waiting | null = null;
  /** What comes in this turn of the event loop is let come. */
  #gathering = false;
  #ended = false;
  #outgoing: Buffer[] = [];
  #outgoingOctets = 0;
  #draining: Promise<void> | null = null;
  #corked = false;
  /** Why the leg ended; for the log. */
  #cause = 'closed';
  readonly #whenEnded = new AbortController();
  readonly #onData = (chunk: Buffer): void => this.#arrived(chunk);
  readonly #onGathered = (): void => this.#gathered();
  readonly #onTurnEnd = (): void => this.#flush();
  readonly #onEnd = (): void => this.#finish('closed by the peer');
  readonly #onClose = (): void => this.#finish('closed');
  readonly #onError = (error: Error): void => this.#finish(error.message);

  /**
   * `stalledMs`: time in which a peer has to take something of what is written; then the leg is closed. `lingerMs`: time in which
   * it has to take all of it and to close, once the leg is to end.
   */
  constructor(
    socket: Socket,
    side: FramerSide,
    lineLimit: number,
    { stalledMs = STALLED_MS, lingerMs = LINGER_MS }: WireTimes = {},
  ) {
    this.#stalledMs = stalledMs;
    this.#lingerMs = lingerMs;
    this.#socket = socket;
    this.#source = socket;
    this.#sink = socket;
    this.#side = side;
    this.#framer = new Framer(side, lineLimit);
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onClose);
    socket.on('error', this.#onError);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Aborted when the leg has ended. */
  get signal(): AbortSignal {
    return this.#whenEnded.signal;
  }

  get cause(): string {
    return this.#cause;
  }

  /** Whether the peer is in the middle of a command or response. */
  get inside(): boolean {
    return this.#framer.inside;
  }

  /** Octets that have arrived and are not consumed. */
  get buffered(): number {
    return this.#framer.buffered;
  }

  /** The next event that is here already. Throws SealgateError `imap.framing`. */
  take(): FramerEvent | null {
    return this.#framer.next();
  }

  /** What is here already from the beginning of a response on, as far as it lies in one chunk; null: nothing, or inside one. */
  ahead(): Buffer | null {
    return this.#framer.ahead();
  }

  /** Makes what is ahead longer, if more is here. `most`: as of Framer. */
  joinAhead(most?: number): boolean {
    return this.#framer.joinAhead(most);
  }

  /** Whole responses among what is ahead have been dealt with. */
  skip(length: number): void {
    this.#framer.skip(length);
  }

  /** The beginning of a response has been dealt with, up to somewhere in its literal. */
  enterLiteral(length: number, remaining: number): void {
    this.#framer.enterLiteral(length, remaining);
  }

  /** The next event; null at the end. Throws SealgateError `imap.framing`. */
  async next(): Promise<FramerEvent | null> {
    for (;;) {
      const event = this.#framer.next();
      if (event !== null) return event;
      if (!(await this.more())) return null;
    }
  }

  /** The next line as plain text (SASL answers, DONE); null at the end. */
  async nextText(): Promise<Buffer | null> {
    for (;;) {
      const text = this.#framer.nextText();
      if (text !== null) return text;
      if (!(await this.more())) return null;
    }
  }

  abandonLiteral(): void {
    this.#framer.abandonLiteral();
  }

  /**
   * Waits for octets. false: there will be none. One caller at a time.
   *
   * @param attend called in the place of waking the caller; true: it has dealt with what is here, and more is waited for. What it
   *   throws rejects
   */
  more(attend: (() => boolean) | null = null): Promise<boolean> {
    if (this.#ended) return Promise.resolve(false);
    return new Promise((resolve, reject) => {
      this.#waiting = { attend, resolve, reject };
      this.#source.resume();
    });
  }

  /**
   * Writes whole; what is written in one turn leaves in one packet, small pieces joined. A promise: wait for it before
   * writing much more.
   */
  write(octets: Buffer | string): Promise<void> | null {
    if (this.#ended || this.#socket.destroyed) return null;
    const piece = typeof octets === 'string' ? Buffer.from(octets, 'latin1') : octets;
    // Not in this tick: there may be more to say.
    if (this.#outgoing.length === 0 && !this.#corked) setImmediate(this.#onTurnEnd);
    this.#outgoing.push(piece);
    this.#outgoingOctets += piece.length;
    if (this.#outgoingOctets >= GATHERED_OCTETS) this.#flush();
    return this.#draining;
  }

  /** Until `uncork`, which has to be called in the same tick, what is written waits. */
  cork(): void {
    this.#corked = true;
  }

  /** Lets go at once what was written. A promise: as of `write`. */
  uncork(): Promise<void> | null {
    this.#corked = false;
    this.#flush();
    return this.#draining;
  }

  /** Lets go what was written as if it had not been corked: at the end of the turn, with what is written until then. */
  uncorkLater(): void {
    this.#corked = false;
    if (this.#outgoing.length > 0) setImmediate(this.#onTurnEnd);
  }

  /** Writes octets that are only there until this resolves: then the system has them, or the leg has ended. */
  through(octets: Buffer): Promise<void> {
    this.#flush();
    if (this.#ended || this.#socket.destroyed || this.#sink.writableEnded) return Promise.resolve();
    return new Promise((resolve) => {
      if (!this.#sink.write(octets, () => resolve())) this.#drain();
    });
  }

  #flush(): void {
    const pieces = this.#outgoing;
    const [only] = pieces;
    if (only === undefined) return;
    const octets = this.#outgoingOctets;
    this.#outgoing = [];
    this.#outgoingOctets = 0;
    if (this.#socket.destroyed || this.#sink.writableEnded) return;
    if (pieces.length === 1 || this.compressed || octets < pieces.length * COPIED_OCTETS) {
      if (!this.#sink.write(pieces.length === 1 ? only : Buffer.concat(pieces))) this.#drain();
      return;
    }
    // They still leave together, and no buffer is made for them that V8 would have to collect.
    this.#sink.cork();
    let room = true;
    for (const each of pieces) room = this.#sink.write(each);
    this.#sink.uncork();
    if (!room) this.#drain();
  }

  /** Resolves when nothing waits for the peer any more, or the peer has taken nothing for too long. */
  #drain(): void {
    if (this.#draining !== null) return;
    // Node counts the octets that the system takes: a slow peer is no stalled one.
    this.#socket.setTimeout(this.#stalledMs);
    this.#draining = new Promise((resolve) => {
      const stalled = (): void => {
        this.#finish('the peer takes nothing');
        this.destroy();
      };
      const done = (): void => {
        this.#socket.setTimeout(0);
        this.#socket.off('timeout', stalled);
        this.#sink.off('drain', done);
        this.#socket.off('close', done);
        this.#draining = null;
        resolve();
      };
      this.#socket.on('timeout', stalled);
      this.#sink.on('drain', done);
      this.#socket.on('close', done);
    });
  }

  /** Sends what is written and closes. */
  end(): void {
    const socket = this.#socket;
    if (!socket.destroyed && !this.#sink.writableEnded) {
      this.#flush();
      this.#sink.end();
      // Closing over octets that nobody has read would reset the connection, and lose the last words.
      socket.resume();
      // Whatever the peer says meanwhile, or drains: it is not waited for any longer.
      const timer = setTimeout(() => socket.destroy(), this.#lingerMs).unref();
      socket.once('close', () => clearTimeout(timer));
    }
    this.#finish('ended by the gateway');
  }

  /** Closes at once, so that the peer cannot take what it has for whole. */
  destroy(): void {
    if (this.#socket instanceof TLSSocket) this.#socket.destroy();
    else this.#socket.resetAndDestroy();
    this.#finish('ended by the gateway');
  }

  /** Gives the socket away, for STARTTLS. What arrived and was not consumed is forgotten with this object. */
  release(): Socket {
    this.#flush();
    this.#socket.off('data', this.#onData);
    this.#socket.off('end', this.#onEnd);
    this.#socket.off('close', this.#onClose);
    this.#socket.off('error', this.#onError);
    // TLS around it has its own; an error in between must not end the process.
    this.#socket.on('error', () => undefined);
    this.#socket.pause();
    this.#ended = true;
    return this.#socket;
  }

  /** Whether `compress` was called. */
  get compressed(): boolean {
    return this.#source !== this.#socket;
  }

  /**
   * From here on everything is deflated, in both directions (RFC 4978 §3): what is written next, and what has arrived and was
   * not consumed.
   */
  compress(): void {
    if (this.#ended || this.compressed) return;
    this.#flush();
    this.#socket.off('data', this.#onData);
    this.#socket.off('end', this.#onEnd);
    this.#socket.off('close', this.#onClose);
    this.#socket.pause();
    const { source, sink } = deflated(this.#socket, this.#side, this.#framer.takeRest());
    this.#source = source;
    this.#sink = sink;
    source.on('data', this.#onData);
    source.on('end', this.#onEnd);
    source.on('close', this.#onClose);
    for (const stream of [source, sink]) {
      stream.on('error', (error) => {
        this.#finish(error.message);
        this.destroy();
      });
    }
    source.resume();
  }

  /** Gives the socket away with all that has arrived and was not consumed. */
  handOver(): Socket {
    const rest = this.#framer.takeRest();
    const socket = this.release();
    if (rest.length > 0 && !socket.destroyed) socket.unshift(rest);
    return socket;
  }

  #arrived(chunk: Buffer): void {
    if (this.#ended) return;
    this.#framer.push(chunk);
    if (this.#waiting !== null) {
      // A server's answers are cut into records of TLS, which come together and are told of one by one.
      if (this.#side === 'client') this.#attended();
      else if (!this.#gathering) {
        this.#gathering = true;
        setImmediate(this.#onGathered);
      }
    }
    if (this.#framer.buffered > READ_AHEAD[this.#side]) this.#source.pause();
  }

  #gathered(): void {
    this.#gathering = false;
    this.#attended();
  }

  /** Whoever waits for octets gets those that are here. */
  #attended(): void {
    const waiting = this.#waiting;
    if (waiting === null) return;
    const { attend, resolve, reject } = waiting;
    try {
      if (attend?.() === true) {
        if (!this.#ended && this.#source.isPaused()) this.#source.resume();
        return;
      }
    } catch (error) {
      reject(error);
    }
    this.#waiting = null;
    resolve(true);
  }

  #finish(cause: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#cause = cause;
    // Octets that nobody has seen come before the end.
    this.#waiting?.resolve(this.#gathering);
    this.#waiting = null;
    if (this.compressed) {
      this.#socket.unpipe();
      this.#source.destroy();
      this.#socket.resume();
    }
    this.#whenEnded.abort();
  }
}
