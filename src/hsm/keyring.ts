import type { DecryptionKey, SigningKey } from '../cms/keys.ts';
import { SealgateError } from '../errors.ts';
import type { Log } from '../log/log.ts';
import type { Clock, Keyring } from '../pipeline/ports.ts';
import type { Certificate } from '../pki/certificate.ts';
import { mayCertificateSign } from '../pki/key-purpose.ts';
import { parseMailbox } from '../pki/mailbox.ts';
import { speaksFor } from '../pki/speaks-for.ts';
import { Principal } from '../sasl/principal.ts';
import { AuditedDecryptionKey, AuditedSigningKey } from './audited-key.ts';
import { whyNoSigningKey } from './why-no-signing-key.ts';

/**
 * Which keys a login may use. This is where one person's key is kept from another person's hands.
 *
 * Holds: whatever is not written down is denied. A key is found only through the entry of the login that has just been
 * proven; an address, a certificate or a key's name in a mail never leads to one.
 * Must never happen: two spellings of a login share an entry, or a name picks up keys that were not meant by it.
 */

export type KeyringPrincipal = {
  /** As the upstream proved it; compared exactly. */
  login: string;
  addresses: readonly string[];
  /** `name` of a key source for all its keys, or `name/label` for one of them. */
  keys: readonly string[];
};

export type KeyringOptions = {
  principals: readonly KeyringPrincipal[];
  /** A login that is a mail address owns that address. Keys still need an entry. */
  loginIsAddress: boolean;
  keys: { signing: readonly SigningKey[]; decryption: readonly DecryptionKey[] };
  log: Log;
  clock: Clock;
};

type Entry = {
  addresses: readonly string[];
  signing: readonly SigningKey[];
  decryption: readonly DecryptionKey[];
};

/** @throws SealgateError `key.unknown-name`, `key.login-twice` */
export function createKeyring(options: KeyringOptions): Keyring {
  const { log, clock, loginIsAddress } = options;
  const entries = readEntries(options);

  /** Nothing for what merely looks like a login: see sasl/principal.ts. */
  function entryOf(principal: Principal): Entry | null {
    return Principal.is(principal) ? (entries.get(principal.login) ?? null) : null;
  }

  function addressesOf(principal: Principal): readonly string[] {
    const own = entryOf(principal)?.addresses ?? [];
    const fromLogin = loginIsAddress ? canonicalAddress(principal.login) : null;
    return fromLogin === null || own.includes(fromLogin) ? own : [...own, fromLogin];
  }

  return {
    addressesOf,
    async signingKeys(principal, address, usedFor) {
      const wanted = canonicalAddress(address);
      if (wanted === null || !addressesOf(principal).includes(wanted)) return [];
      const at = clock();
      const audit = { log, principal: principal.login, usedFor: usedFor ?? '-' };
      return (entryOf(principal)?.signing ?? [])
        .filter(({ certificate }) => mayCertificateSign(certificate, at).kind === 'may')
        .filter(({ certificate }) => speaksFor(certificate, wanted))
        .map((key) => new AuditedSigningKey(key, audit));
    },
    whyNoSigningKey(principal, address) {
      const entry = entryOf(principal);
      return whyNoSigningKey({
        address: canonicalAddress(address) ?? address,
        certificates: (entry?.signing ?? []).map(({ certificate }) => certificate),
        hasKeys: entry !== null && entry.decryption.length > 0,
        unseen: null,
        at: clock(),
      });
    },
    ownCertificates(principal) {
      const keys = entryOf(principal)?.decryption ?? [];
      return keys.map(({ certificate, readsOaep = true }) => ({ certificate, readsOaep }));
    },
    unseen: () => null,
    async decryptionKeys(principal, usedFor) {
      const audit = { log, principal: principal.login, usedFor: usedFor ?? '-' };
      const keys = entryOf(principal)?.decryption ?? [];
      return keys.map((key) => new AuditedDecryptionKey(key, audit));
    },
  };
}

function readEntries({ principals, keys }: KeyringOptions): ReadonlyMap<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const principal of principals) {
    if (entries.has(principal.login)) throw loginTwice(principal.login);
    for (const name of principal.keys) {
      const known = [...keys.signing, ...keys.decryption].some((key) => isNamed(key.label, name));
      if (!known) throw unknownName(principal.login, name);
    }
    const named = (key: { label: string }): boolean =>
      principal.keys.some((name) => isNamed(key.label, name));
    entries.set(principal.login, {
      addresses: principal.addresses.flatMap((address) => canonicalAddress(address) ?? []),
      signing: keys.signing.filter(named).sort(newestFirst),
      decryption: keys.decryption.filter(named).sort(newestFirst),
    });
  }
  return entries;
}

/** `token` names `token/alice` too; `token/ali` does not, and neither does `tok`. */
function isNamed(label: string, name: string): boolean {
  return label === name || label.startsWith(`${name}/`);
}

/** Of two issued in the same second, the one that lasts longer. */
function newestFirst(a: { certificate: Certificate }, b: { certificate: Certificate }): number {
  const byBegin = b.certificate.notBefore.getTime() - a.certificate.notBefore.getTime();
  return byBegin !== 0 ? byBegin : b.certificate.notAfter.getTime() - a.certificate.notAfter.getTime();
}

/** The local part exactly, the domain in lower case. null: not one address; it belongs to nobody. */
function canonicalAddress(address: string): string | null {
  const mailbox = parseMailbox(address);
  return mailbox === null ? null : `${mailbox.localPart}@${mailbox.domain}`;
}

function loginTwice(login: string): SealgateError {
  return new SealgateError({
    code: 'key.login-twice',
    publicText: `The login ${login} has two entries; put its addresses and keys together.`,
    duration: 'permanent',
  });
}

function unknownName(login: string, name: string): SealgateError {
  return new SealgateError({
    code: 'key.unknown-name',
    publicText: `The login ${login} is given the key ${name}, and there is none of that name; correct the name, or put the key and its certificate where the configuration says.`,
    duration: 'permanent',
  });
}
