import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import type { Clock } from '../pipeline/ports.ts';
import type { Certificate } from '../pki/certificate.ts';
import { CertificateSet } from '../pki/certificate-set.ts';
import type { CertificateRevocationList } from '../pki/crl.ts';
import { CrlSet } from '../pki/crl-set.ts';
import type { OcspEvidence } from '../pki/ocsp-validation.ts';
import { checkRevocation } from '../pki/revocation.ts';
import type { RevocationChecker, RevocationQuestion } from '../pki/revocation-checker.ts';
import type { EvidenceUse } from '../pki/revocation-evidence.ts';
import type { RevocationProblem, RevocationReport } from '../pki/revocation-report.ts';
import type { Evidence } from './evidence.ts';
import type { EvidenceKeeper, Wanted } from './evidence-keeper.ts';
import type { KnownIssuers } from './known-issuers.ts';
import { deltaSources, type Source, type SourceRules, sourcesOf } from './sources.ts';

export type CheckerParts = {
  /** Only certificates on a path to one of these make anybody go anywhere. */
  anchors: CertificateSet;
  keeper: EvidenceKeeper;
  issuers: KnownIssuers;
  rules: SourceRules;
  /** false: only what came with the question and what is kept. */
  fetch: boolean;
  /** How long one question may take. */
  timeoutMs: number;
  maxAgeMs: number | null;
  graceMs: number;
  deadline: (ms: number) => AbortSignal;
  clock: Clock;
  log: Log;
};

/**
 * Finds evidence of revocation for validated paths: with the question, in memory, in the cache file, and at last where
 * the certificates say it is published.
 *
 * Holds: what can be answered from what is kept costs no wait; a certificate whose path does not end at a configured
 * anchor sends nobody anywhere, so a stranger's own CA learns nothing and points at nothing; a question ends within its
 * time whatever the network does, and what comes later is kept for the next one.
 */
export function revocationChecker(parts: CheckerParts): RevocationChecker {
  return {
    async check(question: RevocationQuestion): Promise<RevocationReport> {
      try {
        return await new Inquiry(question, parts).run();
      } catch (error) {
        const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
        parts.log.write({ event: 'gateway.defect', level: 'error', where: 'revocation', error: trace });
        // Nothing is known, and the next question may bring an answer.
        const report = checkRevocation({ ...question, ocspResponses: [] });
        return withProblem(report, { check: 'not-fetched', text: 'It could not be asked about.' });
      }
    },
  };
}

type Chain = readonly Certificate[];

/** One question on its way. */
class Inquiry {
  readonly #question: RevocationQuestion;
  readonly #parts: CheckerParts;
  readonly #pool: CertificateSet;
  readonly #crls: CrlSet;
  readonly #responses = new Map<Evidence, OcspEvidence>();
  /** Keys of what was gone after already. */
  readonly #asked = new Set<string>();
  /** By fingerprint: what kept the evidence of a certificate from being had. */
  readonly #notes = new Map<string, Map<string, RevocationProblem>>();
  #late: AbortSignal | null = null;

  constructor(question: RevocationQuestion, parts: CheckerParts) {
    this.#question = question;
    this.#parts = parts;
    this.#crls = new CrlSet(question.crls);
    this.#pool = new CertificateSet([...question.pool, ...parts.issuers.all()]);
  }

  async run(): Promise<RevocationReport> {
    const { path } = this.#question;
    const anchor = path.at(-1);
    if (anchor === undefined || !this.#parts.anchors.has(anchor)) return this.#judge(0);
    this.#parts.issuers.remember(path.slice(1, -1), this.#parts.clock());
    await this.#recall(path.slice(0, -1).map((_, i) => path.slice(i)));
    let report = this.#judge(0);
    for (let round = 0; round < limits.revocation.rounds && isOpen(report) && !this.#isLate(); round++) {
      const before = this.#crls.size + this.#responses.size;
      await Promise.all(report.missing.map((chain) => this.#settle(chain)));
      report = this.#judge(0);
      if (this.#crls.size + this.#responses.size === before) break;
    }
    if (isOpen(report) && this.#isLate()) {
      for (const chain of report.missing) this.#note(chain, 'not-fetched', 'There was no time left to ask.');
    }
    if (isOpen(report) && this.#parts.graceMs > 0) report = this.#judge(this.#parts.graceMs);
    return this.#withNotes(report);
  }

  /** A question that is answered from memory makes no timer. */
  #isLate(): boolean {
    return this.#late?.aborted ?? false;
  }

  #judge(graceMs: number, path: Chain = this.#question.path): RevocationReport {
    const { maxAgeMs } = this.#parts;
    return checkRevocation({
      ...{ path, crls: this.#crls, ocspResponses: this.#responses.values(), pool: this.#pool, graceMs },
      at: this.#question.at,
      ...(maxAgeMs === null ? {} : { maxAgeMs }),
    });
  }

  /** Takes what is kept, and has what grows old fetched ahead; nobody waits for that. */
  async #recall(chains: readonly Chain[]): Promise<void> {
    for (const chain of chains) {
      for (const source of this.#sources(chain)) {
        for (const way of source.ways) {
          const evidence = await this.#parts.keeper.recall(way);
          if (evidence === null) continue;
          this.#take(evidence);
          this.#fetchAhead(way);
          if (evidence.kind === 'crl') await this.#recallDeltas(evidence.crl, chain);
          break;
        }
      }
    }
  }

  /** A delta that is not there yet is fetched for the next question: the complete CRL is new enough to answer this one. */
  async #recallDeltas(crl: CertificateRevocationList, chain: Chain): Promise<void> {
    for (const { ways } of deltaSources(crl, this.#use(chain), this.#parts.rules)) {
      for (const way of ways.slice(0, 1)) {
        const delta = await this.#parts.keeper.recall(way);
        if (delta !== null) this.#take(delta);
        this.#fetchAhead(way);
      }
    }
  }

  #fetchAhead(way: Wanted): void {
    if (this.#parts.fetch && this.#parts.keeper.isDue(way)) void this.#parts.keeper.fetch(way);
  }

  /** Goes through the places of one certificate until its revocation is known. */
  async #settle(chain: Chain): Promise<void> {
    const sources = this.#sources(chain).filter((source) => this.#isNew(source));
    const ways = sources.flatMap((source) => source.ways).length;
    const share = Math.ceil(this.#parts.timeoutMs / Math.max(1, ways));
    for (const source of sources) {
      if (this.#isLate()) return;
      const evidence = await this.#from(source, chain, share);
      if (evidence?.kind === 'crl') await this.#withDeltas(evidence.crl, chain, share);
      if (evidence !== null && this.#isSettled(chain)) return;
    }
  }

  async #withDeltas(crl: CertificateRevocationList, chain: Chain, share: number): Promise<void> {
    for (const source of deltaSources(crl, this.#use(chain), this.#parts.rules)) {
      if (this.#isNew(source)) await this.#from(source, chain, share);
    }
  }

  /** The first of its ways that leads somewhere. */
  async #from(source: Source, chain: Chain, share: number): Promise<Evidence | null> {
    for (const way of source.ways) {
      const kept = await this.#parts.keeper.recall(way);
      if (kept !== null) this.#take(kept);
      const { keeper } = this.#parts;
      // A place that is left alone after a failure gives that failure again: it has to be said.
      if (kept !== null && !keeper.isDue(way) && !keeper.hasFailed(way)) return kept;
      if (!this.#parts.fetch) {
        this.#note(chain, 'no-place', 'Nothing is fetched here.');
        return kept;
      }
      const found = await this.#fetched(way, share);
      if (typeof found !== 'string') {
        this.#take(found);
        return found;
      }
      this.#note(chain, 'not-fetched', found);
      if (kept !== null) return kept;
    }
    return null;
  }

  /** A text says why there is nothing. */
  async #fetched(way: Wanted, share: number): Promise<Evidence | string> {
    this.#late ??= this.#parts.deadline(this.#parts.timeoutMs);
    const patience = AbortSignal.any([this.#late, this.#parts.deadline(share)]);
    const found = await orLate(this.#parts.keeper.fetch(way), patience);
    if (found === null) return `${way.place} did not answer in time.`;
    return found.kind === 'found' ? found.evidence : found.text;
  }

  #isSettled(chain: Chain): boolean {
    const [own] = this.#judge(0, chain).certificates;
    return own !== undefined && own.revocation.status !== 'undetermined';
  }

  #isNew({ ways }: Source): boolean {
    const keys = ways.map(({ key }) => key);
    const isNew = keys.some((key) => !this.#asked.has(key));
    for (const key of keys) this.#asked.add(key);
    return isNew;
  }

  #sources(chain: Chain): readonly Source[] {
    const { sources, none } = sourcesOf(this.#use(chain), this.#parts.rules);
    if (none !== null) this.#note(chain, 'no-place', none);
    for (const { refused, ways } of sources) {
      if (ways.length === 0) for (const text of refused) this.#note(chain, 'no-place', text);
    }
    return sources;
  }

  #use(target: Chain): EvidenceUse {
    const { maxAgeMs, graceMs } = this.#parts;
    return { target, pool: this.#pool, at: this.#question.at, maxAgeMs, graceMs };
  }

  #take(evidence: Evidence): void {
    if (evidence.kind === 'crl') this.#crls.add(evidence.crl);
    else this.#responses.set(evidence, { response: evidence.response, nonce: null });
  }

  #note([certificate]: Chain, check: RevocationProblem['check'], text: string): void {
    if (certificate === undefined) return;
    const notes = this.#notes.get(certificate.fingerprint) ?? new Map<string, RevocationProblem>();
    this.#notes.set(certificate.fingerprint, notes.set(text, { check, text }));
  }

  /**
   * Says first what kept evidence from being had: without it, the rest cannot be understood. What could not be fetched about
   * signers of evidence may be what is missing to any certificate of the path.
   */
  #withNotes(report: RevocationReport): RevocationReport {
    const onPath = new Set(report.certificates.map(({ certificate }) => certificate.fingerprint));
    const ofSigners = [...this.#notes]
      .filter(([fingerprint]) => !onPath.has(fingerprint))
      .flatMap(([, notes]) => [...notes.values()].filter(({ check }) => check === 'not-fetched'));
    const certificates = report.certificates.map(({ certificate, revocation }) => {
      if (revocation.status !== 'undetermined') return { certificate, revocation };
      const own = this.#notes.get(certificate.fingerprint)?.values() ?? [];
      const problems = [...own, ...ofSigners, ...revocation.problems];
      return { certificate, revocation: { status: 'undetermined' as const, problems } };
    });
    return { ...report, certificates };
  }
}

function withProblem(report: RevocationReport, problem: RevocationProblem): RevocationReport {
  const certificates = report.certificates.map(({ certificate, revocation }) =>
    revocation.status === 'undetermined'
      ? { certificate, revocation: { ...revocation, problems: [problem, ...revocation.problems] } }
      : { certificate, revocation },
  );
  return { ...report, certificates };
}

function isOpen({ verdict, missing }: RevocationReport): boolean {
  return verdict === 'unchecked' && missing.length > 0;
}

/** null: the signal was aborted first; what the promise brings later is for others. */
function orLate<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  if (signal.aborted) return Promise.resolve(null);
  return new Promise((resolve, reject) => {
    const stop = () => resolve(null);
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
  });
}
