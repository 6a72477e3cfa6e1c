import type { SigningKey } from '../cms/keys.ts';
import { SealgateError } from '../errors.ts';
import type { MailId } from '../ids.ts';
import type { SigningFacts } from '../policy/facts.ts';
import type { Keyring, Principal, RevocationStanding } from './ports.ts';

/** The key to sign with, or why there is none. */
export type FoundSigningKey = { facts: SigningFacts; key: SigningKey | null };

/**
 * The keyring's first choice for this login and address. Whether its token is there now shows when it signs: a mail is not
 * signed by another key, or by none, because a card is out.
 *
 * A key whose certificate is known to be revoked is never used: every reader would be told that the mail cannot be
 * believed. Where that cannot be checked the key is used, under `hard` too: an outage here would stop all mail, and whoever
 * reads it checks for himself.
 */
export async function findSigningKey(
  keyring: Keyring,
  principal: Principal,
  from: string | null,
  mail: MailId,
  standing?: RevocationStanding,
): Promise<FoundSigningKey> {
  if (from === null) return missing('The mail has no clear sender');
  try {
    let revoked: string | null = null;
    for (const key of await keyring.signingKeys(principal, from, mail)) {
      const stands = await standing?.of(key.certificate, key.chain);
      if (stands?.kind !== 'revoked') return { facts: { kind: 'available' }, key };
      revoked ??= stands.why;
    }
    if (revoked !== null) {
      return missing(`The certificate for ${from} has been revoked and a new one is needed: ${revoked}`);
    }
    const { reason, duration, publicText } = keyring.whyNoSigningKey(principal, from);
    const facts = { kind: 'unavailable', duration, publicText } as const;
    // RFC 3463 §3.8: X.7.1, the login may not write under that name; the rest is X.7.5.
    return { facts: reason === 'other-address' ? { ...facts, detail: '7.1' } : facts, key: null };
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    const { duration, publicText } = error;
    return { facts: { kind: 'unavailable', duration, publicText }, key: null };
  }
}

function missing(publicText: string): FoundSigningKey {
  return { facts: { kind: 'unavailable', duration: 'permanent', publicText }, key: null };
}
