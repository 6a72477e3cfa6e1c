import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import type { CertificateDirectory, Clock, Harvest, KnownCertificate } from '../pipeline/ports.ts';
import type { Row, SqlStore, Statement } from '../store/sql-store.ts';
import { type AddressKey, addressKey } from './address-key.ts';
import { askingDirectory, directoryUnavailable } from './asking.ts';
import {
  type StoredCertificate,
  selectFolded,
  selectOfAddress,
  storedCertificate,
} from './certificate-rows.ts';
import { type Finding, Noting } from './noting.ts';
import { ParsedCertificates, remember } from './parsed-certificates.ts';
import { noPinnedFiles, type PinnedFiles, pinnedSpelling } from './pinned-files.ts';
import type { RemoteLookups } from './remote/remote-lookups.ts';
import { inUse, isHearsay, spelt, type UsedCertificate } from './usable.ts';

/**
 * Correspondents' certificates: what administrators pinned in files, and what signed mail, imports and remote sources brought, kept
 * in a database that several gateways may share.
 *
 * What holds: a certificate under an address where another one is in use is used only as change.ts allows, otherwise it
 * waits for a person; a pinned certificate never changes by a mail; an address with pinned certificates has only these; what a
 * person distrusts is never given; nothing is forgotten.
 */
export class SqlDirectory implements CertificateDirectory {
  readonly #store: SqlStore;
  readonly #pinned: PinnedFiles;
  readonly #clock: Clock;
  readonly #parsed = new ParsedCertificates();
  readonly #seen = new Map<string, number>();
  readonly #noting: Noting;
  readonly #remote: RemoteLookups | null;

  constructor({ store, pinned = noPinnedFiles, clock, log, remote, noted }: DirectoryParts) {
    this.#store = store;
    this.#pinned = pinned;
    this.#clock = clock;
    this.#noting = new Noting({ store, pinned, log, ...(noted === undefined ? {} : { noted }) });
    this.#remote = remote ?? null;
  }

  /** Valid now, in the order of the trust ladder, then newest first. A text that is no address has none. */
  async find(address: string, incomplete?: (reason: string) => void): Promise<readonly KnownCertificate[]> {
    const key = addressKey(address);
    if (key === null) return [];
    const now = this.#clock();
    if (this.#pinned.find(key.exact).length > 0) return this.#inFiles(key.exact, null, now);
    const exact = await this.#refreshed(key, now, incomplete);
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
    const newcomer: Finding = {
      ...{ key, certificate: finding.certificate, trust: finding.trust, source: 'mail' },
      capabilities: finding.capabilities,
      // A claim of the signer: never later than now, or one mail would fix the capabilities for ever.
      capabilitiesAt: Math.min(finding.signedAt?.getTime() ?? now, now),
    };
    await this.#noting.inTurn(address, () => askingDirectory(() => this.#noting.note(newcomer, now)));
    remember(this.#seen, seenKey, now);
  }

  /** What is known under the exact address, once remote sources were asked that might know of others. */
  async #refreshed(
    key: AddressKey,
    now: Date,
    incomplete: ((reason: string) => void) | undefined,
  ): Promise<readonly StoredCertificate[]> {
    const stored = async () => (await this.#rows(selectOfAddress(key.exact))).map(storedCertificate);
    const before = await stored();
    // Beside a pinned one no other is used.
    if (this.#remote === null || inUse(before, now).some(({ trust }) => trust === 'pinned')) return before;
    const { missing, learnt } = await this.#remote.refresh(key, this.#noting);
    if (missing !== null) {
      if (incomplete === undefined) throw directoryUnavailable(missing);
      incomplete(missing);
    }
    return learnt ? stored() : before;
  }

  /** Asks every remote source for an address now, whatever it said before; what is found is kept. */
  async askRemote(key: AddressKey): Promise<Awaited<ReturnType<RemoteLookups['askAll']>>> {
    return this.#remote === null ? [] : this.#remote.askAll(key, this.#noting);
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
      ...(stored.sources.length === 0 ? {} : { sources: stored.sources }),
      ...(foundAs === null ? {} : { foundAs }),
      ...(decision === null ? {} : { decision }),
    };
  }
}

export type DirectoryParts = {
  store: SqlStore;
  pinned?: PinnedFiles;
  clock: Clock;
  log: Log;
  /** null or absent: nobody else is asked. */
  remote?: RemoteLookups | null;
  /** Told of each address for which a certificate is used from now on, or is trusted more. */
  noted?(address: string): void;
};

/** Reading a mailbox again must not write to the disk for every mail in it. */
const NOTED_EVERY_MS = 60 * 60 * 1000;

function malformedAddress(): SealgateError {
  return new SealgateError({
    code: 'directory.malformed-address',
    publicText: 'This is not a mail address that a certificate can be kept for.',
    duration: 'permanent',
  });
}
