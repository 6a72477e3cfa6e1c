import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Clock } from '../pipeline/ports.ts';
import type { Certificate } from '../pki/certificate.ts';
import type { SqlStore, Statement } from '../store/sql-store.ts';
import { sql } from '../store/sql-store.ts';
import { addressKey } from './address-key.ts';
import { askingDirectory } from './asking.ts';
import {
  type CertificateState,
  type StoredCertificate,
  selectDecision,
  selectDistrustOfKey,
  selectFolded,
  selectOfAddress,
  selectOfCertificate,
  selectWhere,
  storedCertificate,
  storedDecision,
} from './certificate-rows.ts';
import {
  type Deciding,
  type DecisionAction,
  decideOnCertificate,
  decideUnderAddress,
  type JournalEntry,
  journalEntry,
  selectJournalLine,
  selectJournalOf,
  selectLaterLines,
  undoing,
} from './decisions.ts';
import { ParsedCertificates } from './parsed-certificates.ts';
import { type CertificateSearch, searchCondition } from './search.ts';
import type { CertificateSource, CertificateTrust } from './source.ts';
import { isHearsay, spelt, type Unused, unusedBecause, withDecision } from './usable.ts';

/** One certificate of one address, for people. */
export type DirectoryEntry = {
  address: string;
  fingerprint: string;
  certificate: Certificate;
  /** As it is used: what a person has said of it is in it. */
  trust: CertificateTrust;
  state: CertificateState;
  source: CertificateSource;
  /** Names of the remote sources that have it. */
  sources: readonly string[];
  decision: Decision | null;
  capabilities: readonly string[];
  firstSeen: Date;
  lastSeen: Date;
  /** Noted at most once an hour. */
  timesSeen: number;
};

export type Decision = { decision: 'trusted' | 'distrusted'; reason: string; by: string; at: Date };

export type Page = {
  entries: readonly DirectoryEntry[];
  /** Where the next page begins; null: there is none. */
  next: number | null;
};

/** What is known of one address: each certificate, and why it is not used (null: it is, as far as the directory goes). */
export type AddressHistory = {
  /** As it is kept; it may differ from what was asked for in letter case. */
  address: string;
  entries: readonly (DirectoryEntry & { unused: Unused | null })[];
};

/** Who decides, and why. */
export type Decided = { by: string; reason: string };

/** The directory as an administrator sees and changes it. Throws SealgateError `directory.unavailable` (temporary). */
export class CertificateRegister {
  readonly #store: SqlStore;
  readonly #clock: Clock;
  readonly #parsed = new ParsedCertificates();

  constructor({ store, clock }: { store: SqlStore; clock: Clock }) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Entries in the order in which they came, a page of them. @param after `next` of the page before; 0: from the beginning */
  async search(search: CertificateSearch, most: number, after = 0): Promise<Page> {
    const count = Math.min(most, limits.directory.pageEntries);
    const rows = await this.#rows(selectWhere(searchCondition(search), after, count + 1));
    const shown = rows.slice(0, count);
    return {
      entries: shown.map((row) => this.#entry(row)),
      next: rows.length > count ? (shown.at(-1)?.id ?? null) : null,
    };
  }

  /** All that a search finds, read page by page. */
  async *all(search: CertificateSearch = {}): AsyncGenerator<DirectoryEntry> {
    let after: number | null = 0;
    while (after !== null) {
      const page: Page = await this.search(search, PAGE, after);
      yield* page.entries;
      after = page.next;
    }
  }

  /** Everything known of one address, used or not, oldest first; found as `find` finds it. Pinned files are not in it. */
  async history(address: string): Promise<AddressHistory> {
    const key = addressKey(address);
    if (key === null) return { address, entries: [] };
    const exact = await this.#rows(selectOfAddress(key.exact));
    const folded = () => this.#rows(selectFolded(key.folded, limits.directory.certificatesOfAddress));
    const found = isHearsay(exact)
      ? spelt(key.exact, exact, await folded())
      : { address: key.exact, rows: exact };
    if (found === null) return { address: key.exact, entries: [] };
    const rows = found.rows;
    return {
      address: found.address,
      entries: rows.map((row) => ({ ...this.#entry(row), unused: unusedBecause(row, rows) })),
    };
  }

  /** The addresses that a certificate is known under. */
  async ofCertificate(fingerprint: string): Promise<readonly DirectoryEntry[]> {
    const most = limits.directory.addressesOfCertificate;
    return (await this.#rows(selectOfCertificate(fingerprint, most))).map((row) => this.#entry(row));
  }

  /** What a person has said of a certificate, whether it is known or not. */
  async decision(fingerprint: string): Promise<Decision | null> {
    const [row] = await askingDirectory(() => this.#store.query(selectDecision(fingerprint)));
    const stored = storedDecision(row);
    return stored === null ? null : { ...stored, at: new Date(stored.at) };
  }

  /** Whether somebody distrusts this certificate or another one with its key. */
  async isKeyDistrusted({ subjectPublicKeyInfo }: Certificate): Promise<boolean> {
    const rows = await askingDirectory(() => this.#store.query(selectDistrustOfKey(subjectPublicKeyInfo)));
    return rows.length > 0;
  }

  /** Every decision about a certificate, oldest first; those that were undone too. */
  async journal(fingerprint: string): Promise<readonly JournalEntry[]> {
    const rows = await askingDirectory(() => this.#store.query(selectJournalOf(fingerprint)));
    return rows.map(journalEntry);
  }

  /**
   * A person trusts or distrusts a certificate, whatever the address; it need not be known yet.
   *
   * @returns the number of the decision, by which it can be undone
   */
  async judge(fingerprint: string, action: 'trust' | 'distrust', decided: Decided): Promise<number> {
    const id = await this.#decide(decideOnCertificate(fingerprint, action, this.#deciding(decided)));
    if (id === null) throw new Error('a decision has no number');
    return id;
  }

  /** @returns the number of the decision; null: the directory has no such certificate under the address. */
  async review(
    address: string,
    fingerprint: string,
    action: 'accept' | 'pin',
    decided: Decided,
  ): Promise<number | null> {
    const key = addressKey(address);
    if (key === null) return null;
    return this.#decide(decideUnderAddress(key.exact, fingerprint, action, this.#deciding(decided)));
  }

  /**
   * Takes a decision back: what it changed is as it was before, what was learnt since then stays.
   *
   * @throws SealgateError `directory.no-decision`, `directory.decision-undone`, `directory.later-decision` (permanent)
   */
  async undo(id: number, decided: Decided): Promise<JournalEntry> {
    const [row] = await askingDirectory(() => this.#store.query(selectJournalLine(id)));
    if (row === undefined) throw refused('no-decision', `There is no decision ${id}.`);
    const line = journalEntry(row);
    if (line.action === 'undo') {
      throw refused(
        'no-decision',
        `Decision ${id} took another one back; decide anew instead of undoing it.`,
      );
    }
    if (line.undoneBy !== null) throw refused('decision-undone', `Decision ${id} was undone already.`);
    const [later] = await askingDirectory(() => this.#store.query(selectLaterLines(line)));
    if (later !== undefined) {
      const number = journalEntry(later).id;
      throw refused('later-decision', `Decision ${number} came after it: undo that one first.`);
    }
    await this.#decide(undoing(line, String(row.previous), this.#deciding(decided)));
    return line;
  }

  /** How many entries and certificates there are. */
  async count(): Promise<{ entries: number; certificates: number }> {
    const [[entries], [certificates]] = await askingDirectory(() =>
      Promise.all([
        this.#store.query(sql`SELECT count(*) AS n FROM known_address`),
        this.#store.query(sql`SELECT count(*) AS n FROM certificate`),
      ]),
    );
    return { entries: Number(entries?.n), certificates: Number(certificates?.n) };
  }

  #deciding({ by, reason }: Decided): Deciding {
    return { by, reason, at: this.#clock().getTime() };
  }

  async #decide(statements: readonly Statement[]): Promise<number | null> {
    const [journal] = await askingDirectory(() => this.#store.transaction(statements));
    const id = journal?.[0]?.id;
    return id === undefined ? null : Number(id);
  }

  async #rows(statement: Statement): Promise<StoredCertificate[]> {
    return (await askingDirectory(() => this.#store.query(statement))).map(storedCertificate);
  }

  #entry(stored: StoredCertificate): DirectoryEntry {
    const { address, fingerprint, der, state, source, sources, capabilities, timesSeen, decision } = stored;
    return {
      ...{ address, fingerprint, state, source, sources, capabilities, timesSeen },
      trust: withDecision(stored).trust,
      decision: decision === null ? null : { ...decision, at: new Date(decision.at) },
      certificate: this.#parsed.of(fingerprint, der),
      firstSeen: new Date(stored.firstSeen),
      lastSeen: new Date(stored.lastSeen),
    };
  }
}

export type { DecisionAction, JournalEntry };

const PAGE = 500;

function refused(code: string, publicText: string): SealgateError {
  return new SealgateError({ code: `directory.${code}`, publicText, duration: 'permanent' });
}
