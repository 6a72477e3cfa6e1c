import type { SigningKey } from '../cms/keys.ts';
import { SealgateError } from '../errors.ts';
import type { MailId } from '../ids.ts';
import type { SigningFacts } from '../policy/facts.ts';
import type { Keyring, Principal } from './ports.ts';

/** The key to sign with, or why there is none. */
export type FoundSigningKey = { facts: SigningFacts; key: SigningKey | null };

/** The keyring's first choice for this login and address. A token that is away is temporary; no key at all is not. */
export async function findSigningKey(
  keyring: Keyring,
  principal: Principal,
  from: string | null,
  mail: MailId,
): Promise<FoundSigningKey> {
  if (from === null) return missing('the mail has no clear sender');
  try {
    const [key] = await keyring.signingKeys(principal, from, mail);
    if (key === undefined) return missing(`there is no valid certificate and key for ${from}`);
    return { facts: { kind: 'available' }, key };
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    const { duration, publicText } = error;
    return { facts: { kind: 'unavailable', duration, publicText }, key: null };
  }
}

function missing(publicText: string): FoundSigningKey {
  return { facts: { kind: 'unavailable', duration: 'permanent', publicText }, key: null };
}
