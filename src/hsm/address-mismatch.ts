import type { Certificate } from '../pki/certificate.ts';
import { allowsEmailProtection } from '../pki/key-purpose.ts';
import { speaksFor } from '../pki/speaks-for.ts';
import type { KnownKey } from './known-key.ts';

/** A key of a login whose certificate is for none of the login's addresses. */
export type KeyMismatch = {
  login: string;
  /** Label. */
  key: string;
  /** Of the certificate: SHA-256, hexadecimal. */
  fingerprint: string;
  certificateAddresses: readonly string[];
  loginAddresses: readonly string[];
  /** Whole, with both addresses and what to do. */
  sentence: string;
};

type MailKey = KnownKey & { label: string; certificate: Certificate };

/**
 * The mailbox's address must be the one in the certificate. Keys that only decrypt may be of former addresses; certificates
 * that are not for mail (a card's own log-in certificate) are no mistake either.
 */
export function addressMismatches(
  login: string,
  entry: { addresses: readonly string[]; signing: readonly MailKey[]; decryption: readonly MailKey[] },
): KeyMismatch[] {
  const keys = new Map<string, MailKey>();
  for (const key of [...entry.signing, ...entry.decryption]) keys.set(key.certificate.fingerprint, key);
  return [...keys.values()]
    .filter(({ use, certificate }) => use !== 'decrypt' && allowsEmailProtection(certificate))
    .filter(({ certificate }) => !entry.addresses.some((address) => speaksFor(certificate, address)))
    .map(({ label, certificate }) => {
      const { mailboxes, fingerprint } = certificate;
      const theirs = mailboxes.length === 0 ? 'no mail address' : mailboxes.join(', ');
      const own =
        entry.addresses.length === 0 ? 'has no address' : `writes from ${entry.addresses.join(', ')}`;
      return {
        ...{ login, key: label, fingerprint },
        certificateAddresses: mailboxes,
        loginAddresses: entry.addresses,
        sentence: `The certificate of the key ${label} is for ${theirs}, and the login ${login} ${own}: the key will sign for none of them. Give the login the address in the certificate, or get a certificate for its address.`,
      };
    });
}
