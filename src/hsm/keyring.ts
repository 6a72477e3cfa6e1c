import { SealgateError } from '../errors.ts';
import type { Log } from '../log/log.ts';
import type { Clock, Keyring } from '../pipeline/ports.ts';
import type { Certificate } from '../pki/certificate.ts';
import { mayCertificateSign } from '../pki/key-purpose.ts';
import { speaksFor } from '../pki/speaks-for.ts';
import { Principal } from '../sasl/principal.ts';
import { addressMismatches, type KeyMismatch } from './address-mismatch.ts';
import { AuditedDecryptionKey, AuditedSigningKey } from './audited-key.ts';
import { canonicalAddress } from './canonical-address.ts';
import { isNamed, requireKnownNames, sourceOf, unknownNames } from './key-reference.ts';
import type { KeySources } from './key-sources.ts';
import { type KnownDecryptionKey, type KnownKey, type KnownSigningKey, nearestFirst } from './known-key.ts';
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
  /** What is preferred for one address; keys that are not among `keys` are not given by this. */
  profiles?: readonly KeyringProfile[];
};

/** Which of several keys that fit is taken first for mail from an address. null: no preference. */
export type KeyringProfile = {
  address: string;
  sign: string | null;
  encrypt: string | null;
};

/** The part of KeySources that a keyring reads. */
export type LiveKeys = Pick<
  KeySources,
  'signing' | 'decryption' | 'former' | 'formerDecryption' | 'version' | 'unseen' | 'status' | 'onChange'
>;

export type KeyringOptions = {
  principals: readonly KeyringPrincipal[];
  /** A login that is a mail address owns that address. Keys still need an entry. */
  loginIsAddress: boolean;
  keys: LiveKeys;
  log: Log;
  clock: Clock;
};

/** The keyring as gateway.ts has it. */
export interface LiveKeyring extends Keyring {
  /** Keys whose certificate is for none of their login's addresses, as of now. */
  readonly mismatches: readonly KeyMismatch[];
}

type Entry = {
  addresses: readonly string[];
  profiles: readonly KeyringProfile[];
  signing: readonly KnownSigningKey[];
  decryption: readonly KnownDecryptionKey[];
  /** Certificates that signed from a card in whose place another one is. */
  former: readonly Certificate[];
  /** Keys that opened mail on such a card. */
  formerDecryption: readonly KnownDecryptionKey[];
};

/** @throws SealgateError `key.unknown-name`, `key.login-twice` */
export function createKeyring(options: KeyringOptions): LiveKeyring {
  return new LoginKeyring(options);
}

class LoginKeyring implements LiveKeyring {
  readonly #options: KeyringOptions;
  readonly #principals = new Map<string, KeyringPrincipal>();
  readonly #told = new Set<string>();
  /** Login and name, as of now. */
  #unknown: ReadonlySet<string> = new Set();
  #entries = new Map<string, Entry>();
  #version: number | null = null;
  #mismatches: readonly KeyMismatch[] = [];

  constructor(options: KeyringOptions) {
    this.#options = options;
    for (const principal of options.principals) {
      if (this.#principals.has(principal.login)) throw loginTwice(principal.login);
      requireKnownNames(principal, options.keys);
      this.#principals.set(principal.login, principal);
    }
    // What does not fit together is told when it comes into being, at the start and at each insertion of a card.
    options.keys.onChange(() => this.#refresh());
    this.#refresh();
  }

  get mismatches(): readonly KeyMismatch[] {
    this.#refresh();
    return this.#mismatches;
  }

  addressesOf(principal: Principal): readonly string[] {
    if (!Principal.is(principal)) return [];
    return this.#entryOf(principal)?.addresses ?? this.#fromLogin(principal);
  }

  async signingKeys(...[principal, address, usedFor]: Parameters<Keyring['signingKeys']>) {
    const wanted = canonicalAddress(address);
    if (wanted === null || !this.addressesOf(principal).includes(wanted)) return [];
    const { log, clock } = this.#options;
    const at = clock();
    const entry = this.#entryOf(principal);
    const fitting = (entry?.signing ?? [])
      .filter(({ certificate }) => mayCertificateSign(certificate, at).kind === 'may')
      .filter(({ certificate }) => speaksFor(certificate, wanted));
    const audit = { log, principal, usedFor: usedFor ?? '-' };
    const chosen = entry?.profiles.find((profile) => profile.address === wanted)?.sign ?? null;
    return preferred(fitting, chosen).map((key) => new AuditedSigningKey(key, audit));
  }

  whyNoSigningKey(principal: Principal, address: string) {
    const entry = this.#entryOf(principal);
    return whyNoSigningKey({
      address: canonicalAddress(address) ?? address,
      certificates: (entry?.signing ?? []).map(({ certificate }) => certificate),
      former: entry?.former ?? [],
      hasKeys: entry !== null && entry.decryption.length > 0,
      unseen: this.unseen(principal),
      at: this.#options.clock(),
    });
  }

  async decryptionKeys(...[principal, usedFor]: Parameters<Keyring['decryptionKeys']>) {
    const audit = { log: this.#options.log, principal, usedFor: usedFor ?? '-' };
    const entry = this.#entryOf(principal);
    const keys = [...preferred(entry?.decryption ?? [], null), ...this.#formerDecryption(entry)];
    return keys.map((key) => new AuditedDecryptionKey(key, audit));
  }

  /** Those that are still good for mail: a card that has expired is not waited for. */
  #formerDecryption(entry: Entry | null): readonly KnownDecryptionKey[] {
    const at = this.#options.clock();
    const here = new Set((entry?.decryption ?? []).map(({ certificate }) => certificate.fingerprint));
    return (entry?.formerDecryption ?? []).filter(
      ({ certificate }) => certificate.notAfter >= at && !here.has(certificate.fingerprint),
    );
  }

  ownCertificates(principal: Principal, address: string) {
    const entry = this.#entryOf(principal);
    const wanted = canonicalAddress(address);
    const chosen = entry?.profiles.find((profile) => profile.address === wanted)?.encrypt ?? null;
    // Whether the token is there now decides nothing here: the mail is read another day.
    const keys = [
      ...(entry?.decryption ?? []).toSorted(chosenFirst(chosen)),
      ...this.#formerDecryption(entry),
    ];
    return keys.map(({ certificate, readsOaep = true }) => ({ certificate, readsOaep }));
  }

  unseen(principal: Principal): string | null {
    const { unseen } = this.#options.keys;
    if (unseen.size === 0 || !Principal.is(principal)) return null;
    const names = this.#principals.get(principal.login)?.keys ?? [];
    const sentences = new Set(names.flatMap((name) => unseen.get(sourceOf(name)) ?? []));
    return sentences.size === 0 ? null : [...sentences].join(' ');
  }

  /** Nothing for what merely looks like a login: see sasl/principal.ts. */
  #entryOf(principal: Principal): Entry | null {
    if (!Principal.is(principal)) return null;
    this.#refresh();
    return this.#entries.get(principal.login) ?? null;
  }

  #fromLogin({ login }: { login: string }): readonly string[] {
    const address = this.#options.loginIsAddress ? canonicalAddress(login) : null;
    return address === null ? [] : [address];
  }

  #refresh(): void {
    const { keys } = this.#options;
    if (this.#version === keys.version) return;
    this.#version = keys.version;
    this.#entries = new Map(
      [...this.#principals.values()].map((principal) => [principal.login, this.#read(principal)]),
    );
    this.#mismatches = [...this.#entries].flatMap(([login, entry]) => addressMismatches(login, entry));
    this.#tell();
  }

  #read(principal: KeyringPrincipal): Entry {
    const { keys } = this.#options;
    const own = principal.addresses.flatMap((address) => canonicalAddress(address) ?? []);
    const isOwn = (key: Parameters<typeof isNamed>[0]): boolean =>
      principal.keys.some((name) => isNamed(key, name));
    return {
      addresses: [...new Set([...own, ...this.#fromLogin(principal)])],
      profiles: (principal.profiles ?? []).map((profile) => ({
        ...profile,
        address: canonicalAddress(profile.address) ?? '',
      })),
      signing: keys.signing.filter(isOwn).sort(newestFirst),
      decryption: keys.decryption.filter(isOwn).sort(newestFirst),
      former: keys.former.filter(isOwn).map(({ certificate }) => certificate),
      formerDecryption: keys.formerDecryption.filter(isOwn).sort(newestFirst),
    };
  }

  /** An address that does not fit once, however often the card comes and goes; a name when it begins to be nobody's. */
  #tell(): void {
    const { keys, log } = this.#options;
    for (const { login, key, fingerprint, certificateAddresses, loginAddresses } of this.#mismatches) {
      if (!this.#isNews(`${login} ${fingerprint}`)) continue;
      log.write({
        ...{ event: 'key.address-mismatch', level: 'warn', principal: login, key },
        certificateAddresses: certificateAddresses.join(', '),
        loginAddresses: loginAddresses.join(', '),
      });
    }
    const before = this.#unknown;
    const unknown = new Set<string>();
    for (const principal of this.#principals.values()) {
      for (const key of unknownNames(principal, keys)) {
        const fact = JSON.stringify([principal.login, key]);
        unknown.add(fact);
        if (before.has(fact)) continue;
        log.write({ event: 'key.name-unknown', level: 'warn', principal: principal.login, key });
      }
    }
    this.#unknown = unknown;
  }

  #isNews(fact: string): boolean {
    if (this.#told.has(fact)) return false;
    this.#told.add(fact);
    return true;
  }
}

type LabelledKey = KnownKey & { label: string };

/** What the configuration names for the address, then what is nearest; of equal ones the newest, as they come. */
function preferred<Key extends LabelledKey>(keys: readonly Key[], chosen: string | null): Key[] {
  const first = chosenFirst(chosen);
  return [...keys].sort((one, other) => first(one, other) || nearestFirst(one, other));
}

function chosenFirst(chosen: string | null): (one: LabelledKey, other: LabelledKey) => number {
  const rank = (key: LabelledKey): number => (chosen !== null && isNamed(key, chosen) ? 0 : 1);
  return (one, other) => rank(one) - rank(other);
}

/** Of two issued in the same second, the one that lasts longer. */
function newestFirst(a: { certificate: Certificate }, b: { certificate: Certificate }): number {
  const byBegin = b.certificate.notBefore.getTime() - a.certificate.notBefore.getTime();
  return byBegin !== 0 ? byBegin : b.certificate.notAfter.getTime() - a.certificate.notAfter.getTime();
}

function loginTwice(login: string): SealgateError {
  return new SealgateError({
    code: 'key.login-twice',
    publicText: `The login ${login} has two entries; put its addresses and keys together.`,
    duration: 'permanent',
  });
}
