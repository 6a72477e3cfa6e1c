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
