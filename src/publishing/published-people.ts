import { limits } from '../limits.ts';
import { printable } from '../log/printable.ts';
import type { Clock, RevocationStanding } from '../pipeline/ports.ts';
import type { Certificate } from '../pki/certificate.ts';
import { mayCertificateEncrypt, mayCertificateSign } from '../pki/key-purpose.ts';
import { parseMailbox } from '../pki/mailbox.ts';
import { speaksFor } from '../pki/speaks-for.ts';

/**
 * Whose certificates are published: those of the keys that the configuration gives to logins, under the addresses of these logins.
 *
 * Holds: nothing is published but certificates of own keys, which everybody who gets a signed mail has anyway. Of correspondents, of
 * logins and of keys nothing is.
 */

/** A certificate of an own key, and an address of the login that has it. */
export type OwnCertificateOf = {
  /** Canonical. */
  address: string;
  certificate: Certificate;
};

/** Certificates of own keys as of now. */
export interface OwnCertificates {
  /** Grows when the list changes. */
  readonly version: number;
  list(): readonly OwnCertificateOf[];
}

export type PublishingScope = {
  /** Domains or `*.domain`, canonical; null: all addresses. */
  domains: readonly string[] | null;
  /** Addresses that are kept back, in any letter case, and with them the certificates that name them beside others. */
  withheld: readonly string[];
};

/** An address with what may be had of it. */
export type PublishedPerson = {
  address: string;
  localPart: string;
  domain: string;
  /** The newest first; expired and revoked ones may be among them, see `current`. */
  certificates: readonly Certificate[];
};

/** Why a certificate of an own key is not published, a clause. */
export type Withheld = { address: string; certificate: Certificate; why: string };

export type PublishedPeopleOptions = {
  own: OwnCertificates;
  scope: PublishingScope;
  clock: Clock;
  /** Whether certificates for ML-KEM are published. */
  postQuantum: boolean;
  /** Absent: revocation is not looked at. */
  standing?: RevocationStanding;
};

export class PublishedPeople {
  readonly #options: PublishedPeopleOptions;
  #version: number | null = null;
  #people: readonly PublishedPerson[] = [];
  #byAddress: ReadonlyMap<string, PublishedPerson> = new Map();

  constructor(options: PublishedPeopleOptions) {
    this.#options = options;
  }

  /** By address. The same array as long as no key comes or goes. */
  get all(): readonly PublishedPerson[] {
    this.#refresh();
    return this.#people;
  }

  /** By exactly this address, the domain without case. */
  find(address: string): PublishedPerson | null {
    this.#refresh();
    const mailbox = parseMailbox(address);
    if (mailbox === null) return null;
    return this.#byAddress.get(`${mailbox.localPart}@${mailbox.domain}`) ?? null;
  }

  /** Those of a person that may be used now and are not known to be revoked, the newest first. Never rejects. */
  async current({ certificates }: PublishedPerson): Promise<readonly Certificate[]> {
    const { clock, standing, postQuantum } = this.#options;
    const at = clock();
    const usable = certificates.filter((certificate) => isUsable(certificate, at, postQuantum));
    const revoked = await Promise.all(
      usable.map(async (certificate) => (await standing?.of(certificate))?.kind === 'revoked'),
    );
    return usable
      .filter((_, index) => revoked[index] !== true)
      .slice(0, limits.publishing.certificatesOfPerson);
  }

  /** What is not published of own keys, and why; for people. */
  async withheld(): Promise<readonly Withheld[]> {
    const { own, scope, clock, standing, postQuantum } = this.#options;
    const found = new Map<string, Withheld>();
    for (const { address, certificate } of own.list()) {
      const why =
        outOfScope({ address, certificate }, scope) ??
        unfit(certificate, address, clock(), postQuantum) ??
        ((await standing?.of(certificate))?.kind === 'revoked' ? 'it is revoked' : null);
      if (why !== null) found.set(`${address} ${certificate.fingerprint}`, { address, certificate, why });
    }
    return [...found.values()];
  }

  #refresh(): void {
    const { own, scope } = this.#options;
    if (this.#version === own.version) return;
    this.#version = own.version;
    const found = new Map<string, Map<string, Certificate>>();
    for (const { address, certificate } of own.list()) {
      if (outOfScope({ address, certificate }, scope) !== null || !speaksFor(certificate, address)) continue;
      const known = found.get(address) ?? new Map<string, Certificate>();
      known.set(certificate.fingerprint, certificate);
      found.set(address, known);
    }
    this.#people = [...found]
      .flatMap(([address, certificates]) => personOf(address, [...certificates.values()]) ?? [])
      .toSorted((one, other) => (one.address < other.address ? -1 : 1));
    this.#byAddress = new Map(this.#people.map((person) => [person.address, person]));
  }
}

function personOf(address: string, certificates: readonly Certificate[]): PublishedPerson | null {
  const mailbox = parseMailbox(address);
  if (mailbox === null) return null;
  return { address, ...mailbox, certificates: certificates.toSorted(newestFirst) };
}

function newestFirst(one: Certificate, other: Certificate): number {
  return other.notBefore.getTime() - one.notBefore.getTime();
}

function outOfScope(
  { address, certificate }: OwnCertificateOf,
  { domains, withheld }: PublishingScope,
): string | null {
  const kept = new Set(withheld.map(withoutCase));
  if (kept.has(withoutCase(address))) return 'publishing.withheld names the address';
  const other = certificate.mailboxes.find((mailbox) => kept.has(withoutCase(mailbox)));
  if (other !== undefined) return `it names ${printable(other)} as well, and publishing.withheld names that`;
  const domain = address.slice(address.lastIndexOf('@') + 1);
  if (domains === null || domains.some((pattern) => matches(pattern, domain))) return null;
  return 'publishing.domains does not have its domain';
}

/** For keeping back: what differs in letter case alone is hardly meant to be told of. */
function withoutCase(address: string): string {
  const mailbox = parseMailbox(address);
  return mailbox === null ? address : `${mailbox.localPart.toLowerCase()}@${mailbox.domain}`;
}

function matches(pattern: string, domain: string): boolean {
  if (pattern === '*' || pattern === domain) return true;
  return pattern.startsWith('*.') && domain.endsWith(pattern.slice(1));
}

function unfit(certificate: Certificate, address: string, at: Date, postQuantum: boolean): string | null {
  if (!speaksFor(certificate, address)) return 'it does not name the address';
  const encrypt = mayCertificateEncrypt(certificate, at, postQuantum);
  const sign = mayCertificateSign(certificate, at);
  if (encrypt.kind === 'may' || sign.kind === 'may') return null;
  return `it may neither encrypt nor sign: ${encrypt.text}`;
}

function isUsable(certificate: Certificate, at: Date, postQuantum: boolean): boolean {
  return (
    mayCertificateEncrypt(certificate, at, postQuantum).kind === 'may' ||
    mayCertificateSign(certificate, at).kind === 'may'
  );
}
