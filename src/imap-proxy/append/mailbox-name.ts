/**
 * The name of a mailbox as a person writes it: modified UTF-7 (RFC 3501 §5.1.3) or, once a client has enabled it, UTF-8 (RFC 6855
 * §3), decoded; INBOX in capitals. What is neither stays as it is, octet by octet.
 */
export function readMailboxName(octets: Buffer): string {
  const text = octets.toString('latin1');
  if (text.toUpperCase() === 'INBOX') return 'INBOX';
  const utf8 = octets.toString('utf8');
  if (/[\x80-\xff]/.test(text)) return utf8.includes('\ufffd') ? text : utf8.normalize('NFC');
  return text
    .replace(/&([A-Za-z0-9+,]*)-/g, (written, base64: string) => decoded(written, base64))
    .normalize('NFC');
}

function decoded(written: string, base64: string): string {
  if (base64 === '') return '&';
  const octets = Buffer.from(base64.replaceAll(',', '/'), 'base64');
  return octets.length === 0 || octets.length % 2 !== 0 ? written : octets.swap16().toString('utf16le');
}

/** As a quoted string (RFC 9051 §9); null: it has octets that may not stand in one. */
export function quotedMailboxName(octets: Buffer): string | null {
  const text = octets.toString('latin1');
  return /^[\x20-\x7e]*$/.test(text) ? `"${text.replace(/["\\]/g, '\\$&')}"` : null;
}
