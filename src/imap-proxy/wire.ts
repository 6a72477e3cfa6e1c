import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { Outgoing, type OutgoingTimes } from '../connections/outgoing.ts';
import { deflated } from './deflate.ts';
import { Framer, type FramerEvent, type FramerSide } from './framer.ts';

/** Octets read ahead of the consumer before the peer is told to wait; clients need no login to make us keep theirs. */
const READ_AHEAD: Readonly<Record<FramerSide, number>> = { client: 64 * 1024, server: 256 * 1024 };

/** Who waits for octets. */
type Waiting = {
  attend: (() => boolean) | null;
  resolve: (open: boolean) => void;
  reject: (error: unknown) => void;
};

/**
 * One leg of a session: a socket, the framer on what it sends, and back-pressure both ways.
 * After an error or an end `more()` gives false, for good; writes go nowhere.
 */
export class Wire {
  readonly #socket: Socket;
  /** The socket itself, unless there is compression between. */
  #source: Readable;
  readonly #outgoing: Outgoing;
  readonly #side: FramerSide;
  readonly #framer: Framer;
  #waiting: Waiting | null = null;
  /** What comes in this turn of the event loop is let come. */
  #gathering = false;
  #ended = false;
  /** Why the leg ended; for the log. */
  #cause = 'closed';
  readonly #whenEnded = new AbortController();
  readonly #onData = (chunk: Buffer): void => this.#arrived(chunk);
  readonly #onGathered = (): void => this.#gathered();
  readonly #onEnd = (): void => this.#finish('closed by the peer');
  readonly #onClose = (): void => this.#finish('closed');
  readonly #onGone = (): void => {
    if (this.#source.isPaused()) this.#wait();
  };
  readonly #onError = (error: Error): void => this.#finish(error.message);

  /** A peer that takes nothing for too long, or does not let go in time once the leg is to end, loses its connection. */
  constructor(socket: Socket, side: FramerSide, lineLimit: number, times: OutgoingTimes = {}) {
    this.#socket = socket;
    this.#source = socket;
    this.#outgoing = new Outgoing(socket, () => this.#stalled(), times);
    this.#side = side;
    this.#framer = new Framer(side, lineLimit);
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onClose);
    socket.on('error', this.#onError);
    // It may have closed behind its handshake, and does not say so again.
    if (socket.destroyed) this.#finish('closed');
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

  /** The next event that is here already. Throws SealgateError `imap.framing`, `upstream.framing`. */
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

  /** The next event; null at the end. Throws SealgateError `imap.framing`, `upstream.framing`. */
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

  /** Writes whole; what is written in one turn leaves together. A promise: wait for it before writing much more. */
  write(octets: Buffer | string): Promise<void> | null {
    return this.#ended ? null : this.#outgoing.write(octets);
  }

  /** As of Outgoing. */
  cork(): void {
    this.#outgoing.cork();
  }

  uncork(): Promise<void> | null {
    return this.#outgoing.uncork();
  }

  uncorkLater(): void {
    this.#outgoing.uncorkLater();
  }

  /** Writes octets that are only there until this resolves: then the system has them, or the leg has ended. */
  through(octets: Buffer): Promise<void> {
    return this.#ended ? Promise.resolve() : this.#outgoing.through(octets);
  }

  /** Sends what is written and closes. */
  end(): void {
    this.#outgoing.end();
    this.#finish('ended by the gateway');
  }

  /** Closes at once, so that the peer cannot take what it has for whole. */
  destroy(): void {
    this.#outgoing.destroy();
    this.#finish('ended by the gateway');
  }

  /** Gives the socket away, for STARTTLS. What arrived and was not consumed is forgotten with this object. */
  release(): Socket {
    this.#outgoing.flush();
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
    this.#outgoing.flush();
    this.#socket.off('data', this.#onData);
    this.#socket.off('end', this.#onEnd);
    this.#socket.off('close', this.#onClose);
    this.#socket.pause();
    const { source, sink } = deflated(this.#socket, this.#side, this.#framer.takeRest());
    this.#source = source;
    this.#outgoing.redirect(sink);
    source.on('data', this.#onData);
    source.on('end', this.#onEnd);
    source.on('close', this.#onClose);
    this.#socket.on('close', this.#onGone);
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
    if (this.#framer.buffered > READ_AHEAD[this.#side]) this.#wait();
  }

  /**
   * The peer waits with what it has to say. Of a client that has closed meanwhile nothing more is taken: nobody would close that
   * connection again, and what is still to be inflated would keep its session until somebody reads on.
   */
  #wait(): void {
    const isGone = this.compressed && this.#socket.destroyed;
    if (isGone && this.#side === 'client') this.#finish('closed by the peer');
    else this.#source.pause();
  }

  #gathered(): void {
    this.#gathering = false;
    this.#attended();
  }

  /** Whoever waits for octets gets those that are here. While it attends nobody waits: it may begin what itself waits for more. */
  #attended(): void {
    const waiting = this.#waiting;
    if (waiting === null) return;
    const { attend, resolve, reject } = waiting;
    this.#waiting = null;
    try {
      if (attend?.() === true) {
        if (this.#ended) return void resolve(false);
        this.#waiting = waiting;
        if (this.#source.isPaused()) this.#source.resume();
        return;
      }
    } catch (error) {
      reject(error);
    }
    resolve(true);
  }

  #stalled(): void {
    this.#finish('the peer takes nothing');
    this.destroy();
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
