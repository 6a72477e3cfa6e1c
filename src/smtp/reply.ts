/** A reply of RFC 5321 §4.2: all lines share one code; the enhanced code of RFC 2034 is part of the text. */
export type Reply = {
  /** 200–599. */
  code: number;
  /** Text of each line without code, separator and CRLF; at least one. */
  lines: readonly string[];
};
