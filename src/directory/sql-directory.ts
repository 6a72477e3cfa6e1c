import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import type { CertificateDirectory, Clock, Harvest, KnownCertificate } from '../pipeline/ports.ts';
import type { Certificate } from '../pki/certificate.ts';
import type { Row, SqlStore, Statement } from '../store/sql-store.ts';
import { addressKey } from './address-key.ts';
import { askingDirectory, directoryBusy } from './asking.ts';
import {
  historyMark,
  insertCertificate,
  insertEntry,
  type Newcomer,
  publicKeyHash,
  type StoredCertificate,
  selectDistrustOfKey,
  selectFolded,
  selectOfAddress,
  storedCertificate,
  updateSeen,
} from './certificate-rows.ts';
import { judgeNewcomer } from './change.ts';
import { ParsedCertificates, remember } from './parsed-certificates.ts';
import { noPinnedFiles, type PinnedFiles, pinnedSpelling } from './pinned-files.ts';
import { inUse, isHearsay, spelt, type UsedCertificate } from './usable.ts';

/**
 * Correspondents' certificates: what administrators pinned in files, and what signed mail and imports brought, kept in a
 * database that several gateways may share.
 *
 * What holds: a certificate under an address where another one is in use is used only as change.ts allows, otherwise it
 * waits for a person; a pinned certificate never changes by a mail; an address with pinned certificates has only these; what a
 * person distrusts is never given; nothing is forgotten.
 */
export class SqlDirectory implements CertificateDirectory {
  readonly #store: SqlStore;
  readonly #pinned: PinnedFiles;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #parsed = new ParsedCertificates();
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
    const key = addressKey(address);
    if (key === null) return [];
    const now = this.#clock();
    if (this.#pinned.find(key.exact).length > 0) return this.#inFiles(key.exact, null, now);
    const exact = (await this.#rows(selectOfAddress(key.exact))).map(storedCertificate);
    if (exact.length === 0 || isHearsay(exact)) {
      const file = pinnedSpelling(this.#pinned, key);
      if (file !== null) return this.#inFiles(file, file, now);
      const folded = await this.#rows(selectFolded(key.folded, limits.directory.certificatesOfAddress));
      const found = spelt(key.exact, exact, folded.map(storedCertificate));
      if (found === null) return [];
      const foundAs = found.address === key.exact ? null : found.address;
      return inUse(found.rows, now).map((used) => this.#known(used, foundAs));
    }
    return inUse(exact, now).map((used) => this.#known(used, null));
  }

  /** Precondition: the signature is good and its signer speaks for the address. */
  async harvest(finding: Harvest): Promise<void> {
    const key = addressKey(finding.address);
    if (key === null) throw malformedAddress();
    const address = key.exact;
    const now = this.#clock().getTime();
    const seenKey = `${address} ${finding.certificate.fingerprint} ${finding.trust} ${finding.capabilities.join()}`;
    if (now - (this.#seen.get(seenKey) ?? Number.NEGATIVE_INFINITY) < NOTED_EVERY_MS) return;
    const newcomer: Newcomer & { trust: Harvest['trust'] } = {
      ...{ key, certificate: finding.certificate, trust: finding.trust, source: 'mail' },
      capabilities: finding.capabilities,
      // A claim of the signer: never later than now, or one mail would fix the capabilities for ever.
      capabilitiesAt: Math.min(finding.signedAt?.getTime() ?? now, now),
    };
    await this.#inTurn(address, () => askingDirectory(() => this.#note(newcomer, now)));
    remember(this.#seen, seenKey, now);
  }

  #rows(statement: Statement): Promise<readonly Row[]> {
    return askingDirectory(() => this.#store.query(statement));
  }

  #inFiles(address: string, foundAs: string | null, now: Date): KnownCertificate[] {
    return this.#pinned
      .find(address)
      .filter(({ notBefore, notAfter }) => notBefore <= now && notAfter >= now)
      .map((certificate) => ({
        ...{ certificate, trust: 'pinned', capabilities: [], source: 'file' },
        ...(foundAs === null ? {} : { foundAs }),
      }));
  }

  #known({ stored, trust, decision }: UsedCertificate, foundAs: string | null): KnownCertificate {
    return {
      certificate: this.#parsed.of(stored.fingerprint, stored.der),
      trust,
      capabilities: stored.capabilities,
      source: stored.source,
      ...(foundAs === null ? {} : { foundAs }),
      ...(decision === null ? {} : { decision }),
    };
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
  async #note(newcomer: Newcomer & { trust: Harvest['trust'] }, now: number): Promise<void> {
    const { key, certificate, trust } = newcomer;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const history = (await this.#store.query(selectOfAddress(key.exact))).map(storedCertificate);
      const known = history.find(({ fingerprint }) => fingerprint === certificate.fingerprint);
      const judged = this.#judge(newcomer, history);
      const state = judged === 'pending' || (await this.#isOfDistrustedKey(certificate)) ? 'pending' : judged;
      if (known !== undefined) {
        await this.#store.query(updateSeen(known.id, newcomer, state, now));
        return;
      }
      // A flood of forged mails must not fill the disk, nor push out what a person has to see.
      const { pendingOfAddress, certificatesOfAddress } = limits.directory;
      const waiting = history.filter((each) => each.state === 'pending').length;
      if ((state === 'pending' && waiting >= pendingOfAddress) || history.length >= certificatesOfAddress)
        return;
      const [, inserted] = await this.#store.transaction([
        insertCertificate(certificate),
        insertEntry(newcomer, state, now, historyMark(history)),
      ]);
      if (inserted !== undefined && inserted.length > 0) {
        this.#tell(key.exact, certificate.fingerprint, state, trust);
        return;
      }
    }
    throw directoryBusy();
  }

  #judge(
    { key, certificate, trust }: Newcomer & { trust: Harvest['trust'] },
    history: readonly StoredCertificate[],
  ): 'current' | 'pending' {
    if (this.#pinned.find(key.exact).length > 0) return 'pending';
    // What a person distrusts speaks neither for nor against another one.
    const current = history.filter(
      ({ state, decision }) => state === 'current' && decision?.decision !== 'distrusted',
    );
    return judgeNewcomer(current, {
      issuer: certificate.issuer.der,
      publicKey: publicKeyHash(certificate.subjectPublicKeyInfo),
      trust,
    });
  }

  /** Whoever holds a stolen key soon has another certificate of it: a renewal, or the same one with its signature written otherwise. */
  async #isOfDistrustedKey({ subjectPublicKeyInfo }: Certificate): Promise<boolean> {
    return (await this.#store.query(selectDistrustOfKey(subjectPublicKeyInfo))).length > 0;
  }

  #tell(address: string, fingerprint: string, state: 'current' | 'pending', trust: string): void {
    this.#log.write(
      state === 'pending'
        ? { event: 'directory.change-pending', level: 'warn', address, fingerprint }
        : { event: 'directory.harvested', level: 'info', address, fingerprint, trust },
    );
  }
}

export type DirectoryParts = { store: SqlStore; pinned?: PinnedFiles; clock: Clock; log: Log };

/** Reading a mailbox again must not write to the disk for every mail in it. */
const NOTED_EVERY_MS = 60 * 60 * 1000;
/** Findings of one address by several gateways at once, each of which may be in another one's way. */
const ATTEMPTS = 10;

function malformedAddress(): SealgateError {
  return new SealgateError({
    code: 'directory.malformed-address',
    publicText: 'This is not a mail address that a certificate can be kept for.',
    duration: 'permanent',
  });
}
