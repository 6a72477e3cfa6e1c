import { limits } from '../limits.ts';
import { canonicalLines, canonicalText, hazardsIn, isSafe, startsFrom } from './canonical.ts';
import type { Entity } from './entity.ts';
import { readEntity, tooComplex } from './entity-tree.ts';
import { asBuffer, fieldsNamed } from './header.ts';
import { cannotMakeSafe, safeField } from './header-encoding.ts';
import { encodeBase64, encodeQuotedPrintable } from './transfer-encoding.ts';

/**
 * Makes an entity fit for signing (RFC 8551 §3.1): CRLF, seven bits, lines of at most 998 octets, no blank before a
 * line end and no line that starts with `From `, so that no relay has a reason to touch it.
 *
 * Leaves that are safe already stay as they are, byte for byte. A multipart/signed inside is never touched: it would
 * break the signature of somebody else.
 */

/** The safe form of the entity; its own safe form is itself. Throws SealgateError `mail.cannot-make-safe`, `mail.too-complex`. */
export function sevenBitSafe(octets: Uint8Array): Buffer {
  const out: Uint8Array[] = [];
  writeEntity(asBuffer(octets), readEntity(octets), 0, out);
  return Buffer.concat(out);
}

const CRLF = Buffer.from('\r\n');

function writeEntity(octets: Buffer, entity: Entity, depth: number, out: Uint8Array[]): void {
  if (depth > limits.mail.depth) throw tooComplex('messages nested too deep');
  const { type, subtype } = entity.mediaType;
  if (type === 'multipart' && subtype === 'signed') {
    out.push(canonicalLines(octets.subarray(entity.range.start, entity.range.end)));
  } else if (entity.parts.length > 0) {
    writeMultipart(octets, entity, depth, out);
  } else if (type === 'message' && (subtype === 'rfc822' || subtype === 'global') && isIdentity(entity)) {
    // RFC 2046 §5.2.1: a message may only be 7bit, 8bit or binary, so what is inside it is made safe.
    writeHeader(octets, entity, isSevenBit(entity) ? null : '7bit', out);
    writeEntity(octets, readEntity(octets, entity.body), depth + 1, out);
  } else {
    writeLeaf(octets, entity, out);
  }
}

function writeMultipart(octets: Buffer, entity: Entity, depth: number, out: Uint8Array[]): void {
  const boundary = (entity.mediaType.parameters.get('boundary') ?? '').replace(/[ \t]+$/, '');
  writeHeader(octets, entity, isSevenBit(entity) ? null : '7bit', out);
  let from = entity.body.start;
  let glue = `--${boundary}\r\n`;
  for (const part of entity.parts) {
    out.push(safeOr(octets.subarray(from, part.range.start), glue));
    writeEntity(octets, part, depth + 1, out);
    from = part.range.end;
    glue = `\r\n--${boundary}\r\n`;
  }
  const tail = octets.subarray(from, entity.range.end);
  const closed = canonicalLines(tail).toString('latin1').trimStart().startsWith(`--${boundary}--`);
  out.push(safeOr(closed ? tail : null, `\r\n--${boundary}--\r\n`));
}

/** Boundary lines with preamble or epilogue. Those are nobody's content: unsafe ones go (RFC 2046 §5.1.1). */
function safeOr(lines: Buffer | null, replacement: string): Buffer {
  if (lines === null) return Buffer.from(replacement, 'latin1');
  const { lines: canonical, hazards } = canonicalText(lines);
  return isSafe(hazards) ? canonical : Buffer.from(replacement, 'latin1');
}

function writeLeaf(octets: Buffer, entity: Entity, out: Uint8Array[]): void {
  const body = octets.subarray(entity.body.start, entity.body.end);
  switch (entity.transferEncoding) {
    case '7bit':
    case '8bit':
    case 'binary': {
      const encoded = encodeLeaf(body, entity);
      const relabel = encoded.encoding ?? (isSevenBit(entity) ? null : '7bit');
      writeHeader(octets, entity, relabel, out);
      out.push(encoded.body);
      return;
    }
    case 'quoted-printable': {
      const { lines, hazards } = canonicalText(body);
      writeHeader(octets, entity, null, out);
      out.push(isSafe(hazards) ? lines : repairQuotedPrintable(lines));
      return;
    }
    case 'base64': {
      const { lines, hazards } = canonicalText(body);
      writeHeader(octets, entity, null, out);
      out.push(isSafe(hazards) ? lines : rewrapBase64(lines));
      return;
    }
    default: {
      const { lines, hazards } = canonicalText(body);
      if (hazards.eightBit || hazards.bareLineEnd) throw cannotMakeSafe('an encoding that is not known');
      writeHeader(octets, entity, null, out);
      out.push(lines);
    }
  }
}

type EncodedLeaf = { encoding: 'quoted-printable' | 'base64' | null; body: Buffer };

function encodeLeaf(body: Buffer, entity: Entity): EncodedLeaf {
  const { type } = entity.mediaType;
  const wide = /^utf-?(16|32)|^ucs-?[24]/i.test(entity.mediaType.parameters.get('charset') ?? '');
  // In a binary part that is no text, LF is an octet like any other.
  const asData = entity.transferEncoding === 'binary' && (type !== 'text' || wide);
  const { lines, hazards } = asData ? { lines: body, hazards: hazardsIn(body) } : canonicalText(body);
  if (isSafe(hazards)) return { encoding: null, body: lines };
  if (!entity.declared && fieldsNamed(entity.fields, 'content-type').length > 0) {
    if (hazards.eightBit || hazards.bareLineEnd) throw cannotMakeSafe('a Content-Type that cannot be read');
    return { encoding: null, body: lines };
  }
  if (type === 'multipart') {
    if (hazards.eightBit || hazards.bareLineEnd) throw cannotMakeSafe('a multipart without parts');
    return { encoding: null, body: lines };
  }
  if (type === 'message') {
    // Reports are made of header lines, which mean the same without blanks at their ends (RFC 3464 §2.1).
    const trimmed = Buffer.from(lines.toString('latin1').replace(/[ \t]+(?=\r\n|$)/g, ''), 'latin1');
    if (isSafe(hazardsIn(trimmed))) return { encoding: null, body: trimmed };
  }
  if (type === 'text' && !wide) {
    const readable = encodeQuotedPrintable(lines, 'text');
    // Mostly 8-bit text (Cyrillic, Greek, CJK) triples in quoted-printable and nobody reads it there anyway.
    if (readable.length <= lines.length * 2) return { encoding: 'quoted-printable', body: readable };
    return { encoding: 'base64', body: encodeBase64(lines) };
  }
  if (type === 'message') return { encoding: 'quoted-printable', body: encodeQuotedPrintable(lines, 'text') };
  return { encoding: 'base64', body: encodeBase64(lines) };
}

/** `encoding`: what Content-Transfer-Encoding is to say from now on; null: as before. */
function writeHeader(octets: Buffer, entity: Entity, encoding: string | null, out: Uint8Array[]): void {
  let said = false;
  for (const field of entity.fields) {
    if (encoding === null || field.name.toLowerCase() !== 'content-transfer-encoding') {
      out.push(safeField(octets, field));
      continue;
    }
    if (!said) out.push(Buffer.from(`${field.name}: ${encoding}\r\n`, 'latin1'));
    said = true;
  }
  if (encoding !== null && !said)
    out.push(Buffer.from(`Content-Transfer-Encoding: ${encoding}\r\n`, 'latin1'));
  // Without an empty line the part is a header only, which may end without a line end too.
  if (
    entity.body.start > entity.header.end ||
    entity.range.end > entity.body.start ||
    entity.parts.length > 0
  ) {
    out.push(CRLF);
  }
}

function isSevenBit(entity: Entity): boolean {
  return entity.transferEncoding === '7bit';
}

function isIdentity(entity: Entity): boolean {
  return isSevenBit(entity) || entity.transferEncoding === '8bit' || entity.transferEncoding === 'binary';
}

/** Same decoded octets: what is not ASCII is encoded, padding at line ends goes, long lines get soft line breaks. */
function repairQuotedPrintable(canonical: Buffer): Buffer {
  const lines = canonical.toString('latin1').split('\r\n');
  const safe = lines.map((line) => {
    const octets = Buffer.from(line.replace(/[ \t]+$/, ''), 'latin1');
    const pieces: string[] = [];
    let piece = '';
    for (let i = 0; i < octets.length; i++) {
      const octet = octets[i] ?? 0;
      const hex = octet === 0x3d ? octets.toString('latin1', i, i + 3) : null;
      const soft = octet === 0x3d && i === octets.length - 1;
      let unit: string;
      if (hex !== null && /^=[0-9A-Fa-f]{2}$/.test(hex)) {
        unit = hex;
        i += 2;
      } else if ((octet > 0x7e || octet < 0x20) && octet !== 0x09) unit = escaped(octet);
      else if (piece === '' && startsFrom(octets, i)) unit = escaped(octet);
      else if (octet === 0x3d && !soft) unit = escaped(octet);
      else unit = String.fromCharCode(octet);
      if (piece.length + unit.length > (soft ? 76 : 75)) {
        pieces.push(`${piece}=`);
        piece = '';
      }
      piece += unit;
    }
    pieces.push(piece);
    return pieces.join('\r\n');
  });
  return Buffer.from(safe.join('\r\n'), 'latin1');
}

function escaped(octet: number): string {
  return `=${octet.toString(16).toUpperCase().padStart(2, '0')}`;
}

/** What is not base64 is to be ignored (RFC 2045 §6.8) and so can go. */
function rewrapBase64(canonical: Buffer): Buffer {
  const characters = canonical.toString('latin1').replace(/[^A-Za-z0-9+/=]/g, '');
  return Buffer.from(characters.replace(/.{1,76}/g, '$&\r\n'), 'latin1');
}
