import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import type { Certificate } from '../pki/certificate.ts';
import type { SqlStore } from '../store/sql-store.ts';
import { directoryBusy } from './asking.ts';
import {
  historyMark,
  insertCertificate,
  insertEntry,
  type Newcomer,
  publicKeyHash,
  type StoredCertificate,
  selectDistrustOfKey,
  selectOfAddress,
  storedCertificate,
  updateSeen,
} from './certificate-rows.ts';
import { type Candidate, judgeNewcomer } from './change.ts';
import type { PinnedFiles } from './pinned-files.ts';
import { countsAgainstOthers } from './usable.ts';

/** A certificate that comes by mail or from a remote source. */
export type Finding = Newcomer & { trust: Candidate['trust'] };

type NotingParts = { store: SqlStore; pinned: PinnedFiles; log: Log; noted?: (address: string) => void };

/** Takes certificates into the directory that nobody has vouched for: as change.ts allows, or they wait for a person. */
export class Noting {
  readonly #store: SqlStore;
  readonly #pinned: PinnedFiles;
  readonly #log: Log;
  readonly #noted: (address: string) => void;
  /** The last finding under way for an address. */
  readonly #turns = new Map<string, Promise<void>>();

  /** @param noted told of each address for which a certificate is used from now on, or is trusted more */
  constructor({ store, pinned, log, noted = () => undefined }: NotingParts) {
    this.#store = store;
    this.#pinned = pinned;
    this.#log = log;
    this.#noted = noted;
  }

  /** Findings of one address are judged one after the other: only one can be the first. */
  async inTurn(address: string, note: () => Promise<void>): Promise<void> {
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
  async note(newcomer: Finding, now: number): Promise<void> {
    const { key, certificate, trust } = newcomer;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const history = (await this.#store.query(selectOfAddress(key.exact))).map(storedCertificate);
      const known = history.find(({ fingerprint }) => fingerprint === certificate.fingerprint);
      const judged = this.#judge(newcomer, history);
      const state = judged === 'pending' || (await this.#isOfDistrustedKey(certificate)) ? 'pending' : judged;
      if (known !== undefined) {
        await this.#store.query(updateSeen(known.id, newcomer, state, now));
        const news = known.state !== 'current' || rises(known.trust, trust);
        if (state === 'current' && news) this.#noted(key.exact);
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
        if (state === 'current') this.#noted(key.exact);
        return;
      }
    }
    throw directoryBusy();
  }

  #judge({ key, certificate, trust }: Finding, history: readonly StoredCertificate[]): 'current' | 'pending' {
    if (this.#pinned.find(key.exact).length > 0) return 'pending';
    const current = history.filter(countsAgainstOthers);
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

/** Whether a certificate is trusted more than before, as updateSeen has it. */
function rises(before: StoredCertificate['trust'], now: Candidate['trust']): boolean {
  if (now === 'verified') return before === 'harvested' || before === 'directory';
  return now === 'directory' && before === 'harvested';
}

/** Findings of one address by several gateways at once, each of which may be in another one's way. */
const ATTEMPTS = 10;
