/** A range of octets [start, end) of the message it belongs to. */
export type Range = { start: number; end: number };

/**
 * One header field: `range` covers name, colon, folded value and the final line end, if that is not a boundary's.
 * A line that is neither a field nor a continuation keeps its place as a field whose name is empty.
 */
export type HeaderField = {
  /** As written; empty for a malformed line. */
  name: string;
  /** Unfolded value (RFC 5322 §2.2.3) without the leading blanks, decoded as latin1 so that every octet survives. */
  value: string;
  range: Range;
};

/**
 * A media type of RFC 2045 §5.1; type, subtype and attribute names in lower case, RFC 2231 continuations joined.
 * Values are latin1 as written, except those in RFC 2231's extended form, which are decoded.
 */
export type MediaType = { type: string; subtype: string; parameters: ReadonlyMap<string, string> };

/**
 * A MIME entity as byte ranges. `header` ends before the empty line; `body` begins after it.
 * The CRLF before a boundary belongs to the boundary (RFC 2046 §5.1.1), so it is not in a part's body.
 */
export type Entity = {
  /** The whole entity, as the boundaries around it delimit it: what a signature over it covers. */
  range: Range;
  header: Range;
  body: Range;
  fields: readonly HeaderField[];
  /** The default text/plain where absent or not parsable (`declared` false). */
  mediaType: MediaType;
  declared: boolean;
  /** Lower case; `7bit` where absent; `unknown` where several fields disagree. */
  transferEncoding: string;
  /** Parts of a multipart; empty otherwise. */
  parts: readonly Entity[];
};
