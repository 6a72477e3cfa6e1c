/** A range of octets [start, end) of the message it belongs to. */
export type Range = { start: number; end: number };

/** One header field: `range` covers name, colon, folded value and the final CRLF. */
export type HeaderField = {
  /** As written. */
  name: string;
  /** Unfolded value (RFC 5322 §2.2.3) without the leading blank, decoded as latin1 so that every octet survives. */
  value: string;
  range: Range;
};

/** A media type of RFC 2045 §5.1; type, subtype and attribute names in lower case, RFC 2231 continuations joined. */
export type MediaType = { type: string; subtype: string; parameters: ReadonlyMap<string, string> };

/**
 * A MIME entity as byte ranges. `header` ends before the empty line; `body` begins after it.
 * The CRLF before a boundary belongs to the boundary (RFC 2046 §5.1.1), so it is not in a part's body.
 */
export type Entity = {
  header: Range;
  body: Range;
  fields: readonly HeaderField[];
  /** The default text/plain where absent or not parsable (`declared` false). */
  mediaType: MediaType;
  declared: boolean;
  /** Lower case; `7bit` where absent. */
  transferEncoding: string;
  /** Parts of a multipart; empty otherwise. */
  parts: readonly Entity[];
};
