import { limits } from '../../limits.ts';
import type { Log } from '../../log/log.ts';
import type { Clock } from '../../pipeline/ports.ts';
import type { Certificate } from '../../pki/certificate.ts';
import type { SqlStore } from '../../store/sql-store.ts';
import type { AddressKey } from '../address-key.ts';
import { askingDirectory } from '../asking.ts';
import { type StoredCertificate, selectOfAddress, storedCertificate, text } from '../certificate-rows.ts';
import type { Finding, Noting } from '../noting.ts';
import { ParsedCertificates } from '../parsed-certificates.ts';
import { type Asked, AskedSource } from './asked-source.ts';
import {
  deleteExpiredAnswers,
  deleteSighting,
  selectAnswers,
  upsertAnswer,
  upsertSighting,
} from './remote-rows.ts';
import type { RemoteAnswer, RemoteSource } from './remote-source.ts';

export type LookupSettings = {
  /** All sources together, for one address. */
  timeoutMs: number;
  /** How long an answer counts that has certificates, and one that has none. */
  foundMs: number;
  noneMs: number;
  /** In a row, after which a source is not asked for `retryMs`. */
  failures: number;
  retryMs: number;
};

export type RemoteParts = {
  sources: readonly RemoteSource[];
  settings: LookupSettings;
  store: SqlStore;
  clock: Clock;
  log: Log;
  /** Whether a path leads from the certificate to an anchor that is believed for encryption to the address. */
  leadsToAnchor(certificate: Certificate, chain: readonly Certificate[], address: string): boolean;
  /** Told when a source is given up for a while (with the reason) and when it is back (null). */
  onChange?(source: string, openedBy: string | null): void;
};

/** `missing`: why it is not known what some source has that is not optional; null: all answered. `learnt`: something was asked. */
export type Refreshed = { missing: string | null; learnt: boolean };

/**
 * Asks remote sources for an address where what they said before no longer counts, all of them at once and each address once at a time.
 *
 * What holds: nobody waits longer than `timeoutMs`; what a source has is taken into the directory as anything else (change.ts); what it
 * has no more is not used any longer because of it; that it does not answer changes nothing of what is known.
 */
export class RemoteLookups {
  readonly #parts: RemoteParts;
  readonly #sources: readonly AskedRemote[];
  readonly #parsed = new ParsedCertificates();
  readonly #underWay = new Map<string, Promise<Refreshed>>();
  #cleanedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: RemoteParts) {
    this.#parts = parts;
    const { failures, retryMs } = parts.settings;
    this.#sources = parts.sources.map(
      (source): AskedRemote =>
        new AskedSource(source, { failures, retryMs, onChange: (...told) => this.#tell(...told) }),
    );
  }

  /** @throws SealgateError `directory.unavailable`: of the directory's own database */
  async refresh(key: AddressKey, noting: Noting): Promise<Refreshed> {
    const covering = this.#sources.filter(({ source }) => source.covers(key));
    if (covering.length === 0) return { missing: null, learnt: false };
    const before = this.#underWay.get(key.exact);
    if (before !== undefined) return before;
    if (this.#underWay.size >= limits.directory.remoteLookups) {
      return { missing: 'too many addresses are looked up just now', learnt: false };
    }
    const refreshed = this.#refresh(covering, key, noting);
    this.#underWay.set(key.exact, refreshed);
    try {
      return await refreshed;
    } finally {
      this.#underWay.delete(key.exact);
    }
  }

  /** Asks every source that covers the address, whatever it said before; in their order. */
  async askAll(
    key: AddressKey,
    noting: Noting,
  ): Promise<readonly { source: RemoteSource; asked: Asked | null }[]> {
    const signal = AbortSignal.timeout(this.#parts.settings.timeoutMs);
    return Promise.all(
      this.#sources.map(async (one) => ({
        source: one.source,
        asked: one.source.covers(key) ? await this.#ask(one, key, signal, noting) : null,
      })),
    );
  }

  async #refresh(covering: readonly AskedRemote[], key: AddressKey, noting: Noting): Promise<Refreshed> {
    const { store, clock, settings } = this.#parts;
    const rows = await askingDirectory(() => store.query(selectAnswers(key.exact, clock().getTime())));
    const answered = new Set(rows.map(({ source }) => text(source)));
    const left = covering.filter(({ source }) => !answered.has(source.name));
    if (left.length === 0) return { missing: null, learnt: false };
    const signal = AbortSignal.timeout(settings.timeoutMs);
    const asked = await Promise.all(
      left.map(async (one) => ({ source: one.source, asked: await this.#ask(one, key, signal, noting) })),
    );
    const missing = asked.flatMap(({ source, asked: how }) =>
      how.kind === 'answered' || source.optional ? [] : [`${source.name}: ${how.reason}`],
    );
    return { missing: missing.length === 0 ? null : missing.join('; '), learnt: true };
  }

  async #ask(one: AskedRemote, key: AddressKey, signal: AbortSignal, noting: Noting): Promise<Asked> {
    const asked = await one.ask(key, signal);
    if (asked.kind === 'answered') {
      await noting.inTurn(key.exact, () =>
        askingDirectory(() => this.#learn(one.source, key, asked.answer, noting)),
      );
    } else if (asked.kind === 'failed') {
      this.#parts.log.write({
        ...{ event: 'directory.source-failed', level: 'warn', source: one.source.name, reason: asked.reason },
      });
    }
    return asked;
  }

  /** What the source has no more goes first: it must not stand in the way of what takes its place. */
  async #learn(source: RemoteSource, key: AddressKey, answer: RemoteAnswer, noting: Noting): Promise<void> {
    const { store, clock, settings } = this.#parts;
    const now = clock().getTime();
    const history = (await store.query(selectOfAddress(key.exact))).map(storedCertificate);
    const found = this.#trusted(source, key, answer, history);
    const has = new Set(found.map(({ certificate: { fingerprint } }) => fingerprint));
    const gone = history.filter((one) => one.sources.includes(source.name) && !has.has(one.fingerprint));
    await store.transaction(gone.map(({ id }) => deleteSighting(source.name, id)));
    // The newest comes first: where the others may not stand beside it, they wait for a person.
    for (const { certificate, trust } of found) {
      await noting.note(
        { ...{ key, certificate, trust, source: source.kind, capabilities: [], capabilitiesAt: 0 } },
        now,
      );
    }
    const kept = found.length > 0 ? settings.foundMs : settings.noneMs;
    const expires = now + Math.min(kept, answer.keptMs ?? kept);
    await store.transaction([
      ...[...has].map((fingerprint) => upsertSighting(source.name, key.exact, fingerprint, now)),
      upsertAnswer(source.name, key.exact, { found: found.length, now, expires }),
    ]);
    if (Math.abs(now - this.#cleanedAt) < CLEANED_EVERY_MS) return;
    this.#cleanedAt = now;
    await store.query(deleteExpiredAnswers(now));
  }

  /** What the answer has, and what it vouches for of that which is known already, with the trust that follows. */
  #trusted(
    source: RemoteSource,
    { exact }: AddressKey,
    { certificates, chain, vouches }: RemoteAnswer,
    history: readonly StoredCertificate[],
  ): readonly Trusted[] {
    const isAnchored = (certificate: Certificate) => this.#parts.leadsToAnchor(certificate, chain, exact);
    const own = certificates.flatMap((certificate): Trusted[] => {
      const said = vouches === undefined ? 'as-source' : vouches(certificate);
      if (said === null) return [];
      if (said === 'verified' || isAnchored(certificate)) return [{ certificate, trust: 'verified' }];
      return said === 'by-path' ? [] : [{ certificate, trust: source.trust }];
    });
    if (vouches === undefined) return own;
    const had = new Set(certificates.map(({ fingerprint }) => fingerprint));
    const others = history
      .filter(({ fingerprint }) => !had.has(fingerprint))
      .map(({ fingerprint, der }) => this.#parsed.of(fingerprint, der))
      .filter((certificate) => vouches(certificate) === 'verified');
    return [...own, ...others.map((certificate) => ({ certificate, trust: 'verified' as const }))];
  }

  #tell({ name }: RemoteSource, openedBy: string | null): void {
    this.#parts.onChange?.(name, openedBy);
    this.#parts.log.write(
      openedBy === null
        ? { event: 'directory.source-back', level: 'info', source: name }
        : { event: 'directory.source-away', level: 'warn', source: name, reason: openedBy },
    );
  }
}

type AskedRemote = AskedSource<AddressKey, RemoteAnswer, RemoteSource>;

type Trusted = { certificate: Certificate; trust: Finding['trust'] };

const CLEANED_EVERY_MS = 60 * 60 * 1000;
