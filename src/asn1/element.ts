/** Tag classes of X.690 §8.1.2.2. */
export type TagClass = 'universal' | 'application' | 'context' | 'private';

/**
 * One encoded element. All Buffers are views on the input: no copies, offsets exact.
 * For BER indefinite length, `content` ends before the end-of-contents octets and `raw` includes them.
 */
export type Element = {
  tagClass: TagClass;
  tag: number;
  constructed: boolean;
  /** Identifier, length and content octets. */
  raw: Buffer;
  content: Buffer;
  /** Offset of `raw` in the outermost input; for error messages. */
  offset: number;
};

/** Universal tag numbers, X.680 §8.4. */
export const universal = {
  endOfContents: 0,
  boolean: 1,
  integer: 2,
  bitString: 3,
  octetString: 4,
  nullValue: 5,
  objectIdentifier: 6,
  enumerated: 10,
  utf8String: 12,
  sequence: 16,
  set: 17,
  numericString: 18,
  printableString: 19,
  t61String: 20,
  ia5String: 22,
  utcTime: 23,
  generalizedTime: 24,
  visibleString: 26,
  universalString: 28,
  bmpString: 30,
} as const;

/** Where `content` begins, in octets of the outermost input. */
export function contentOffset(element: Element): number {
  return element.offset + (element.content.byteOffset - element.raw.byteOffset);
}

/** What a tag is told by: of an element, or of its header alone. */
export type Tagged = Pick<Element, 'tagClass' | 'tag'>;

export function isUniversal(element: Tagged, tag: number): boolean {
  return element.tagClass === 'universal' && element.tag === tag;
}

export function isContext(element: Tagged, tag: number): boolean {
  return element.tagClass === 'context' && element.tag === tag;
}

/**
 * An element with an IMPLICIT tag, read as the universal type it stands for. The caller has chosen it by its own
 * tag; decoders refuse everything that does not carry the universal tag they decode.
 * `raw` keeps the octets as sent.
 */
export function implicitly(element: Element, tag: number): Element {
  return { ...element, tagClass: 'universal', tag };
}
