import { type FromHeader, readFrom } from '../mail/address.ts';
import type { HeaderField } from '../mail/entity.ts';
import { mailboxKey } from '../mail/header-protection-from.ts';
import {
  compareWithOuter,
  type ReadProtectedHeader,
  readProtectedHeader,
  shownFields,
} from '../mail/header-protection-reading.ts';
import type { Message } from '../mail/message.ts';
import type { SpeaksForOptions } from '../pki/speaks-for.ts';
import type { HeaderProtectionReport, Layer, SignatureReport } from './report.ts';
import { speaksForFrom } from './verify.ts';

/**
 * Which header a message has once it is open: the protected one, where there is one (RFC 9788 §4).
 *
 * Holds: a signature is judged by the From that the reader is shown.
 * Must never happen: a From inside shown in the place of the one outside without a signature by that very address (RFC
 * 9788 §4.4.3); a claim believed that nothing protects.
 */
export type OpenedHeader = {
  report: HeaderProtectionReport;
  /** The author by the header that is shown. */
  from: FromHeader;
  /** The authored fields to show in the place of those outside, lines; null: those outside are shown. */
  shown: Buffer | null;
  header: ReadProtectedHeader;
};

/**
 * null: no header field is protected.
 *
 * @param payload what is inside all layers
 * @param outer the fields of the message as it is stored
 * @param layers what was taken off, already verified
 * @param replaces whether what is inside is shown in the place of the message; a clear-signed message is shown as it is
 */
export function openHeader(
  payload: Message,
  outer: readonly HeaderField[],
  layers: readonly Layer[],
  replaces: boolean,
): OpenedHeader | null {
  const signatures = layers.flatMap((layer) => (layer.kind === 'signed' ? layer.signatures : []));
  const signed = signatures.some(({ signature }) => signature === 'good');
  const encrypted = layers.some((layer) => layer.kind === 'encrypted' && layer.outcome === 'opened');
  if (!signed && !encrypted) return null;
  const header = readProtectedHeader(payload, outer);
  if (header === null) return null;
  const outside = readFrom(outer);
  const inside = readFrom(header.fields);
  const fields = compareWithOuter(header, outer, encrypted);
  const fromMismatch = isMismatch(inside, outside, fields);
  // RFC 9788 §4.4.3: without a signature that is valid and bound to it, nobody is shown the other From.
  const believed = !fromMismatch || signatures.some((signature) => isBound(signature, inside));
  const fromInside = replaces && believed && inside.kind !== 'none';
  return {
    report: {
      scheme: header.scheme,
      kind: header.kind,
      signed,
      encrypted,
      shown: replaces ? 'inside' : 'outside',
      shownFrom: fromInside ? 'inside' : 'outside',
      fromMismatch,
      fields,
    },
    from: fromInside ? inside : outside,
    shown: replaces ? shownFields(header, fromInside) : null,
    header,
  };
}

/** RFC 9788 §4.4.1.1: another address, whatever the names beside it. */
function isMismatch(
  inside: FromHeader,
  outside: FromHeader,
  fields: HeaderProtectionReport['fields'],
): boolean {
  if (inside.kind === 'none') return false;
  const author = mailboxKey(inside);
  if (author !== null) return author !== mailboxKey(outside);
  // Several authors may be the same several; whatever cannot be read may be somebody else.
  if (inside.kind !== 'several' || outside.kind !== 'several') return true;
  return fields.some(({ name, differs }) => name === 'from' && differs);
}

/** RFC 9788 §4.4.1.2: a valid signature by a certificate that names the address. */
function isBound({ signature, signer, path, revocation }: SignatureReport, from: FromHeader): boolean {
  return (
    signature === 'good' &&
    signer !== null &&
    path?.outcome === 'valid' &&
    revocation !== 'revoked' &&
    speaksForFrom(signer, from) === 'from'
  );
}

/** The same layers, their signatures judged by this author. */
export function judgedByFrom(
  layers: readonly Layer[],
  from: FromHeader,
  options: SpeaksForOptions = {},
): Layer[] {
  return layers.map((layer) =>
    layer.kind !== 'signed'
      ? layer
      : { ...layer, signatures: layer.signatures.map((signature) => byFrom(signature, from, options)) },
  );
}

function byFrom(report: SignatureReport, from: FromHeader, options: SpeaksForOptions): SignatureReport {
  if (report.signature !== 'good' || report.signer === null) return report;
  return { ...report, speaksFor: speaksForFrom(report.signer, from, options) };
}
