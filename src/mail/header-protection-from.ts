import { type FromHeader, readFrom } from './address.ts';
import type { HeaderField } from './entity.ts';
import { domainKey } from './header-protection-fields.ts';

/** One address in the spelling in which RFC 9788 §4.4 compares them; null: From is not exactly one. */
export function authorKey(fields: readonly HeaderField[]): string | null {
  return mailboxKey(readFrom(fields));
}

export function mailboxKey(from: FromHeader): string | null {
  return from.kind === 'one' ? `${from.address.localPart}@${domainKey(from.address.domain)}` : null;
}
