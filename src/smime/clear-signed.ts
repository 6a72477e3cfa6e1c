import type { Entity, Range } from '../mail/entity.ts';
import { malformedLines } from '../mail/header.ts';
import type { Message } from '../mail/message.ts';
import { decodeBody } from '../mail/transfer-encoding.ts';
import { OctetSearch } from '../octets/octet-search.ts';
import { isPkcs7Signature } from './recognise.ts';

/**
 * multipart/signed (RFC 8551 §3.5.3, RFC 1847 §2.1): two parts, what is signed and the signature.
 *
 * Must never happen: that we verify one range of octets and a mail client shows another. So a message whose parts
 * somebody could find elsewhere is not verified at all: lines that begin with the boundary but are no boundary line
 * for us (RFC 2046 §5.1.1 lets readers take those for one), boundary lines after a lone CR, no closing boundary, more
 * parts than two, a transfer encoding around all of it, header lines that are no fields.
 */
export type ClearSigned = {
  /** What is signed: header and body of the first part. */
  content: Range;
  /** DER or BER of the CMS object. */
  signature: Buffer;
};

/** null: not what RFC 8551 describes, or open to more than one reading. Throws SealgateError `mail.malformed-encoding`. */
export function readClearSigned({ octets, root }: Message): ClearSigned | null {
  const parts = clearSignedParts(root);
  if (parts === null) return null;
  const lines = new BoundaryLines(parts.boundary, root.body.start);
  lines.update(octets.subarray(root.body.start));
  const close = lines.closeOf(parts);
  if (close === null || octets.toString('latin1', close, close + 2) !== '--') return null;
  return { content: parts.content.range, signature: decodeBody(octets, parts.signature) };
}

export type ClearSignedParts = { content: Entity; signature: Entity; boundary: string };

/** What must hold of the entities alone; null: it does not. */
export function clearSignedParts(root: Entity): ClearSignedParts | null {
  const [content, signature, more] = root.parts;
  if (content === undefined || signature === undefined || more !== undefined) return null;
  if (!isSignaturePart(signature) || !IDENTITY.has(root.transferEncoding)) return null;
  if (malformedLines(root.fields).length > 0 || malformedLines(signature.fields).length > 0) return null;
  const boundary = root.mediaType.parameters.get('boundary') ?? '';
  return BOUNDARY.test(boundary) ? { content, signature, boundary } : null;
}

/** Looks for lines that begin with the boundary, under every notion of what a line is. */
export class BoundaryLines {
  readonly #search: OctetSearch;
  readonly #dashes: Buffer;
  readonly #found: number[] = [];

  /** @param start of the body of the multipart: there the search begins */
  constructor(boundary: string, start: number) {
    this.#dashes = Buffer.from(`--${boundary}`, 'latin1');
    this.#search = new OctetSearch(this.#dashes, (at, before) => {
      // Four are too many; how many more there are does not matter.
      if (this.#found.length < 4 && (before === -1 || before === LF || before === CR))
        this.#found.push(start + at);
    });
  }

  update(octets: Buffer): void {
    this.#search.update(octets);
  }

  /**
   * Where the third one ends, behind which two dashes have to stand. null: there are not exactly three of them, before,
   * between and after the parts.
   */
  closeOf({ content, signature }: ClearSignedParts): number | null {
    const [first, second, close, more] = this.#found;
    if (first === undefined || second === undefined || close === undefined || more !== undefined) return null;
    const inPlace =
      first < content.range.start &&
      second >= content.range.end &&
      second < signature.range.start &&
      close >= signature.range.end;
    return inPlace ? close + this.#dashes.length : null;
  }
}

const IDENTITY: ReadonlySet<string> = new Set(['7bit', '8bit', 'binary']);

// boundary := 0*69<bchars> bcharsnospace (RFC 2046 §5.1.1)
const BOUNDARY = /^[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]$/;

function isSignaturePart({ declared, mediaType, parts }: Entity): boolean {
  return declared && parts.length === 0 && isPkcs7Signature(`${mediaType.type}/${mediaType.subtype}`);
}

const LF = 0x0a;
const CR = 0x0d;
