import { type Address, readFrom, readSender } from '../mail/address.ts';
import type { HeaderField } from '../mail/entity.ts';
import type { Keyring, Principal } from './ports.ts';
import { MailRefused } from './refusal.ts';

/** An address as it is compared: local part exact (RFC 5321 §2.4), domain in lower case. */
export function comparable(address: Address): string {
  return `${address.localPart}@${address.domain.toLowerCase()}`;
}

/**
 * Who writes: exactly one From address, and it belongs to the login; so does Sender where there is one.
 * Anything else is refused, since a signature would vouch for it (smime: the signer speaks for From).
 */
export function provenSender(fields: readonly HeaderField[], principal: Principal, keyring: Keyring): string {
  const owned = new Set(keyring.addressesOf(principal));
  const from = comparable(theOne(readFrom(fields), 'From'));
  requireOwned(from, 'From', owned, principal);
  const sender = readSender(fields);
  if (sender.kind !== 'none') requireOwned(comparable(theOne(sender, 'Sender')), 'Sender', owned, principal);
  return from;
}

function theOne(found: ReturnType<typeof readFrom>, field: string): Address {
  if (found.kind === 'one') return found.address;
  const why = {
    none: `has no ${field} address`,
    several: `has more than one ${field} address`,
    duplicate: `has more than one ${field} field`,
    malformed: `has a ${field} field that cannot be read`,
  }[found.kind];
  throw new MailRefused({
    code: 'sender.ambiguous',
    duration: 'permanent',
    detail: '7.1',
    publicText: `The message ${why}; exactly one is needed so that it can be signed. It was not sent.`,
  });
}

function requireOwned(address: string, field: string, owned: ReadonlySet<string>, principal: Principal): void {
  if (owned.has(address)) return;
  throw new MailRefused({
    code: 'sender.not-yours',
    duration: 'permanent',
    detail: '7.1',
    publicText:
      owned.size === 0
        ? `No address is assigned to your login "${principal.login}", so you cannot send as ${address}. Ask your administrator.`
        : `You cannot send as ${address} (${field}): your login "${principal.login}" may use ${[...owned].join(', ')}.`,
  });
}
