import { SealgateError } from '../errors.ts';

/** The first line of a reply (RFC 1939 §3), without its CRLF. */
export type StatusLine = {
  kind: 'ok' | 'error' /** RFC 5034 §4: the server asks for the next answer. */ | 'challenge';
  text: string;
};

/** A piece of a multi-line reply as it came, byte-stuffed; `end`: the terminating line was read. */
export type BodyPiece = Buffer | 'end';

const CR = 0x0d;
const LF = 0x0a;
const DOT = 0x2e;
const CRLF_DOT = Buffer.from('\r\n.');
const ONLY_DOT = Buffer.from('.');
const DOT_AND_CR = Buffer.from('.\r');
const NOTHING = Buffer.alloc(0);

/** Where in a multi-line reply the next octet stands. */
type Place =
  | 'line-start'
  | 'inside'
  /** Behind a CR that may be the first half of a line end. */
  | 'cr'
  /** Behind a dot that began a line, and behind that dot and a CR: octets that were not given out yet. */
  | 'dot'
  | 'dot-cr';

/**
 * Tells the replies of a mail server apart, as they come. Whoever reads knows whether a reply has more lines.
 *
 * Holds: a multi-line reply ends at CRLF "." CRLF and at nothing else; its octets are given out as they came, each once, without
 * that last line; less than a line's length is kept back. Must never happen: an octet of a message that is taken for a reply.
 */
export class ReplyScanner {
  readonly #maxLine: number;
  #chunks: Buffer[] = [];
  #buffered = 0;
  #place: Place = 'line-start';

  /** `maxLine`: octets of a status line, CRLF included. */
  constructor(maxLine: number) {
    this.#maxLine = maxLine;
  }

  /** Octets that have come and were not given out. */
  get buffered(): number {
    return this.#buffered;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
  }

  /** The status line; null: it is not whole yet. Throws SealgateError `pop3.framing`. */
  status(): StatusLine | null {
    const line = this.line();
    return line === null ? null : readStatusLine(line);
  }

  /** The next line without its CRLF; null: it is not whole yet. Throws SealgateError `pop3.framing`. */
  line(): Buffer | null {
    const first = this.#chunks.length > 1 ? this.#joined() : this.#chunks[0];
    if (first === undefined) return null;
    const end = first.indexOf(LF);
    if ((end === -1 ? first.length : end + 1) > this.#maxLine) throw framing('a line is too long');
    if (end === -1) return null;
    const line = first.subarray(0, end - 1);
    if (first[end - 1] !== CR || line.includes(CR)) throw framing('a line has a bare CR or LF');
    this.#drop(end + 1);
    this.#place = 'line-start';
    return line;
  }

  /** The next piece of a multi-line reply; null: nothing more has come. */
  body(): BodyPiece | null {
    for (;;) {
      const chunk = this.#chunks[0];
      if (chunk === undefined) return null;
      switch (this.#place) {
        case 'line-start':
          if (chunk[0] === DOT) this.#take(1, 'dot');
          else this.#place = 'inside';
          break;
        case 'dot':
          if (chunk[0] !== CR) {
            this.#place = 'inside';
            return ONLY_DOT;
          }
          this.#take(1, 'dot-cr');
          break;
        case 'dot-cr':
          if (chunk[0] !== LF) {
            this.#place = 'cr';
            return DOT_AND_CR;
          }
          this.#take(1, 'line-start');
          return 'end';
        case 'cr':
          if (chunk[0] !== LF) this.#place = 'inside';
          else return this.#take(1, 'line-start');
          break;
        case 'inside':
          return this.#lines(chunk);
      }
    }
  }

  /** As much of the chunk as surely belongs to the reply. */
  #lines(chunk: Buffer): Buffer {
    for (let at = chunk.indexOf(CRLF_DOT); at !== -1; at = chunk.indexOf(CRLF_DOT, at + 2)) {
      const [behind, further] = [chunk[at + 3], chunk[at + 4]];
      const mayEnd = behind === undefined || (behind === CR && (further === undefined || further === LF));
      if (mayEnd) return this.#take(at + 2, 'line-start');
    }
    const last = chunk[chunk.length - 1];
    if (last === CR) return this.#take(chunk.length, 'cr');
    const ended = last === LF && chunk[chunk.length - 2] === CR;
    return this.#take(chunk.length, ended ? 'line-start' : 'inside');
  }

  #take(octets: number, place: Place): Buffer {
    const taken = (this.#chunks[0] ?? NOTHING).subarray(0, octets);
    this.#drop(octets);
    this.#place = place;
    return taken;
  }

  #joined(): Buffer {
    const whole = Buffer.concat(this.#chunks);
    this.#chunks = [whole];
    return whole;
  }

  #drop(octets: number): void {
    this.#buffered -= octets;
    const chunk = this.#chunks[0] ?? NOTHING;
    if (octets === chunk.length) this.#chunks.shift();
    else this.#chunks[0] = chunk.subarray(octets);
  }
}

function readStatusLine(line: Buffer): StatusLine {
  const text = line.toString('latin1');
  const word = /^(?:\+OK|-ERR|\+)(?= |$)/i.exec(text)?.[0].toUpperCase();
  switch (word) {
    case '+OK':
      return { kind: 'ok', text };
    case '-ERR':
      return { kind: 'error', text };
    case '+':
      return { kind: 'challenge', text };
    default:
      throw framing('a line is no reply');
  }
}

function framing(reason: string): SealgateError {
  return new SealgateError({
    code: 'pop3.framing',
    publicText: 'The mail server was not understood. Connect again.',
    duration: 'temporary',
    reason,
  });
}
