import { domainToASCII, domainToUnicode } from 'node:url';

/**
 * A mail address in the form in which two of them are compared (RFC 5280 §7.5, RFC 9598 §5).
 *
 * What holds: a text that is not exactly one address has no form at all, so it equals nothing. A NUL, a second "@", a
 * trailing dot or a label that only becomes a domain name by mapping (full-width letters, ideographic stops) never
 * turns into somebody else's address.
 */
export type Mailbox = {
  /** As written: RFC 5280 §7.5 compares it exactly, RFC 9598 §5 forbids to normalise it. */
  localPart: string;
  /** A-labels, lower case, without trailing dot. */
  domain: string;
};

// RFC 5322 §3.2.3 atext, with RFC 6532 §3.2 characters beyond ASCII (C1 controls and surrogates excluded).
const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\u{A1}-\\u{D7FF}\\u{E000}-\\u{FDCF}\\u{FDF0}-\\u{10FFFF}-]+";
const DOT_ATOM = new RegExp(`^${ATOM}(?:\\.${ATOM})*$`, 'u');
// RFC 5321 §4.1.2 Quoted-string: qtextSMTP and quoted pairs of printable characters.
const QUOTED = /^"(?:[ !#-[\]-~]|\\[ -~])*"$/;
const PLAIN_LABEL = '(?![Xx][Nn]--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
const PLAIN_DOMAIN = new RegExp(`^${PLAIN_LABEL}(?:\\.${PLAIN_LABEL})*$`);
const LDH_LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;

/** null: not exactly one address of local part, "@" and domain name. Domain literals have no form. */
export function parseMailbox(text: string): Mailbox | null {
  const at = text.lastIndexOf('@');
  if (at < 1) return null;
  const localPart = text.slice(0, at);
  // RFC 5321 §4.5.3.1.1: 64 octets.
  if (Buffer.byteLength(localPart) > 64) return null;
  if (!DOT_ATOM.test(localPart) && !QUOTED.test(localPart)) return null;
  const domain = canonicalDomain(text.slice(at + 1));
  return domain === null ? null : { localPart, domain };
}

/**
 * A domain name as lower-case A-labels (RFC 5890 §2.3.2.1). null: not a host name in preferred syntax (letters, digits,
 * hyphens), or a U-label that is not in its own normal form, or an A-label that stands for none.
 */
export function canonicalDomain(text: string): string | null {
  if (text.length === 0 || text.length > 255) return null;
  // Nearly every domain is of this kind, and it is in its canonical form but for letter case.
  if (PLAIN_DOMAIN.test(text) && text.length <= 253) return text.toLowerCase();
  const labels: string[] = [];
  for (const label of text.split('.')) {
    const canonical = canonicalLabel(label);
    if (canonical === null) return null;
    labels.push(canonical);
  }
  const domain = labels.join('.');
  // RFC 1035 §2.3.4: 255 octets on the wire are 253 characters.
  return domain.length > 253 ? null : domain;
}

function canonicalLabel(label: string): string | null {
  if (isAscii(label)) {
    const lower = label.toLowerCase();
    if (lower.length > 63 || !LDH_LABEL.test(lower)) return null;
    return !lower.startsWith('xn--') || isTrueALabel(lower) ? lower : null;
  }
  const uLabel = label.normalize('NFC').toLowerCase();
  const aLabel = domainToASCII(uLabel);
  // Mapping changed it: it is a look-alike spelling of another label.
  if (!aLabel.startsWith('xn--') || aLabel.length > 63 || domainToUnicode(aLabel) !== uLabel) return null;
  return LDH_LABEL.test(aLabel) ? aLabel : null;
}

function isTrueALabel(label: string): boolean {
  const uLabel = domainToUnicode(label);
  return uLabel !== '' && uLabel !== label && domainToASCII(uLabel) === label;
}

function isAscii(text: string): boolean {
  return /^[\0-\x7f]*$/.test(text);
}
