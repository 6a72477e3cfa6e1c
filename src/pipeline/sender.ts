import { type Address, type FromHeader, readFrom, readSender } from '../mail/address.ts';
import type { HeaderField } from '../mail/entity.ts';
import { canonicalDomain } from '../pki/mailbox.ts';

/** Who a message says it is from; what may be sent under that name is the policy's to judge (decide-outbound). */
export type Sender = {
  /** null: there is not exactly one From address, or clients could read it differently. */
  from: string | null;
  /** null: no Sender field. An unclear one is the empty string, which belongs to nobody. */
  sender: string | null;
};

export function senderOf(fields: readonly HeaderField[]): Sender {
  const sender = readSender(fields);
  return {
    from: oneAddress(readFrom(fields)),
    sender: sender.kind === 'none' ? null : (oneAddress(sender) ?? ''),
  };
}

/** null: there is not exactly one, or clients could read it differently. */
export function oneAddress(header: FromHeader): string | null {
  return header.kind === 'one' ? comparable(header.address) : null;
}

/**
 * An address in the one spelling in which it is looked up, matched and told from others: the local part exactly (RFC 5321
 * §2.4) but without quotes it does not need (§4.1.2: `"a"@x` is `a@x`), the domain as A-labels in lower case.
 * Must never happen: a spelling slips past a rule for the mailbox, or brings one mailbox a mail twice.
 */
export function comparable({ localPart, domain }: Pick<Address, 'localPart' | 'domain'>): string {
  return `${unquoted(localPart)}@${canonicalDomain(domain) ?? domain.toLowerCase()}`;
}

// Dot-string (RFC 5321 §4.1.2), with the characters of RFC 6531 §3.3.
const ATOM = "[A-Za-z0-9!#$%&'*+\\-/=?^_`{|}~\\u{a1}-\\u{10ffff}]+";
const DOT_STRING = new RegExp(`^${ATOM}(?:\\.${ATOM})*$`, 'u');

function unquoted(localPart: string): string {
  const quoted = /^"(.*)"$/su.exec(localPart)?.[1];
  if (quoted === undefined) return localPart;
  const content = quoted.replace(/\\(.)/gsu, '$1');
  return DOT_STRING.test(content) ? content : `"${content.replace(/["\\]/g, '\\$&')}"`;
}
