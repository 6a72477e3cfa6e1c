import { domainToASCII } from 'node:url';
import type { SessionId } from '../ids.ts';
import type { Log } from '../log/log.ts';
import { mayCertificateEncrypt } from '../pki/key-purpose.ts';
import { canonicalDomain } from '../pki/mailbox.ts';
import { speaksFor } from '../pki/speaks-for.ts';
import type { RevocationDoubt } from '../policy/facts.ts';
import type { Recipient } from '../smtp/envelope.ts';
import type { CertificateDirectory, KnownCertificate, Origin, RevocationUse, Standing } from './ports.ts';
import { comparable } from './sender.ts';

/** What is known of one recipient when the decision falls. */
export type RecipientCertificates =
  /** Usable now, best first; never empty. What `hard` has against one stands with it: rules differ about that. */
  | {
      kind: 'usable';
      certificates: readonly (KnownCertificate & { doubt: RevocationDoubt | null })[];
      /** A source that might know another one could not be asked. */
      incomplete?: boolean;
    }
  | { kind: 'none' }
  /** Those for the address cannot be encrypted to; a sentence about the best of them. */
  | { kind: 'unusable'; because: string }
  | { kind: 'lookup-failed' };

/** What decides about certificates besides themselves. */
export type CertificateUse = {
  /** Keys for ML-KEM can be encrypted to; absent: no. */
  postQuantum?: boolean;
  /** Absent: revocation is not looked at. */
  revocation?: RevocationUse;
};

/** Whether a decision can depend on the certificates of `address`; where not, none are looked for. */
export type IsNeeded = (origin: Origin, address: string) => boolean;

/** Look-ups kept in the whole process; the oldest goes first, and is made again at DATA. */
const LOOKUPS_KEPT = 20_000;

/** null where the directory could not be asked: different from knowing that there is none. */
type Found = { candidates: readonly Candidate[]; incomplete: boolean } | null;

/** `standing` is asked for from the start, so that it is known when the mail is there. null: nobody is asked. */
type Candidate = { known: KnownCertificate; standing: Promise<Standing> | null };

/**
 * Looks certificates up from RCPT TO on, so that a slow directory costs no time after DATA.
 * A look-up belongs to one RCPT of one session: each RCPT looks anew, so what was learned since is seen.
 */
export class RecipientLookups {
  readonly #directory: CertificateDirectory;
  readonly #log: Log;
  readonly #isNeeded: IsNeeded;
  readonly #use: CertificateUse;
  readonly #pending = new Map<string, Promise<Found>>();

  /**
   * @param use what decides besides the certificates themselves
   */
  constructor(
    directory: CertificateDirectory,
    log: Log,
    isNeeded: IsNeeded = () => true,
    use: CertificateUse = {},
  ) {
    this.#directory = directory;
    this.#log = log;
    this.#isNeeded = isNeeded;
    this.#use = use;
  }

  /** Never throws, and nothing it starts is rejected. */
  expect(origin: Origin, recipient: Recipient): void {
    if (!this.#isNeeded(origin, addressOf(recipient))) return;
    const key = pendingKey(origin.session, addressOf(recipient));
    // Put in anew, so that the order is the order of age.
    this.#pending.delete(key);
    this.#pending.set(key, this.#find(addressOf(recipient)));
    const oldest = this.#pending.size > LOOKUPS_KEPT ? this.#pending.keys().next().value : undefined;
    if (oldest !== undefined) this.#pending.delete(oldest);
  }

  /** What is known of one recipient, before DATA; a look-up that was begun at its RCPT is kept for then. */
  async known(origin: Origin, recipient: Recipient, at: Date): Promise<RecipientCertificates> {
    this.expect(origin, recipient);
    const address = addressOf(recipient);
    return assess(
      await (this.#pending.get(pendingKey(origin.session, address)) ?? NOTHING),
      address,
      at,
      this.#use,
    );
  }

  /**
   * Takes the session's look-ups; those that are missing are made now. In the order of `recipients`.
   *
   * @param isNeeded by the rules that decide about this mail, which may have come since
   */
  async settle(
    origin: Origin,
    recipients: readonly Recipient[],
    at: Date,
    isNeeded: IsNeeded = this.#isNeeded,
  ): Promise<RecipientCertificates[]> {
    const taken = recipients.map((recipient) => {
      const address = addressOf(recipient);
      if (!isNeeded(origin, address)) return { address, found: NOTHING };
      const key = pendingKey(origin.session, address);
      const found = this.#pending.get(key) ?? this.#find(address);
      this.#pending.delete(key);
      return { address, found };
    });
    return Promise.all(taken.map(async ({ address, found }) => assess(await found, address, at, this.#use)));
  }

  #find(address: string): Promise<Found> {
    return findOrNull(this.#directory, address, this.#log, this.#use);
  }
}

/** What is known of one recipient now, without a session: for mail that has waited. */
export async function certificatesNow(
  directory: CertificateDirectory,
  address: string,
  at: Date,
  log: Log,
  use: CertificateUse,
): Promise<RecipientCertificates> {
  return assess(await findOrNull(directory, address, log, use), address, at, use);
}

const NOTHING: Found = { candidates: [], incomplete: false };

function pendingKey(session: SessionId, address: string): string {
  return `${session} ${address}`;
}

/** Certificates of one address whose revocation is asked for; the others are not used where it matters. */
const STANDINGS = 8;

async function findOrNull(
  directory: CertificateDirectory,
  address: string,
  log: Log,
  { revocation }: CertificateUse,
): Promise<Found> {
  try {
    let incomplete = false;
    const found = await directory.find(address, (reason) => {
      incomplete = true;
      log.write({ event: 'directory.lookup-failed', level: 'warn', reason });
    });
    if (revocation === undefined) {
      return { candidates: found.map((known) => ({ known, standing: null })), incomplete };
    }
    const candidates = found
      .filter(({ certificate, foundAs }) => speaksFor(certificate, foundAs ?? address))
      .slice(0, STANDINGS)
      .map((known) => ({ known, standing: revocation.standing.of(known.certificate) }));
    return { candidates, incomplete };
  } catch (error) {
    // Only the fact decides (policy/decide-outbound); the reason is the operator's.
    log.write({ event: 'directory.lookup-failed', level: 'warn', reason: String(error) });
    return null;
  }
}

async function assess(
  found: Found,
  address: string,
  at: Date,
  { postQuantum = false }: CertificateUse,
): Promise<RecipientCertificates> {
  if (found === null) return { kind: 'lookup-failed' };
  const usable: (KnownCertificate & { doubt: RevocationDoubt | null })[] = [];
  let because: string | null = null;
  const { candidates, incomplete } = found;
  for (const { known, standing } of candidates) {
    if (!speaksFor(known.certificate, known.foundAs ?? address)) continue;
    const verdict = mayCertificateEncrypt(known.certificate, at, postQuantum);
    if (verdict.kind !== 'may') {
      because ??= verdict.text;
      continue;
    }
    const stands = await standing;
    if (stands?.kind === 'revoked') because ??= stands.why;
    else usable.push({ ...known, doubt: doubtAbout(known, stands) });
  }
  if (usable.length > 0)
    return { kind: 'usable', certificates: usable, ...(incomplete ? { incomplete } : {}) };
  if (incomplete) return { kind: 'lookup-failed' };
  return because === null ? { kind: 'none' } : { kind: 'unusable', because };
}

/**
 * What `hard` has against a certificate that is not known to be revoked; null: nothing. One that leads to no anchor has nobody
 * who could revoke it: what is asked of it is the trust that its rule wants, but `verified` it is only as long as there is a path.
 */
function doubtAbout({ trust, decision }: KnownCertificate, stands: Standing | null): RevocationDoubt | null {
  if (stands?.kind === 'unchecked') return { because: stands.why, mayPass: stands.mayPass };
  // A person's word stands for the path.
  if (stands?.kind !== 'no-path' || trust !== 'verified' || decision !== undefined) return null;
  return {
    because: 'It leads to no trust anchor, so its revocation cannot be checked.',
    mayPass: false,
  };
}

/** A mail asks for the address of each recipient many times. */
const addresses = new WeakMap<Recipient['mailbox'], string>();

/** The recipient's address in the spelling in which it is looked up, matched against rules and told from others. */
export function addressOf({ mailbox }: Recipient): string {
  let address = addresses.get(mailbox);
  if (address === undefined) {
    address = comparableAddress(mailbox);
    addresses.set(mailbox, address);
  }
  return address;
}

function comparableAddress(mailbox: Recipient['mailbox']): string {
  const { localPart, domain } = mailbox;
  // RCPT takes whatever mail servers map to a domain (full-width letters, soft hyphens): it is that domain's mail.
  const mapped =
    canonicalDomain(domain) ?? canonicalDomain(domain.startsWith('[') ? '' : domainToASCII(domain));
  return comparable(mapped === null ? mailbox : { localPart, domain: mapped });
}

/** Each mailbox once, as it came first: a second RCPT for it must not bring it a second copy. */
export function distinct(recipients: readonly Recipient[]): readonly Recipient[] {
  const first = new Map<string, Recipient>();
  for (const recipient of recipients) {
    if (!first.has(addressOf(recipient))) first.set(addressOf(recipient), recipient);
  }
  return first.size === recipients.length ? recipients : [...first.values()];
}
