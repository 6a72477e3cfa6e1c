import type { Entity, Range } from '../mail/entity.ts';
import { malformedLines } from '../mail/header.ts';
import type { Message } from '../mail/message.ts';
import { decodeBody } from '../mail/transfer-encoding.ts';
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
  const [content, signature, more] = root.parts;
  if (content === undefined || signature === undefined || more !== undefined) return null;
  if (!isSignaturePart(signature) || !IDENTITY.has(root.transferEncoding)) return null;
  if (malformedLines(root.fields).length > 0 || malformedLines(signature.fields).length > 0) return null;
  const boundary = root.mediaType.parameters.get('boundary') ?? '';
  if (!BOUNDARY.test(boundary) || !isUnambiguous(octets, root, boundary, content, signature)) return null;
  return { content: content.range, signature: decodeBody(octets, signature) };
}

const IDENTITY: ReadonlySet<string> = new Set(['7bit', '8bit', 'binary']);

// boundary := 0*69<bchars> bcharsnospace (RFC 2046 §5.1.1)
const BOUNDARY = /^[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]$/;

function isSignaturePart({ declared, mediaType, parts }: Entity): boolean {
  return declared && parts.length === 0 && isPkcs7Signature(`${mediaType.type}/${mediaType.subtype}`);
}

/** Exactly three lines begin with the boundary, under every notion of what a line is: before, between and after the parts. */
function isUnambiguous(
  octets: Buffer,
  root: Entity,
  boundary: string,
  content: Entity,
  signature: Entity,
): boolean {
  const dashes = Buffer.from(`--${boundary}`, 'latin1');
  const found: number[] = [];
  for (let at = octets.indexOf(dashes, root.body.start); at !== -1; at = octets.indexOf(dashes, at + 1)) {
    const before = at === root.body.start ? LF : octets[at - 1];
    if (before === LF || before === CR) found.push(at);
    if (found.length > 3) return false;
  }
  const [first, second, close] = found;
  if (first === undefined || second === undefined || close === undefined) return false;
  return (
    first < content.range.start &&
    second >= content.range.end &&
    second < signature.range.start &&
    close >= signature.range.end &&
    octets.toString('latin1', close + dashes.length, close + dashes.length + 2) === '--'
  );
}

const LF = 0x0a;
const CR = 0x0d;
