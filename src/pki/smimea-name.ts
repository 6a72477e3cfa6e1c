import { createHash } from 'node:crypto';
import { parseMailbox } from './mailbox.ts';

/** RFC 8162 §3: as much of the digest as a label of a name has room for. */
const DIGEST_OCTETS = 28;
/** RFC 1035 §2.3.4: 255 octets on the wire. */
const LONGEST_NAME = 253;

/**
 * The name under which the domain of an address says its certificates in DNS (RFC 8162 §3), in lower case, without a dot at its end:
 * the digest of the local part, `_smimecert`, the domain. The local part is taken as it is written, but for the quotation marks of a
 * quoted one: nobody guesses other spellings (RFC 8162 §4).
 *
 * @param address in any spelling; null is returned for what is no address, and where the domain is too long to have such names
 */
export function smimeaName(address: string): string | null {
  const mailbox = parseMailbox(address);
  if (mailbox === null) return null;
  const digest = createHash('sha256').update(unquoted(mailbox.localPart).normalize('NFC'), 'utf8').digest();
  const name = `${digest.toString('hex', 0, DIGEST_OCTETS)}._smimecert.${mailbox.domain}`;
  return name.length > LONGEST_NAME ? null : name;
}

function unquoted(localPart: string): string {
  return localPart.startsWith('"') ? localPart.slice(1, -1).replace(/\\(.)/g, '$1') : localPart;
}
