import { readAddresses } from '../mail/address.ts';
import type { HeaderField } from '../mail/entity.ts';
import { fieldsNamed } from '../mail/header.ts';
import { comparable } from './sender.ts';

/**
 * The addresses that To and Cc show to everybody. Whoever is not here is a blind copy: no message to anybody else may
 * name him. A field that cannot be read shows nobody, so that a doubt makes more messages and no leak.
 */
export function visibleRecipients(fields: readonly HeaderField[]): ReadonlySet<string> {
  const shown = new Set<string>();
  for (const { value } of [...fieldsNamed(fields, 'to'), ...fieldsNamed(fields, 'cc')]) {
    for (const address of addressesIn(value)) shown.add(address);
  }
  return shown;
}

function addressesIn(value: string): string[] {
  try {
    return readAddresses(value).map(comparable);
  } catch {
    // See above: shows nobody.
    return [];
  }
}
