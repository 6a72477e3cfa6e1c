import { limits } from '../limits.ts';
import { type Element, isContext, isUniversal, type TagClass, universal } from './element.ts';
import { malformed } from './malformed.ts';
import { type Header, MOST_HEADER_OCTETS, readHeader } from './reader.ts';

/**
 * Reads BER of which not all octets are there yet: one long OCTET STRING, the content, and around it what is small.
 *
 * Holds: what is kept is bounded by `limits.asn1.structureOctets`; work is linear in the input.
 * Must never happen: another structure for other chunks.
 */

/**
 * How a structure with content is read: written down once, and run over a Buffer (read-octets.ts) or over a stream
 * (read-stream.ts).
 */
export type Grammar<Head, Whole> = {
  /**
   * Reads up to the content and begins it; none is begun where there is none. Runs again from the start when octets
   * are missing, so it leaves nothing behind.
   */
  head(reader: IncrementalReader): Head;
  /** Reads from behind the content to the end of the input. */
  tail(reader: IncrementalReader, head: Head): Whole;
};

/** `end`: offset in the input where content ends at most; exactly there, when the length is definite. */
type Scope = { end: number; definite: boolean };

/** No input is longer; keeps the arithmetic exact. */
const UNBOUNDED = 2 ** 47;

/** Thrown where further octets are needed: for the driver alone. */
export class Incomplete extends Error {}

export class IncrementalReader {
  /** Octets received; those before `#at` have been read. */
  #octets: Buffer;
  #at = 0;
  /** Octets received that follow them. */
  #coming: Buffer = Buffer.alloc(0);
  /** Offset of `#octets` in the input. */
  #base = 0;
  #ended: boolean;
  #scope: Scope = { end: UNBOUNDED, definite: false };
  readonly #outer: Scope[] = [];
  /** The header at `#at`, once it was looked at. */
  #ahead: Header | null = null;
  #structureLeft: number = limits.asn1.structureOctets;
  /** The content: octets left of the string or segment at `#at`; segments seen; scopes around it. */
  #left = 0;
  #segments = 0;
  #around = 0;
  #contentOctets = 0;

  /** @param octets the first ones of the input @param ended whether these are all */
  constructor(octets: Buffer, ended: boolean) {
    this.#octets = octets;
    this.#ended = ended;
  }

  /** For drivers: what is left of the octets is kept, so that whoever gave them may use their memory again. */
  keepRest(): void {
    this.#base += this.#at;
    this.#octets = Buffer.from(this.#octets.subarray(this.#at));
    this.#at = 0;
    this.#coming = Buffer.from(this.#coming);
  }

  /** For drivers: the octets that follow. */
  receive(octets: Buffer): void {
    this.#coming = this.#coming.length === 0 ? octets : Buffer.concat([this.#coming, octets]);
  }

  /** For drivers: nothing follows. */
  receiveEnd(): void {
    this.#join(this.#coming.length);
    this.#ended = true;
  }

  /** Steps into the next element, which must be constructed and universal with this tag. */
  openUniversal(tag: number, what: string): void {
    const header = this.#next(what);
    if (!isUniversal(header, tag)) throw this.#malformed(`${what} has the wrong tag`);
    this.#open(header);
  }

  /** Steps into the next element if it carries this context-specific tag; it must be constructed then. */
  openContext(tag: number): boolean {
    const header = this.#peek();
    if (header === null || !isContext(header, tag)) return false;
    this.#open(header);
    return true;
  }

  /** Steps out; nothing may be left. */
  close(): void {
    if (!this.#isAtEnd()) throw this.#malformed('an unexpected component');
    this.#leave();
  }

  /** After the outermost element: nothing may follow. */
  end(): void {
    if (this.#octets.length > this.#at) throw this.#malformed('octets too many');
    if (!this.#ended) throw new Incomplete();
  }

  /** The next element as a whole. */
  element(what: string): Element {
    const header = this.#next(what);
    const { tagClass, tag, constructed, headerOctets, length } = header;
    const { offset } = this;
    const total = length === null ? this.#indefiniteOctets(headerOctets) : headerOctets + length;
    if (total > this.#structureLeft) throw this.#malformed('a structure that is too large');
    if (this.#octets.length - this.#at < total) throw this.#missing();
    this.#structureLeft -= total;
    const raw = this.#octets.subarray(this.#at, this.#at + total);
    const content = raw.subarray(headerOctets, length === null ? total - 2 : total);
    this.#advance(total);
    return { tagClass, tag, constructed, raw, content, offset };
  }

  /** The next element as a whole, which must carry this universal tag. */
  universal(tag: number, what: string): Element {
    if (!isUniversal(this.#next(what), tag)) throw this.#malformed(`${what} has the wrong tag`);
    return this.element(what);
  }

  /** The next element as a whole if it carries this context-specific tag. */
  optionalContext(tag: number): Element | null {
    const header = this.#peek();
    return header !== null && isContext(header, tag) ? this.element('a component') : null;
  }

  /**
   * Begins the content: the octets of the next element, which must be an OCTET STRING, primitive or in segments (X.690
   * §8.7.3).
   *
   * @param tagClass and `tag` stand for universal OCTET STRING where it is tagged IMPLICIT
   */
  beginContent(tagClass: TagClass, tag: number, what: string): void {
    const header = this.#next(what);
    if (header.tagClass !== tagClass || header.tag !== tag)
      throw this.#malformed(`${what} has the wrong tag`);
    this.#around = this.#outer.length;
    this.#openString(header);
  }

  /** For drivers: the next octets of the content; null: further ones have to be received; undefined: that was all. */
  takeContent(): Buffer | null | undefined {
    for (;;) {
      if (this.#left > 0) return this.#takePiece();
      if (this.#around === 0 || this.#outer.length === this.#around) return undefined;
      if (!this.#isReady()) this.#join(MOST_HEADER_OCTETS);
      if (!this.#isReady()) return null;
      if (this.#isAtEnd()) {
        this.#leave();
        continue;
      }
      const header = this.#next('a segment');
      if (!isUniversal(header, universal.octetString)) {
        throw this.#malformed('a segment of the same string type was expected');
      }
      const { elements, segmentOctets } = limits.asn1;
      if (++this.#segments > elements + this.#contentOctets / segmentOctets) {
        throw this.#malformed('too many elements');
      }
      this.#openString(header);
    }
  }

  /** How long the content was. */
  get contentOctets(): number {
    return this.#contentOctets;
  }

  /** Offset of what is read next. */
  get offset(): number {
    return this.#base + this.#at;
  }

  #malformed(reason: string): Error {
    return malformed(this.offset, reason);
  }

  #missing(): Error {
    return this.#ended ? this.#malformed('the data ends too early') : new Incomplete();
  }

  /** Whether the next header is there, and with it the end of the scope or of the input where that comes first. */
  #isReady(ahead = 0): boolean {
    return this.#ended || this.#octets.length - this.#at - ahead >= MOST_HEADER_OCTETS;
  }

  /** Position in `#octets`, or beyond them, where the scope ends at most. */
  #last(): number {
    const end = this.#scope.end - this.#base;
    return this.#ended ? Math.min(end, this.#octets.length) : end;
  }

  #isAtEnd(): boolean {
    if (this.#scope.definite) return this.offset === this.#scope.end;
    if (!this.#isReady()) throw new Incomplete();
    return this.#isEndOfContents(this.#at);
  }

  #isEndOfContents(position: number): boolean {
    return this.#octets[position] === 0 && this.#octets[position + 1] === 0 && position + 2 <= this.#last();
  }

  /** The next header without taking it; null at the end of the scope. */
  #peek(): Header | null {
    if (this.#ahead === null && !this.#isAtEnd()) this.#ahead = this.#headerAt(0);
    return this.#ahead;
  }

  #next(what: string): Header {
    const header = this.#peek();
    if (header === null) throw this.#malformed(`${what} is missing`);
    return header;
  }

  #headerAt(ahead: number): Header {
    if (!this.#isReady(ahead)) throw new Incomplete();
    return readHeader(this.#octets, 'BER', this.#at + ahead, this.#base, this.#last());
  }

  #advance(octets: number): void {
    this.#at += octets;
    this.#ahead = null;
  }

  #open({ constructed, headerOctets, length }: Header): void {
    if (!constructed) throw this.#malformed('a constructed encoding was expected');
    if (this.#outer.length >= limits.asn1.depth) throw this.#malformed('nesting too deep');
    this.#advance(headerOctets);
    this.#outer.push(this.#scope);
    this.#scope =
      length === null
        ? { end: this.#scope.end, definite: false }
        : { end: this.offset + length, definite: true };
  }

  /** Only at the end of the scope. */
  #leave(): void {
    if (!this.#scope.definite) this.#advance(2);
    this.#scope = this.#outer.pop() ?? this.#scope;
  }

  #openString(header: Header): void {
    if (header.constructed) {
      this.#open(header);
      return;
    }
    this.#advance(header.headerOctets);
    this.#left = header.length ?? 0;
    this.#contentOctets += this.#left;
  }

  /**
   * What is left of the octets and the first of those that follow: so many, that a large chunk is not copied for the few
   * octets of a header in front of it.
   */
  #join(octets: number): void {
    const left = this.#octets.subarray(this.#at);
    const wanted = left.length === 0 ? this.#coming.length : octets;
    const first = this.#coming.subarray(0, wanted);
    this.#base += this.#at;
    this.#at = 0;
    this.#octets = left.length === 0 ? first : Buffer.concat([left, first]);
    this.#coming = this.#coming.subarray(wanted);
  }

  #takePiece(): Buffer | null {
    if (this.#octets.length === this.#at) this.#join(this.#coming.length);
    const here = Math.min(this.#left, this.#octets.length - this.#at);
    if (here === 0) {
      if (this.#ended) throw this.#malformed('the data ends too early');
      return null;
    }
    const piece = this.#octets.subarray(this.#at, this.#at + here);
    this.#advance(here);
    this.#left -= here;
    return piece;
  }

  /** How long an element of indefinite length is, end-of-contents octets included. */
  #indefiniteOctets(headerOctets: number): number {
    let position = headerOctets;
    let open = 1;
    for (let seen = 0; ; seen++) {
      if (seen > limits.asn1.elements) throw this.#malformed('too many elements');
      if (position > this.#structureLeft) throw this.#malformed('a structure that is too large');
      if (!this.#isReady(position)) throw new Incomplete();
      if (this.#isEndOfContents(this.#at + position)) {
        position += 2;
        open--;
        if (open === 0) return position;
        continue;
      }
      const header = this.#headerAt(position);
      position += header.headerOctets;
      if (header.length === null) {
        open++;
        if (open > limits.asn1.depth) throw this.#malformed('nesting too deep');
      } else {
        position += header.length;
      }
    }
  }
}
