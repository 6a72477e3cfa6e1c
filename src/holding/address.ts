import { parseMailbox } from '../pki/mailbox.ts';
import type { Mailbox } from '../smtp/envelope.ts';

/** An address as it is kept here. `exact` tells one mailbox from another; `folded` finds it however its local part is written. */
export type Address = { exact: string; folded: string };

/** What is no address in any grammar is kept as it stands: it equals nothing else. */
export function addressOf(address: string | Mailbox): Address {
  const text = typeof address === 'string' ? address : `${address.localPart}@${address.domain}`;
  const mailbox = parseMailbox(text);
  const exact = mailbox === null ? text : `${unquoted(mailbox.localPart)}@${mailbox.domain}`;
  return { exact, folded: exact.toLowerCase() };
}

/** RFC 5321 §4.1.2: `"a"@x` is `a@x`; quotes that are needed stay. */
function unquoted(localPart: string): string {
  const content = /^"(.*)"$/su.exec(localPart)?.[1]?.replace(/\\(.)/gsu, '$1');
  if (content === undefined || content.startsWith('"')) return localPart;
  return parseMailbox(`${content}@x`)?.localPart ?? localPart;
}
