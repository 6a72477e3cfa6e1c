import { SealgateError } from '../errors.ts';
import type { Log } from '../log/log.ts';
import type { CertificateDirectory, Clock, Harvest, KnownCertificate } from '../pipeline/ports.ts';
import { type Certificate, parseCertificate } from '../pki/certificate.ts';
import { parseMailbox } from '../pki/mailbox.ts';
import type { SqlStore } from '../store/sqlite.ts';
import { judgeNewcomer } from './change.ts';
import {
  type CertificateState,
  type Decision,
  historyMark,
  insertNewcomer,
  publicKeyHash,
  reviewStatements,
  type StoredCertificate,
  selectAll,
  selectHistory,
  selectUsable,
  storedCertificate,
  updateSeen,
} from './known-certificate-rows.ts';
import { noPinnedFiles, type PinnedFiles } from './pinned-files.ts';

/**
 * Correspondents' certificates: what administrators pinned in files, and what signed mail brought, kept in SQLite.
 *
 * What holds: a certificate under an address where another one is in use is used only as change.ts allows, otherwise it
 * waits for a person; a pinned certificate never changes by a mail; an address with pinned certificates has only these;
 * nothing is forgotten.
 */
export class SqliteDirectory implements CertificateDirectory {
  readonly #store: SqlStore;
  readonly #pinned: PinnedFiles;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #parsed = new Map<string, Certificate>();
  readonly #seen = new Map<string, number>();
  /** The last finding under way for an address. */
  readonly #turns = new Map<string, Promise<void>>();

  constructor({ store, pinned = noPinnedFiles, clock, log }: DirectoryParts) {
    this.#store = store;
    this.#pinned = pinned;
    this.#clock = clock;
    this.#log = log;
  }

  /** Valid now, in the order of the trust ladder, then newest first. A text that is no address has none. */
  async find(address: string): Promise<readonly KnownCertificate[]> {
    const key = directoryKey(address);
    if (key === null) return [];
    const now = this.#clock();
    const pinned = this.#pinned.find(key);
    if (pinned.length > 0) {
      return pinned
        .filter(({ notBefore, notAfter }) => notBefore <= now && notAfter >= now)
        .map((certificate) => ({ certificate, trust: 'pinned', capabilities: [], source: 'file' }));
    }
    const rows = await this.#asking(() => this.#store.query(selectUsable(key, now.getTime())));
    return rows.map(storedCertificate).map(({ fingerprint, der, trust, capabilities }) => ({
      certificate: this.#parse(fingerprint, der),
      trust,
      capabilities,
      source: 'directory',
    }));
  }

  /** Precondition: the signature is good and its signer speaks for the address. */
  async harvest(finding: Harvest): Promise<void> {
    const address = directoryKey(finding.address);
    if (address === null) throw malformedAddress();
    const now = this.#clock().getTime();
    const seenKey = `${address} ${finding.certificate.fingerprint} ${finding.trust} ${finding.capabilities.join()}`;
    if (now - (this.#seen.get(seenKey) ?? Number.NEGATIVE_INFINITY) < NOTED_EVERY_MS) return;
    await this.#inTurn(address, () => this.#asking(() => this.#note(address, finding, now)));
    remember(this.#seen, seenKey, now);
  }

  /** Everything known of one address, used or not, oldest first. Pinned files are not in it. */
  async history(address: string): Promise<readonly DirectoryEntry[]> {
    const key = directoryKey(address);
    if (key === null) return [];
    const rows = await this.#asking(() => this.#store.query(selectHistory(key)));
    return rows.map((row) => this.#entry(storedCertificate(row)));
  }

  /** Everything there is, in the order in which it came; `state` narrows it. Read piece by piece. */
  async *list(state: CertificateState | null = null): AsyncGenerator<DirectoryEntry> {
    let after = 0;
    for (;;) {
      const rows = await this.#asking(() => this.#store.query(selectAll(state, after, LISTED_AT_ONCE)));
      for (const row of rows) yield this.#entry(storedCertificate(row));
      if (rows.length < LISTED_AT_ONCE) return;
      after = Number(rows.at(-1)?.rowid);
    }
  }

  /**
   * A person's decision about one certificate of one address, kept with its reason. `accept` and `pin` bring it into
   * use in place of the address's other ones; `distrust` takes it out of use for good.
   *
   * @returns false: the directory has no such certificate under the address.
   */
  async review(address: string, fingerprint: string, decision: Decision, reason: string): Promise<boolean> {
    const key = directoryKey(address);
    if (key === null) return false;
    const now = this.#clock().getTime();
    const statements = reviewStatements(key, fingerprint, decision, reason, now);
    const [journal] = await this.#asking(() => this.#store.transaction(statements));
    return (journal?.length ?? 0) > 0;
  }

  /** Findings of one address are judged one after the other: only one can be the first. */
  async #inTurn(address: string, note: () => Promise<void>): Promise<void> {
    const before = this.#turns.get(address) ?? Promise.resolve();
    // Whether the one before failed is its own caller's affair.
    const turn = before.then(note, note);
    this.#turns.set(address, turn);
    try {
      await turn;
    } finally {
      if (this.#turns.get(address) === turn) this.#turns.delete(address);
    }
  }

  /** One address's finding. Another process may write at the same time: then the judgement is made anew. */
  async #note(address: string, finding: Harvest, now: number): Promise<void> {
    const { certificate, trust } = finding;
    const newcomer = {
      issuer: certificate.issuer.der,
      publicKey: publicKeyHash(certificate.subjectPublicKeyInfo),
      trust,
    };
    // A claim of the signer: never later than now, or one mail would fix the capabilities for ever.
    const capabilitiesAt = Math.min(finding.signedAt?.getTime() ?? now, now);
    for (let attempt = 0; attempt < 5; attempt++) {
      const history = (await this.#store.query(selectHistory(address))).map(storedCertificate);
      const known = history.find(({ fingerprint }) => fingerprint === certificate.fingerprint);
      const current = history.filter(({ state }) => state === 'current');
      const state = this.#pinned.find(address).length > 0 ? 'pending' : judgeNewcomer(current, newcomer);
      if (known !== undefined) {
        await this.#store.query(updateSeen(address, finding, state, capabilitiesAt, now));
        return;
      }
      // A flood of forged mails must not fill the disk, nor push out what a person has to see.
      const waiting = history.filter((each) => each.state === 'pending').length;
      if ((state === 'pending' && waiting >= MOST_PENDING) || history.length >= MOST_KNOWN) return;
      const inserted = await this.#store.query(
        insertNewcomer(address, finding, state, capabilitiesAt, now, historyMark(history)),
      );
      if (inserted.length > 0) {
        this.#tell(address, certificate.fingerprint, state, trust);
        return;
      }
    }
    throw new SealgateError({
      code: 'directory.unavailable',
      publicText: 'The directory of certificates is busy.',
      duration: 'temporary',
    });
  }

  #tell(address: string, fingerprint: string, state: 'current' | 'pending', trust: string): void {
    this.#log.write(
      state === 'pending'
        ? { event: 'directory.change-pending', level: 'warn', address, fingerprint }
        : { event: 'directory.harvested', level: 'info', address, fingerprint, trust },
    );
  }

  #entry(stored: StoredCertificate): DirectoryEntry {
    const { der, firstSeen, lastSeen, issuer: _, publicKey: __, capabilitiesAt: ___, ...entry } = stored;
    return {
      ...entry,
      certificate: this.#parse(stored.fingerprint, der),
      firstSeen: new Date(firstSeen),
      lastSeen: new Date(lastSeen),
    };
  }

  #parse(fingerprint: string, der: Buffer): Certificate {
    const known = this.#parsed.get(fingerprint);
    if (known !== undefined) return known;
    const certificate = parseCertificate(der);
    remember(this.#parsed, fingerprint, certificate);
    return certificate;
  }

  async #asking<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (error instanceof SealgateError && error.code === 'directory.unavailable') throw error;
      throw new SealgateError({
        code: 'directory.unavailable',
        publicText: 'The directory of certificates cannot be asked just now.',
        duration: 'temporary',
        reason: error instanceof Error ? error.message : String(error),
        cause: error,
      });
    }
  }
}

export type DirectoryParts = { store: SqlStore; pinned?: PinnedFiles; clock: Clock; log: Log };

/** One certificate of one address, for people. */
export type DirectoryEntry = {
  address: string;
  fingerprint: string;
  certificate: Certificate;
  trust: 'harvested' | 'verified' | 'pinned';
  state: CertificateState;
  capabilities: readonly string[];
  firstSeen: Date;
  lastSeen: Date;
  /** Noted at most once an hour. */
  timesSeen: number;
};

/** Reading a mailbox again must not write to the disk for every mail in it. */
const NOTED_EVERY_MS = 60 * 60 * 1000;
/** Certificates of one address that wait for a person. */
const MOST_PENDING = 20;
/** Certificates of one address that are kept at all. */
const MOST_KNOWN = 200;
const LISTED_AT_ONCE = 500;
const MOST_REMEMBERED = 4_096;

/**
 * The form in which addresses are kept: local part as it is, domain as A-labels in lower case. null: no address.
 */
export function directoryKey(address: string): string | null {
  const mailbox = parseMailbox(address);
  return mailbox === null ? null : `${mailbox.localPart}@${mailbox.domain}`;
}

function remember<V>(memory: Map<string, V>, key: string, value: V): void {
  const oldest = memory.size >= MOST_REMEMBERED ? memory.keys().next().value : undefined;
  if (oldest !== undefined) memory.delete(oldest);
  memory.set(key, value);
}

function malformedAddress(): SealgateError {
  return new SealgateError({
    code: 'directory.malformed-address',
    publicText: 'This is not a mail address that a certificate can be kept for.',
    duration: 'permanent',
  });
}
