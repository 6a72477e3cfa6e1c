import type { Entity } from '../mail/entity.ts';
import { readEntity } from '../mail/entity-tree.ts';

/**
 * Decrypted content in the form that IMAP and POP3 can carry inside the shell: CRLF line ends, no NUL, no line over 998
 * octets (RFC 5321 §4.5.3.1.6) in text that is not encoded. What cannot be carried as lines becomes base64, one leaf at
 * a time. Content that is clean already, which is nearly all of it, is not touched or copied.
 *
 * Throws SealgateError `mail.too-complex`, `mail.header-too-large`.
 */
export function canonicalEntity(content: Buffer): Buffer {
  const entity = unwrapMessages(content);
  if (!beginsWithHeader(entity)) return asAttachment(entity);
  const dirty = !isClean(entity);
  if (!dirty && entity.indexOf('binary') === -1 && entity.indexOf('BINARY') === -1) return entity;
  return rebuild(entity, readEntity(entity));
}

/** RFC 8551 §3.1: header protection by wrapping. Some clients cannot show a message/rfc822 in a listing. */
const WRAPPERS = 3;

function unwrapMessages(content: Buffer): Buffer {
  let inner = content;
  for (let i = 0; i < WRAPPERS; i++) {
    const root = readEntity(inner);
    const { type, subtype } = root.mediaType;
    if (type !== 'message' || subtype !== 'rfc822' || !root.declared) return inner;
    if (root.transferEncoding === 'base64' || root.transferEncoding === 'quoted-printable') return inner;
    inner = inner.subarray(root.body.start, root.body.end);
  }
  return inner;
}

/** A field, or the empty line of an entity without fields (RFC 2045 §5.2: text/plain). */
function beginsWithHeader(entity: Buffer): boolean {
  return /^(?:[!-9;-~]+[ \t]*:|\r?\n)/.test(entity.toString('latin1', 0, 1_000));
}

function asAttachment(content: Buffer): Buffer {
  const header = [
    'Content-Type: application/octet-stream; name="content.bin"',
    'Content-Transfer-Encoding: base64',
    'Content-Disposition: attachment; filename="content.bin"',
  ];
  return Buffer.concat([Buffer.from(`${header.join(CRLF)}${CRLF}${CRLF}`), base64Lines(content)]);
}

const CRLF = '\r\n';
const LF = 0x0a;
const CR = 0x0d;
const LINE_OCTETS = 998;

/** Every line ends with CRLF and has at most 998 octets; no NUL, no CR or LF elsewhere. */
export function isClean(octets: Buffer): boolean {
  if (octets.indexOf(0) !== -1) return false;
  let start = 0;
  let cr = octets.indexOf(CR);
  for (let lf = octets.indexOf(LF); lf !== -1; lf = octets.indexOf(LF, start)) {
    if (cr === -1 || cr !== lf - 1 || cr - start > LINE_OCTETS) return false;
    start = lf + 1;
    cr = octets.indexOf(CR, start);
  }
  return cr === -1 && octets.length - start <= LINE_OCTETS;
}

function rebuild(octets: Buffer, entity: Entity): Buffer {
  if (entity.parts.length > 0) return rebuildMultipart(octets, entity);
  const body = octets.subarray(entity.body.start, entity.body.end);
  if (mustEncode(entity, body)) return encodedLeaf(octets, entity, body);
  return canonicalLines(octets.subarray(entity.range.start, entity.range.end));
}

function rebuildMultipart(octets: Buffer, entity: Entity): Buffer {
  const pieces: Buffer[] = [];
  let at = entity.range.start;
  for (const part of entity.parts) {
    pieces.push(canonicalLines(octets.subarray(at, part.range.start)), rebuild(octets, part));
    at = part.range.end;
  }
  pieces.push(canonicalLines(octets.subarray(at, entity.range.end)));
  return Buffer.concat(pieces);
}

function mustEncode(entity: Entity, body: Buffer): boolean {
  const { transferEncoding, mediaType } = entity;
  // RFC 2046 §5.2.1 and §5.1: composite types may not be encoded.
  if (mediaType.type === 'message' || mediaType.type === 'multipart') return false;
  if (transferEncoding === 'base64' || transferEncoding === 'quoted-printable') return false;
  if (transferEncoding === 'binary' && mediaType.type !== 'text') return true;
  return body.indexOf(0) !== -1 || longestLine(body) > LINE_OCTETS;
}

function longestLine(octets: Buffer): number {
  let longest = 0;
  let start = 0;
  for (let lf = octets.indexOf(LF); lf !== -1; lf = octets.indexOf(LF, start)) {
    longest = Math.max(longest, lf - start - (octets[lf - 1] === CR ? 1 : 0));
    start = lf + 1;
  }
  return Math.max(longest, octets.length - start);
}

function encodedLeaf(octets: Buffer, entity: Entity, body: Buffer): Buffer {
  const kept = entity.fields
    .filter((field) => field.name.toLowerCase() !== 'content-transfer-encoding')
    .map((field) => canonicalLines(octets.subarray(field.range.start, field.range.end)));
  const encoding = Buffer.from(`Content-Transfer-Encoding: base64${CRLF}${CRLF}`);
  return Buffer.concat([...kept, encoding, base64Lines(body)]);
}

/** RFC 2045 §6.8: lines of 76; no line end after the last, which belongs to the boundary that follows. */
function base64Lines(octets: Buffer): Buffer {
  const text = octets.toString('base64');
  const lines: string[] = [];
  for (let i = 0; i < text.length; i += 76) lines.push(text.slice(i, i + 76));
  return Buffer.from(lines.join(CRLF), 'latin1');
}

/** Lone CR and LF become CRLF, NUL becomes a blank. */
export function canonicalLines(octets: Buffer): Buffer {
  let extra = 0;
  let odd = false;
  for (let i = 0; i < octets.length; i++) {
    const octet = octets[i];
    if (octet === LF && octets[i - 1] !== CR) extra++;
    else if (octet === CR && octets[i + 1] !== LF) extra++;
    else if (octet === 0) odd = true;
  }
  if (extra === 0 && !odd) return octets;
  const result = Buffer.allocUnsafe(octets.length + extra);
  let to = 0;
  for (let i = 0; i < octets.length; i++) {
    const octet = octets[i] ?? 0;
    if (octet === LF && octets[i - 1] !== CR) result[to++] = CR;
    result[to++] = octet === 0 ? 0x20 : octet;
    if (octet === CR && octets[i + 1] !== LF) result[to++] = LF;
  }
  return result;
}
