import { limits } from '../limits.ts';
import type { Certificate } from './certificate.ts';
import type { CertificateSet } from './certificate-set.ts';
import { certificateSignature, type SignatureBudget } from './certificate-signature.ts';
import { sameName } from './name.ts';
import { ownWorkingKey } from './working-key.ts';

/** Why the search stopped short of an anchor at one certificate. */
export type DeadEnd = { certificate: Certificate; reason: 'no-issuer' | 'signature'; depth: number };

/**
 * The search for paths from one certificate up to an anchor (RFC 4158), depth first.
 *
 * What holds: a path never has the same subject with the same key twice (RFC 4158 §2.4.1), so cross certificates cannot
 * lead round in circles; an issuer is followed only if its key has signed; every step is counted, so a pool made to have
 * exponentially many paths costs no more than the limits. Signatures are verified on the way because a pool is full of
 * strangers' certificates: what did not sign is not worth a look at its own issuers.
 */
export class PathSearch {
  readonly #pool: CertificateSet;
  readonly #anchors: CertificateSet;
  readonly #at: Date;
  readonly #budget: SignatureBudget;
  readonly #ranked = new Map<string, readonly Certificate[]>();
  #steps = 0;
  #exhausted = false;
  #deadEnd: DeadEnd | null = null;

  constructor(pool: CertificateSet, anchors: CertificateSet, at: Date, budget: SignatureBudget) {
    this.#pool = pool;
    this.#anchors = anchors;
    this.#at = at;
    this.#budget = budget;
  }

  /** A limit ended the search: there may be paths that were not tried. */
  get exhausted(): boolean {
    return this.#exhausted;
  }

  /** The furthest place that was reached without an anchor. */
  get deadEnd(): DeadEnd | null {
    return this.#deadEnd;
  }

  /** Paths in the order of their promise, anchor first, `certificate` last. */
  paths(certificate: Certificate): Generator<readonly Certificate[]> {
    return this.#extend([certificate]);
  }

  /** @param path from the end entity upwards */
  *#extend(path: readonly Certificate[]): Generator<readonly Certificate[]> {
    const lowest = path.at(-1);
    if (lowest === undefined) return;
    if (path.length >= limits.pki.pathLength) {
      this.#exhausted = true;
      return;
    }
    const issuers = this.#issuersOf(lowest);
    let reason: DeadEnd['reason'] | null = 'no-issuer';
    for (const issuer of issuers) {
      if (++this.#steps > limits.pki.buildingSteps) {
        this.#exhausted = true;
        return;
      }
      if (path.some((known) => isSameEntity(known, issuer))) continue;
      if (!this.#maySign(issuer, lowest)) {
        if (reason === 'no-issuer') reason = 'signature';
        continue;
      }
      reason = null;
      const longer = [...path, issuer];
      if (this.#anchors.has(issuer)) yield longer.toReversed();
      else yield* this.#extend(longer);
    }
    if (reason !== null) this.#remember(lowest, reason, path.length);
  }

  /** By name; anchors before others, then by key identifier (RFC 5280 §4.2.1.1), then by validity. */
  #issuersOf(certificate: Certificate): readonly Certificate[] {
    const known = this.#ranked.get(certificate.fingerprint);
    if (known !== undefined) return known;
    const anchors = this.#anchors.bySubject(certificate.issuer);
    const others = this.#pool
      .bySubject(certificate.issuer)
      .filter((other) => !this.#anchors.has(other) && !this.#anchors.bars(other));
    const rank = (issuer: Certificate) => keyMatch(certificate, issuer) + (this.#isValid(issuer) ? 0 : 1);
    const ranked = [anchors, others].flatMap((list) =>
      list.map((issuer) => ({ issuer, rank: rank(issuer) })).sort((one, other) => one.rank - other.rank),
    );
    const issuers = ranked.map(({ issuer }) => issuer);
    this.#ranked.set(certificate.fingerprint, issuers);
    return issuers;
  }

  #isValid(certificate: Certificate): boolean {
    return this.#at >= certificate.notBefore && this.#at <= certificate.notAfter;
  }

  /** A key that inherits its parameters is known only along the whole path; validation judges it there. */
  #maySign(issuer: Certificate, certificate: Certificate): boolean {
    const key = ownWorkingKey(issuer);
    if (key === null) return true;
    const verdict = certificateSignature(certificate, key, this.#budget);
    if (verdict === null) this.#exhausted = true;
    return verdict === 'good' || verdict === 'legacy';
  }

  #remember(certificate: Certificate, reason: DeadEnd['reason'], depth: number): void {
    if (this.#deadEnd === null || depth > this.#deadEnd.depth) this.#deadEnd = { certificate, reason, depth };
  }
}

/** 0: the identifiers agree; 2: one is absent; 4: they differ. A hint only: RFC 5280 §6.1 does not ask for it. */
function keyMatch(certificate: Certificate, issuer: Certificate): number {
  const wanted = certificate.authorityKeyIdentifier;
  const offered = issuer.subjectKeyIdentifier;
  if (wanted === null || offered === null) return 2;
  return wanted.equals(offered) ? 0 : 4;
}

function isSameEntity(one: Certificate, other: Certificate): boolean {
  return one.subjectPublicKeyInfo.equals(other.subjectPublicKeyInfo) && sameName(one.subject, other.subject);
}
