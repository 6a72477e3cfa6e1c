import { limits } from '../limits.ts';
import type { Certificate } from './certificate.ts';
import { CertificateSet } from './certificate-set.ts';
import type { CertificateRevocationList } from './crl.ts';
import { CrlSet } from './crl-set.ts';
import { revocationByCrls } from './crl-validation.ts';
import { nameForPeople } from './name.ts';
import { type OcspEvidence, revocationByOcsp } from './ocsp-validation.ts';
import { type Chain, isAmong, type RevocationContext } from './revocation-context.ts';
import { hasNoRevocationAvailable } from './revocation-locations.ts';
import type { CertificateRevocation, RevocationProblem, RevocationReport } from './revocation-report.ts';

export type RevocationRequest = {
  /** Of a PathReport that is `valid`: the end entity first, the anchor last. */
  path: readonly Certificate[];
  /**
   * A CrlSet keeps its index between requests. Of a stranger's, take few: in numbers they use up the limits, and the
   * status is then not known.
   */
  crls: Iterable<CertificateRevocationList>;
  ocspResponses: Iterable<OcspEvidence>;
  /** Where signers of CRLs and responses may be found besides the path; nothing in it is believed. */
  pool: Iterable<Certificate>;
  /** When the evidence must be new: now, also for a signature of the past, since a signing time is a claim. */
  at: Date;
  /** Evidence older than this is not believed, whatever it says of itself; absent: it says itself how long. */
  maxAgeMs?: number;
  /** How long evidence is still believed after it stopped being new; absent: not at all. */
  graceMs?: number;
  /** As for the path; absent: no. */
  acceptLegacyAlgorithms?: boolean;
};

/**
 * What the evidence at hand says about every certificate of a validated path. Nothing is fetched.
 *
 * Both kinds of evidence are read, and one that says `revoked` is believed over one that says `good`: whoever can choose
 * what we see must not be able to hide a revocation that we have seen.
 */
export function checkRevocation(request: RevocationRequest): RevocationReport {
  const anchor = request.path.at(-1);
  if (anchor === undefined) return { verdict: 'unchecked', certificates: [], freshUntil: null, missing: [] };
  const check = new RevocationCheck(request, anchor);
  const certificates = request.path.slice(0, -1).map((certificate, i) => ({
    certificate,
    revocation: check.statusOf(request.path.slice(i)),
  }));
  const missing = check.missing();
  const all = certificates.map(({ revocation }) => revocation);
  if (all.some(({ status }) => status === 'revoked')) {
    return { verdict: 'revoked', certificates, freshUntil: null, missing };
  }
  const ends = all.flatMap((one) => (one.status === 'good' ? [one.freshUntil.getTime()] : []));
  if (ends.length === 0 || ends.length < all.length) {
    return { verdict: 'unchecked', certificates, freshUntil: null, missing };
  }
  return { verdict: 'good', certificates, freshUntil: new Date(Math.min(...ends)), missing };
}

class RevocationCheck {
  readonly #crls: CrlSet;
  readonly #responses: readonly OcspEvidence[];
  readonly #context: RevocationContext;
  /** By the fingerprints of the whole chain; null: being looked at further up in the call. */
  readonly #known = new Map<string, CertificateRevocation | null>();
  readonly #missing = new Map<string, Chain>();
  #depth = 0;

  constructor(request: RevocationRequest, anchor: Certificate) {
    this.#crls = CrlSet.of(request.crls);
    this.#responses = [...request.ocspResponses];
    this.#context = {
      at: request.at,
      anchor,
      pool: poolWith(request.path, request.pool),
      acceptLegacyAlgorithms: request.acceptLegacyAlgorithms ?? false,
      maxAgeMs: request.maxAgeMs ?? null,
      graceMs: request.graceMs ?? 0,
      budget: { left: limits.pki.revocationSignatureChecks },
      signerStatus: (signer, above) => this.#signerStatus(signer, above),
    };
  }

  statusOf(target: Chain): CertificateRevocation {
    const key = target.map(({ fingerprint }) => fingerprint).join();
    const known = this.#known.get(key);
    if (known === null) return undetermined('too-complex', target, 'its signers rest on each other.');
    if (known !== undefined) return known;
    if (this.#depth >= limits.pki.revocationDepth) {
      return undetermined('too-complex', target, 'too many signers rest on each other.');
    }
    this.#known.set(key, null);
    this.#depth++;
    const status = this.#unlessExpired(this.#judge(target), target);
    this.#depth--;
    this.#known.set(key, status);
    if (status.status === 'undetermined') this.#missing.set(key, target);
    return status;
  }

  /**
   * RFC 5280 §3.3: an entry leaves the CRLs once the certificate has expired, so that there is none proves nothing then. Whoever
   * stole a key that was revoked could otherwise wait, and claim a time of the past.
   */
  #unlessExpired(status: CertificateRevocation, target: Chain): CertificateRevocation {
    const [certificate] = target;
    const isOver = certificate !== undefined && certificate.notAfter.getTime() < this.#context.at.getTime();
    if (status.status !== 'good' || !isOver) return status;
    return undetermined(
      'expired',
      target,
      'it has expired, and whether it was revoked before is not published any more.',
    );
  }

  missing(): Chain[] {
    return [...this.#missing.values()];
  }

  #judge(target: Chain): CertificateRevocation {
    const byOcsp = revocationByOcsp(target, this.#responses, this.#context);
    if (byOcsp.status === 'revoked') return byOcsp;
    const byCrls = revocationByCrls(target, this.#crls, this.#context);
    if (byCrls.status === 'revoked' || byOcsp.status === 'undetermined') {
      return byCrls.status === 'undetermined' && byOcsp.status === 'undetermined'
        ? (withoutEvidence(target) ?? {
            status: 'undetermined',
            problems: [...byOcsp.problems, ...byCrls.problems],
          })
        : byCrls;
    }
    return byOcsp;
  }

  /**
   * A signer is as good as the worst of its path, without those who stand above the certificate that is asked for: they
   * are judged in their own place.
   */
  #signerStatus(signer: Chain, above: Chain): CertificateRevocation['status'] {
    let worst: CertificateRevocation['status'] = 'good';
    for (const [i, certificate] of signer.slice(0, -1).entries()) {
      if (isAmong(above, certificate)) continue;
      const { status } = this.statusOf(signer.slice(i));
      if (status === 'revoked') return 'revoked';
      if (status === 'undetermined') worst = 'undetermined';
    }
    return worst;
  }
}

/** A signer's path may lead through the path itself, which a caller need not have in the pool. */
function poolWith(path: Chain, pool: Iterable<Certificate>): CertificateSet {
  const set = CertificateSet.of(pool);
  return path.every((certificate) => set.has(certificate)) ? set : new CertificateSet([...path, ...set]);
}

/** RFC 9608: nothing is ever published about it. */
function withoutEvidence([certificate]: Chain): CertificateRevocation | null {
  if (certificate === undefined || !hasNoRevocationAvailable(certificate)) return null;
  return { status: 'good', by: 'no-revocation-available', freshUntil: certificate.notAfter };
}

function undetermined(check: RevocationProblem['check'], target: Chain, text: string): CertificateRevocation {
  const [certificate] = target;
  const name = certificate === undefined ? 'The certificate' : nameForPeople(certificate.subject);
  return { status: 'undetermined', problems: [{ check, text: `${name}: ${text}` }] };
}
