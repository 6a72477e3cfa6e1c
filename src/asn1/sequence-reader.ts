import { limits } from '../limits.ts';
import { contentOffset, type Element, isContext, isUniversal, universal } from './element.ts';
import { malformed } from './malformed.ts';
import { type Rules, readElement } from './reader.ts';

/**
 * Walks the components of a SEQUENCE (or of anything constructed) in their order. Each step names what it expects;
 * `end()` refuses what is left, so that no component is ever skipped in silence.
 *
 * All methods throw SealgateError `asn1.malformed`.
 */
export class SequenceReader {
  readonly rules: Rules;
  readonly #content: Buffer;
  readonly #base: number;
  #position = 0;
  #taken = 0;
  #ahead: Element | null = null;

  /** @param element any constructed element; use `sequenceOf` where the tag is to be checked */
  constructor(element: Element, rules: Rules) {
    if (!element.constructed) throw malformed(element.offset, 'a constructed encoding was expected');
    this.#content = element.content;
    this.#base = contentOffset(element);
    this.rules = rules;
  }

  /** Offset of the next component in the outermost input. */
  get offset(): number {
    return this.#base + this.#position;
  }

  get atEnd(): boolean {
    return this.#position >= this.#content.length;
  }

  /** The next component without taking it; null at the end. */
  peek(): Element | null {
    if (this.atEnd) return null;
    this.#ahead ??= readElement(this.#content, this.rules, this.#position, this.#base);
    return this.#ahead;
  }

  /** @param what the component's name in the standard, for the message */
  next(what = 'a component'): Element {
    const element = this.peek();
    if (element === null) throw malformed(this.offset, `${what} is missing`);
    if (this.#taken >= limits.asn1.elements) throw malformed(this.offset, 'too many elements');
    this.#taken++;
    this.#position += element.raw.length;
    this.#ahead = null;
    return element;
  }

  /** The next component, which must carry this universal tag. */
  universal(tag: number, what = 'a component'): Element {
    const element = this.peek();
    if (element !== null && !isUniversal(element, tag))
      throw malformed(this.offset, `${what} has the wrong tag`);
    return this.next(what);
  }

  /** The next component if it carries this universal tag. */
  optionalUniversal(tag: number): Element | null {
    const element = this.peek();
    return element !== null && isUniversal(element, tag) ? this.next() : null;
  }

  /** The next component if it carries this context-specific tag; its content is for the caller (see `implicitly`). */
  optionalContext(tag: number): Element | null {
    const element = this.peek();
    return element !== null && isContext(element, tag) ? this.next() : null;
  }

  /** What is inside `[tag] EXPLICIT`, if that is next. */
  optionalExplicit(tag: number): Element | null {
    const wrapper = this.optionalContext(tag);
    return wrapper === null ? null : explicitly(wrapper, this.rules);
  }

  /** A reader for the next component, which must be a SEQUENCE. */
  sequence(what = 'a SEQUENCE'): SequenceReader {
    return new SequenceReader(this.universal(universal.sequence, what), this.rules);
  }

  /** Nothing may follow. */
  end(): void {
    if (!this.atEnd) throw malformed(this.offset, 'an unexpected component');
  }
}

/** A reader for `element`, which must be a universal SEQUENCE. */
export function sequenceOf(element: Element, rules: Rules, what = 'a SEQUENCE'): SequenceReader {
  if (!isUniversal(element, universal.sequence)) throw malformed(element.offset, `${what} has the wrong tag`);
  return new SequenceReader(element, rules);
}

/** The one element inside an EXPLICIT tag. */
export function explicitly(wrapper: Element, rules: Rules): Element {
  const reader = new SequenceReader(wrapper, rules);
  const inner = reader.next('the value of an explicit tag');
  reader.end();
  return inner;
}
