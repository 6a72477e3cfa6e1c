import { isIPv4, isIPv6 } from 'node:net';
import type { Mailbox } from './envelope.ts';

/**
 * Paths of MAIL and RCPT. RFC 5321 §4.1.2 with the additions of RFC 6531 §3.3:
 *
 *     Path        = "<" [ A-d-l ":" ] Mailbox ">"
 *     Mailbox     = Local-part "@" ( Domain / address-literal )
 *     Local-part  = Dot-string / Quoted-string
 *     Dot-string  = Atom *("." Atom)
 *     Domain      = sub-domain *("." sub-domain)
 *     sub-domain  = Let-dig [Ldh-str] / U-label
 *
 * Two deviations. A source route (A-d-l) is refused; RFC 5321 appendix C lets us. "_" may stand in a domain label:
 * such names are in use, it cannot be mistaken for anything, and the upstream has the last word.
 */
export type PathOutcome =
  | { kind: 'mailbox'; mailbox: Mailbox; end: number }
  | { kind: 'null'; end: number }
  | { kind: 'malformed'; what: string };

// UTF8-non-ascii of RFC 6531 without the C1 controls, noncharacters of a terminal more than of an address.
const DOT_STRING =
  /[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u{a0}-\u{10ffff}]+(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u{a0}-\u{10ffff}]+)*/uy;
const QUOTED_STRING = /"(?:[\x20\x21\x23-\x5b\x5d-\x7e\u{a0}-\u{10ffff}]|\\[\x20-\x7e])*"/uy;
const DOMAIN = /[A-Za-z0-9_\-\u{a0}-\u{10ffff}]+(?:\.[A-Za-z0-9_\-\u{a0}-\u{10ffff}]+)*/uy;
const LITERAL = /\[([\x21-\x5a\x5e-\x7e]+)\]/uy;
const NON_ASCII = /[^\x00-\x7f]/;

const malformed = (what: string): PathOutcome => ({ kind: 'malformed', what });

/** Reads a path that begins at `at`; `end` is the offset behind its ">". */
export function readPath(text: string, at: number): PathOutcome {
  if (text[at] !== '<') return malformed('the address must stand in angle brackets');
  if (text[at + 1] === '>') return { kind: 'null', end: at + 2 };
  if (text[at + 1] === '@') return malformed('source routes are not supported');
  const local = match(text[at + 1] === '"' ? QUOTED_STRING : DOT_STRING, text, at + 1);
  if (local === null) return malformed('the part before "@" is malformed');
  let end = at + 1 + local.length;
  if (text[end] === '>' && local.toLowerCase() === 'postmaster') {
    return { kind: 'mailbox', mailbox: { localPart: local, domain: '' }, end: end + 1 };
  }
  if (text[end] !== '@') return malformed('the address has no "@" where it is expected');
  end++;
  const domain = text[end] === '[' ? match(LITERAL, text, end) : match(DOMAIN, text, end);
  if (domain === null || !(domain.startsWith('[') ? isLiteral(domain) : isDomain(domain))) {
    return malformed('the part after "@" is malformed');
  }
  end += domain.length;
  if (text[end] !== '>') return malformed('the address does not end where ">" is expected');
  return { kind: 'mailbox', mailbox: { localPart: local, domain }, end: end + 1 };
}

function match(pattern: RegExp, text: string, at: number): string | null {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? null;
}

function isDomain(domain: string): boolean {
  // RFC 5321 §4.5.3.1.2 and RFC 1035 §2.3.4; U-labels are measured as they are written.
  if (Buffer.byteLength(domain) > 255) return false;
  return domain
    .split('.')
    .every((label) => !label.startsWith('-') && !label.endsWith('-') && label.length <= 63);
}

/** RFC 5321 §4.1.3: `[192.0.2.1]`, `[IPv6:2001:db8::1]`; no other tag is registered. */
function isLiteral(domain: string): boolean {
  const inner = domain.slice(1, -1);
  if (/^ipv6:/i.test(inner)) return isIPv6(inner.slice(5)) && !inner.includes('%');
  return isIPv4(inner);
}

/** With angle brackets, as it stands in a command. */
export function writePath(mailbox: Mailbox | null): string {
  if (mailbox === null) return '<>';
  return mailbox.domain === '' ? `<${mailbox.localPart}>` : `<${mailbox.localPart}@${mailbox.domain}>`;
}

/** Whether the path may only be used in a transaction with SMTPUTF8 (RFC 6531 §3.2). */
export function needsSmtpUtf8(mailbox: Mailbox): boolean {
  return NON_ASCII.test(mailbox.localPart) || NON_ASCII.test(mailbox.domain);
}
