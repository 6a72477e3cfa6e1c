import { type Address, readAddresses, readFrom } from '../mail/address.ts';
import type { HeaderField } from '../mail/entity.ts';
import { fieldsNamed } from '../mail/header.ts';

/** Who a message says it is from; what may be sent under that name is the policy's to judge (decide-outbound). */
export type Sender = {
  /** null: there is not exactly one From address, or clients could read it differently. */
  from: string | null;
  /** null: no Sender field. An unreadable one is the empty string, which belongs to nobody. */
  sender: string | null;
};

export function senderOf(fields: readonly HeaderField[]): Sender {
  const from = readFrom(fields);
  return { from: from.kind === 'one' ? comparable(from.address) : null, sender: senderAddress(fields) };
}

/** An address as keys and directory compare it: local part exact (RFC 5321 §2.4), domain in lower case. */
export function comparable({ localPart, domain }: Pick<Address, 'localPart' | 'domain'>): string {
  return `${localPart}@${domain.toLowerCase()}`;
}

/** RFC 5322 §3.6.2: one mailbox. */
function senderAddress(fields: readonly HeaderField[]): string | null {
  const found = fieldsNamed(fields, 'sender');
  if (found.length === 0) return null;
  const [address, more] = found.flatMap(({ value }) => {
    try {
      return readAddresses(value);
    } catch {
      // Unreadable is as good as nobody's; the refusal that follows says so.
      return [];
    }
  });
  return address === undefined || more !== undefined || found.length > 1 ? '' : comparable(address);
}
