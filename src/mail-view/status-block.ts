import { unreachable } from '../errors.ts';
import type { HeaderProtectionReport, SignatureReport } from '../smime/report.ts';
import type { ViewNames } from './view-names.ts';
import { signaturesOf, type ViewOutcome, type ViewVerdict } from './view-outcome.ts';

/**
 * The fields on top of a view that say what was found: Authentication-Results (RFC 8601, properties of RFC 7281) and a
 * status field of our own. No clock: the same outcome gives the same octets.
 *
 * Must never happen: octets of a certificate or of the message in here as they came. A name with a line end in it would
 * otherwise add header fields of the sender's choice.
 */
export function statusBlock(outcome: ViewOutcome, names: ViewNames): string {
  const signature = shownSignature(outcome);
  return authenticationResults(outcome, signature, names) + statusField(outcome, signature, names);
}

/** The signature that speaks for From if there is one, else the first. */
function shownSignature(outcome: ViewOutcome): SignatureReport | null {
  const signatures = signaturesOf(outcome.report);
  return signatures.find((each) => each.speaksFor === 'from') ?? signatures[0] ?? null;
}

function authenticationResults(
  outcome: ViewOutcome,
  signature: SignatureReport | null,
  names: ViewNames,
): string {
  const lines = [`Authentication-Results: ${names.authservId};`, ` smime=${resultOf(outcome)}`];
  const signer = signature?.signer ?? null;
  if (outcome.kind === 'opened' && signer !== null) {
    const [mailbox] = signer.mailboxes;
    if (mailbox !== undefined) lines.push(` body.smime-identifier=${pvalue(mailbox)}`);
    lines.push(` body.smime-serial=${signer.serialNumber.toString('hex').slice(0, 42)}`);
    lines.push(` body.smime-issuer=${pvalue(signer.issuer.text)}`);
  }
  return foldLines(lines);
}

// RFC 7281 §2 takes the results of RFC 8601 §2.7.
function resultOf(outcome: ViewOutcome): string {
  switch (outcome.kind) {
    case 'opened':
      return resultOfVerdict(outcome.verdict);
    case 'failed':
      return 'permerror';
    case 'refused':
      return 'policy';
    case 'no-key':
    case 'as-is':
      return 'none';
    default:
      return unreachable(outcome);
  }
}

function resultOfVerdict(verdict: ViewVerdict): string {
  switch (verdict.kind) {
    case 'trusted':
      return 'pass';
    case 'untrusted':
      return 'policy';
    case 'broken':
      return 'fail';
    case 'unsigned':
      return 'none';
    default:
      return unreachable(verdict);
  }
}

function statusField(outcome: ViewOutcome, signature: SignatureReport | null, names: ViewNames): string {
  const parts = ['v=1', `view=${outcome.kind}`];
  if (outcome.kind === 'opened') {
    const encrypted = outcome.report.layers.find((layer) => layer.kind === 'encrypted');
    parts.push(`enc=${encrypted === undefined ? 'none' : word(encrypted.algorithm)}`);
    if (encrypted !== undefined) parts.push(`aead=${encrypted.authenticated ? 'yes' : 'no'}`);
    parts.push(`verdict=${outcome.verdict.kind}`);
    if (signature !== null) {
      parts.push(`sig=${signature.signature}`, `alg=${word(signature.algorithm)}`);
      parts.push(`path=${signature.path?.outcome ?? 'unchecked'}`, `rev=${signature.revocation}`);
      parts.push(`from=${signature.speaksFor}`);
      if (signature.signedAt !== null) parts.push(`signed=${timeText(signature.signedAt)}`);
    }
  }
  parts.push(...headerParts(outcome.report?.headerProtection));
  const lines = [`${names.statusField}: ${parts.slice(0, 4).join('; ')}`];
  for (let i = 4; i < parts.length; i += 4) lines.push(` ${parts.slice(i, i + 4).join('; ')}`);
  return foldLines(lines.map((line, index) => (index < lines.length - 1 ? `${line};` : line)));
}

/** Names in one part; all there can be would make a line too long. */
const NAMES = 6;

/**
 * What is known of the header fields (RFC 9788 §4.3): `hp` the form, `hdr` what protects them, `hidden` those that nobody on
 * the way could read, `differ` those that stand outside otherwise than the author left them, `sender` whose From is shown
 * where there are two. Nothing where no field is protected. The names are ours, and there are no values.
 */
function headerParts(header: HeaderProtectionReport | undefined): string[] {
  if (header === undefined) return [];
  const { scheme, kind, signed, encrypted, fields } = header;
  const parts = [`hp=${scheme === 'wrapped' ? 'wrapped' : (kind ?? 'none')}`];
  parts.push(`hdr=${[...(signed ? ['signed'] : []), ...(encrypted ? ['encrypted'] : [])].join('+')}`);
  const hidden = fields.filter((each) => each.hidden).map(({ name }) => name);
  const differ = fields.filter((each) => each.differs).map(({ name }) => name);
  if (hidden.length > 0) parts.push(`hidden=${hidden.slice(0, NAMES).join(',')}`);
  if (differ.length > 0) parts.push(`differ=${differ.slice(0, NAMES).join(',')}`);
  if (header.fromMismatch) parts.push(`sender=${header.shownFrom}`);
  return parts;
}

function timeText(date: Date): string {
  return Number.isNaN(date.getTime()) ? 'unknown' : date.toISOString().replace(/\.\d+Z$/, 'Z');
}

/** A name that should be a short word already. */
function word(text: string): string {
  return text.replace(/[^A-Za-z0-9.-]/g, '').slice(0, 40) || 'unknown';
}

/** Room on a line of 78 after the longest property name. */
const VALUE_CHARS = 48;

/**
 * A value of RFC 8601 §2.2: a dot-atom with @ as it is, anything else quoted, with everything outside a small alphabet
 * percent-encoded as UTF-8, and cut.
 */
export function pvalue(text: string): string {
  if (/^[A-Za-z0-9._+@-]{1,48}$/.test(text)) return text;
  let safe = '';
  for (const char of text) {
    const next = /^[A-Za-z0-9 .,=@_/:+-]$/.test(char) ? char : encodeOctets(char);
    if (safe.length + next.length > VALUE_CHARS) break;
    safe += next;
  }
  return `"${safe.trim()}"`;
}

function encodeOctets(char: string): string {
  const octets = Buffer.from(char, 'utf8');
  return [...octets].map((octet) => `%${octet.toString(16).padStart(2, '0').toUpperCase()}`).join('');
}

function foldLines(lines: readonly string[]): string {
  return lines.map((line) => `${line}\r\n`).join('');
}
