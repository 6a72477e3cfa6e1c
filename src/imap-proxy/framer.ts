import { SealgateError } from '../errors.ts';
import { SmallChunks } from '../octets/small-chunks.ts';

/**
 * Cuts an IMAP byte stream into lines and literals (RFC 9051 §2.2, §4.3), in either direction.
 *
 *   literal = "{" number64 ["+"] "}" CRLF *CHAR8   ; "~" before it: literal8 (RFC 3516)
 *
 * Holds: every octet that is pushed leaves in exactly one event, as a view of the pushed chunk where it lies in one and is not small;
 * octets of a literal are never looked at. A literal begins only where a line ends with its size outside a quoted string
 * and the line may have one: status responses and continuation requests are text, whatever they end with.
 * Must never happen: that two readers disagree where a line or a literal ends. So what is ambiguous is an error: an
 * unfinished quoted string before a size, a size beyond 32 bits, a lone CR in a client's line, a lone LF from a server.
 */
export type FramerEvent =
  | {
      type: 'line';
      /** With its line end, CRLF. A client's lone LF has been made CRLF. */
      octets: Buffer;
      /** The literal that follows, or null: the command or response is complete. */
      literal: LiteralSize | null;
      /** Whether a command or response begins here. */
      first: boolean;
    }
  | { type: 'literal'; octets: Buffer /** Octets of this literal still to come. */; remaining: number };

export type LiteralSize = { size: number; nonSync: boolean; literal8: boolean };

export type FramerSide = 'client' | 'server';

const LF = 0x0a;
const CR = 0x0d;
const BRACE = 0x7d;
const NO_CHUNK = Buffer.alloc(0);
/** What is ahead is joined with what is behind it up to this many octets, */
const JOINED_OCTETS = 32 * 1024;
/** into pieces of not much more than so many. */
const LARGEST_OCTETS = 128 * 1024;

export class Framer {
  readonly #side: FramerSide;
  readonly #lineLimit: number;
  /** Chunks not consumed yet, in order; the first from `#at` on. */
  readonly #chunks: Buffer[] = [];
  readonly #small = new SmallChunks();
  #at = 0;
  #buffered = 0;
  /** Octets known to hold no LF, from the start of the unconsumed data, and the chunks they are in, and of the next one so many: no octet is looked at twice. */
  #scanned = 0;
  #searched = 0;
  #searchedOfNext = 0;
  #literal = 0;
  #first = true;
  #mayHaveLiteral = true;

  /** `lineLimit`: octets of one line, its line end included. */
  constructor(side: FramerSide, lineLimit: number) {
    this.#side = side;
    this.#lineLimit = lineLimit;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#buffered += chunk.length;
    const last = this.#chunks.length - 1;
    const waiting = this.#chunks[last];
    // The first may be about to be joined with those that come now.
    const joined = waiting === undefined || last === 0 ? null : this.#small.joined(waiting, chunk);
    if (joined === null) {
      this.#chunks.push(chunk);
      return;
    }
    this.#chunks[last] = joined;
    if (this.#searched > last) {
      this.#searched = last;
      this.#searchedOfNext = joined.length - chunk.length;
    }
  }

  /** Gives out what was pushed and not looked at, for a reader that takes over. */
  takeRest(): Buffer {
    const [first = NO_CHUNK, ...more] = this.#chunks;
    const rest = Buffer.concat([first.subarray(this.#at), ...more]);
    this.#chunks.length = 0;
    this.#at = 0;
    this.#buffered = 0;
    this.#scanned = 0;
    this.#searched = 0;
    this.#searchedOfNext = 0;
    return rest;
  }

  /** Octets pushed and not yet given out. */
  get buffered(): number {
    return this.#buffered;
  }

  /** Whether a response or command has begun and not ended. */
  get inside(): boolean {
    return !this.#first || this.#literal > 0;
  }

  /** A client's literal that the server refused will not be sent: what comes next is a new command. */
  abandonLiteral(): void {
    this.#literal = 0;
    this.#first = true;
  }

  /** The next event, or null when more octets are needed. Throws SealgateError `imap.framing` (what a client says), `upstream.framing`. */
  next(): FramerEvent | null {
    return this.#literal > 0 ? this.#nextOfLiteral() : this.#nextLine(true);
  }

  /** The octets that are here where a response or command begins, as far as they lie in one chunk; null: it is inside one. */
  ahead(): Buffer | null {
    const chunk = this.#chunks[0];
    if (chunk === undefined || !this.#first || this.#literal > 0) return null;
    return this.#at === 0 ? chunk : chunk.subarray(this.#at);
  }

  /**
   * Makes the chunk that is ahead longer by those behind it, if there are any. A long one is left as it is, so that octets are copied
   * once or twice, not with each chunk that comes.
   *
   * @param most octets, if they are more than those of two chunks
   */
  joinAhead(most = LARGEST_OCTETS): boolean {
    const [first, second] = this.#chunks;
    if (first === undefined || second === undefined || first.length - this.#at > JOINED_OCTETS) return false;
    let length = first.length - this.#at;
    let count = 1;
    for (; count < this.#chunks.length; count++) {
      const more = this.#chunks[count]?.length ?? 0;
      if (count > 1 && length + more > most) break;
      length += more;
    }
    const joined = this.#chunks.slice(0, count);
    joined[0] = first.subarray(this.#at);
    this.#chunks.splice(0, count, Buffer.concat(joined, length));
    this.#at = 0;
    this.#scanned = 0;
    this.#searched = 0;
    this.#searchedOfNext = 0;
    return true;
  }

  /** Whole responses among what is ahead have been dealt with. */
  skip(length: number): void {
    this.#consume(length);
  }

  /** The first line of a response, and of its literal what was ahead, have been dealt with: so many octets of it are still to come. */
  enterLiteral(length: number, remaining: number): void {
    this.#consume(length);
    this.#first = false;
    this.#mayHaveLiteral = true;
    this.#literal = remaining;
  }

  /** A line that is no command: the answer to a continuation request (SASL, DONE). No literal can follow it. */
  nextText(): Buffer | null {
    const event = this.#nextLine(false);
    return event === null || event.type !== 'line' ? null : event.octets;
  }

  #nextOfLiteral(): FramerEvent | null {
    const chunk = this.#chunks[0];
    if (chunk === undefined) return null;
    const octets = chunk.subarray(this.#at, this.#at + this.#literal);
    this.#consume(octets.length);
    this.#literal -= octets.length;
    return { type: 'literal', octets, remaining: this.#literal };
  }

  #nextLine(command: boolean): FramerEvent | null {
    const length = this.#lineLength();
    if (length === 0) return null;
    let octets = this.#take(length);
    if (octets[length - 2] !== CR) {
      if (this.#side === 'server') throw framing('server', 'a line ends with a lone LF');
      octets = Buffer.concat([octets.subarray(0, length - 1), Buffer.from('\r\n')]);
    }
    if (this.#side === 'client') refuseControls(octets);
    const first = this.#first;
    if (first && command) this.#mayHaveLiteral = this.#side === 'client' || !isText(octets);
    const literal = command && this.#mayHaveLiteral ? literalAtEnd(this.#side, octets) : null;
    if (this.#side === 'server' && literal?.nonSync) throw framing('server', 'a non-synchronising literal');
    this.#first = literal === null;
    this.#literal = literal?.size ?? 0;
    return { type: 'line', octets, literal, first };
  }

  /** Octets up to and including the next LF; 0: it is not there yet. */
  #lineLength(): number {
    let before = this.#scanned;
    for (let index = this.#searched; index < this.#chunks.length; index++) {
      const chunk = this.#chunks[index] ?? NO_CHUNK;
      const start = Math.max(index === 0 ? this.#at : 0, index === this.#searched ? this.#searchedOfNext : 0);
      const lf = chunk.indexOf(LF, start);
      if (lf !== -1) {
        const found = before + lf - start + 1;
        if (found > this.#lineLimit) throw framing(this.#side, 'a line is longer than allowed');
        return found;
      }
      before += chunk.length - start;
    }
    this.#searched = this.#chunks.length;
    this.#searchedOfNext = 0;
    this.#scanned = before;
    if (before > this.#lineLimit) throw framing(this.#side, 'a line is longer than allowed');
    return 0;
  }

  #take(length: number): Buffer {
    const first = this.#chunks[0] ?? NO_CHUNK;
    if (first.length - this.#at >= length) {
      const octets = first.subarray(this.#at, this.#at + length);
      this.#consume(length);
      return octets;
    }
    const octets = Buffer.allocUnsafe(length);
    let filled = 0;
    while (filled < length) {
      const chunk = this.#chunks[0] ?? NO_CHUNK;
      const end = Math.min(chunk.length, this.#at + length - filled);
      const copied = chunk.copy(octets, filled, this.#at, end);
      filled += copied;
      this.#consume(copied);
    }
    return octets;
  }

  #consume(length: number): void {
    this.#at += length;
    this.#buffered -= length;
    this.#scanned = 0;
    this.#searched = 0;
    this.#searchedOfNext = 0;
    const chunk = this.#chunks[0];
    if (chunk !== undefined && this.#at >= chunk.length) {
      this.#chunks.shift();
      this.#at = 0;
    }
  }
}

/**
 * Status responses and continuation requests, tagged or not: their text is free and never has a literal
 * (RFC 9051 §9, resp-text). Everything that does not begin with "* " is one of them.
 */
function isText(line: Buffer): boolean {
  if (line[0] !== 0x2a || line[1] !== 0x20) return true;
  return /^(?:OK|NO|BAD|BYE|PREAUTH)[ \r]/i.test(line.toString('latin1', 2, 12));
}

/** The literal announced by a line's last octets, or null. */
function literalAtEnd(side: FramerSide, line: Buffer): LiteralSize | null {
  const end = line.length - 2;
  if (line[end - 1] !== BRACE) return null;
  const tail = line.toString('latin1', Math.max(0, end - 24), end);
  const found = /(~?)\{([0-9]{1,20})(\+?)\}$/.exec(tail);
  if (found === null) return null;
  if (endsInsideQuotes(line, end)) throw framing(side, 'a quoted string does not end');
  const size = Number(found[2]);
  // 32 bits (RFC 3501 §9, number); an excess of zeros has no purpose but to confuse.
  if (size > 0xffff_ffff || (found[2] ?? '').length > 10) throw framing(side, 'a literal is too large');
  return { size, nonSync: found[3] === '+', literal8: found[1] === '~' };
}

function endsInsideQuotes(line: Buffer, end: number): boolean {
  let quoted = false;
  for (let i = 0; i < end; i++) {
    const octet = line[i];
    if (octet === 0x22) quoted = !quoted;
    else if (octet === 0x5c && quoted) i++;
  }
  return quoted;
}

/** A server may take a lone CR for a line end, or NUL for the end of a string. */
function refuseControls(line: Buffer): void {
  if (line.indexOf(CR) !== line.length - 2) throw framing('client', 'a lone CR in a line');
  if (line.indexOf(0) !== -1) throw framing('client', 'a NUL in a line');
}

function framing(side: FramerSide, reason: string): SealgateError {
  return new SealgateError({
    code: side === 'client' ? 'imap.framing' : 'upstream.framing',
    publicText: 'The IMAP conversation cannot be followed any further. Connect again.',
    duration: 'permanent',
    reason,
  });
}
