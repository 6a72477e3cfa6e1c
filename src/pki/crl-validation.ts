import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Certificate } from './certificate.ts';
import type { CertificateRevocationList, RevokedEntry } from './crl.ts';
import { distributionPoints, isDeltaOf, namesDeltas, reasonsInScope } from './crl-scope.ts';
import type { CrlSet } from './crl-set.ts';
import { crlForPeople, crlSigner } from './crl-signer.ts';
import type { DistributionPoint } from './distribution-point.ts';
import { nameForPeople, nameKey, sameName } from './name.ts';
import { type Chain, chainSignature, freshness, type RevocationContext } from './revocation-context.ts';
import { allReasons, type ReasonMask } from './revocation-reason.ts';
import type { CertificateRevocation, RevocationProblem } from './revocation-report.ts';

/** What one complete CRL (with its delta) says. */
type Statement =
  | { kind: 'unrevoked'; freshUntil: Date }
  | { kind: 'revoked'; entry: RevokedEntry }
  | { kind: 'nothing'; problem: RevocationProblem };

/**
 * RFC 5280 §6.3 for one certificate with the CRLs at hand.
 *
 * What must never happen: `good` while some reason is covered by no CRL that is new, in scope and signed by one who may
 * speak here. Bad news is believed from a signer of whom nothing bad is known; good news only from one who is known to
 * be good.
 *
 * @param target the certificate, then its issuers up to the anchor, a validated path
 */
export function revocationByCrls(
  target: Chain,
  crls: CrlSet,
  context: RevocationContext,
): CertificateRevocation {
  const [certificate] = target;
  if (certificate === undefined) return undetermined([]);
  let points: DistributionPoint[];
  try {
    points = distributionPoints(certificate);
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    const text = `${nameForPeople(certificate.subject)}: its CRL distribution points cannot be read.`;
    return undetermined([{ check: 'unreadable', text }]);
  }
  return new CrlCheck(certificate, target, crls, context).run(points);
}

/**
 * One series of CRLs (same issuer, same scope) speaks by its newest that can be used. RFC 5280 §6.3.3 stops where every
 * reason is covered; here every series that may speak about the certificate is heard, so that a revocation that was seen
 * is never hidden by another CRL.
 */
class CrlCheck {
  readonly #certificate: Certificate;
  readonly #target: Chain;
  readonly #crls: CrlSet;
  readonly #context: RevocationContext;
  readonly #problems = new Map<string, RevocationProblem>();
  #looked = 0;
  readonly #heard = new Set<string>();
  /** reasons_mask of RFC 5280 §6.3.2 (a). */
  #covered: ReasonMask = 0;
  #freshUntil = Infinity;

  constructor(certificate: Certificate, target: Chain, crls: CrlSet, context: RevocationContext) {
    this.#certificate = certificate;
    this.#target = target;
    this.#crls = crls;
    this.#context = context;
  }

  run(points: readonly DistributionPoint[]): CertificateRevocation {
    for (const point of points) {
      for (const crl of this.#completeCrls(point)) {
        const revoked = this.#consult(crl, point);
        if (revoked !== null) return { status: 'revoked', by: 'crl', ...revoked };
      }
    }
    if (this.#covered === allReasons) {
      return { status: 'good', by: 'crl', freshUntil: new Date(this.#freshUntil) };
    }
    return undetermined(this.#told());
  }

  /** RFC 5280 §6.3.3 (b)(1): by the names of those who may issue them here. */
  #completeCrls(point: DistributionPoint): readonly CertificateRevocationList[] {
    if (point.cRLIssuer === null) return this.#crls.complete(this.#certificate.issuer);
    return point.cRLIssuer.flatMap(({ name }) =>
      name.kind === 'directoryName' ? this.#crls.complete(name.name) : [],
    );
  }

  #consult(crl: CertificateRevocationList, point: DistributionPoint): RevokedEntry | null {
    const reasons = reasonsInScope(crl, this.#certificate, point);
    if (typeof reasons === 'string') {
      this.#tell({ check: 'scope', text: `${crlForPeople(crl)} ${reasons}` });
      return null;
    }
    // (e), but a series of CRLs that has not spoken yet is heard even if it can cover nothing new: see the class.
    const series = seriesOf(crl);
    const nothingNew = (reasons & ~this.#covered) === 0;
    if (reasons === 0 || (nothingNew && this.#heard.has(series))) return null;
    if (++this.#looked > limits.pki.revocationCandidates) {
      this.#tell({ check: 'too-complex', text: 'There are too many CRLs for this certificate.' });
      return null;
    }
    const statement = this.#statement(crl, point);
    switch (statement.kind) {
      case 'revoked':
        return statement.entry;
      case 'nothing':
        this.#tell(statement.problem);
        return null;
      case 'unrevoked':
        this.#heard.add(series);
        // (l)
        this.#covered |= reasons;
        this.#freshUntil = Math.min(this.#freshUntil, statement.freshUntil.getTime());
        return null;
    }
  }

  #statement(crl: CertificateRevocationList, point: DistributionPoint): Statement {
    const unusable = unknownCritical(crl);
    if (unusable !== null) return { kind: 'nothing', problem: unusable };
    const signer = crlSigner(crl, this.#target, this.#context);
    if ('check' in signer) return { kind: 'nothing', problem: signer };
    const delta = this.#delta(crl, signer);
    const age = this.#freshness(crl, delta);
    if ('problem' in age) return { kind: 'nothing', problem: age.problem };
    const status = this.#signerStatus(signer, point);
    const ofSigner = (text: string): Statement => ({
      kind: 'nothing',
      problem: { check: 'signer', text: `${crlForPeople(crl)}: ${text}` },
    });
    if (status === 'revoked') return ofSigner('the certificate of its signer has been revoked.');
    const { serialNumber, issuer } = this.#certificate;
    // (i) to (k): what the delta says replaces what the complete CRL says.
    const entry = delta?.find(serialNumber, issuer) ?? crl.find(serialNumber, issuer);
    if (entry !== null && entry.reason !== 'removeFromCRL') return { kind: 'revoked', entry };
    if (status === 'undetermined') return ofSigner('whether its signer has been revoked is not known.');
    return { kind: 'unrevoked', freshUntil: age.until };
  }

  /** RFC 5280 §6.3.3 (c) and (h): the newest delta for this CRL, signed with the same key, that is itself new. */
  #delta(crl: CertificateRevocationList, signer: Chain): CertificateRevocationList | null {
    const candidates = this.#crls.deltas(crl.issuer).filter((delta) => isDeltaOf(delta, crl));
    for (const delta of candidates.slice(0, limits.pki.revocationCandidates)) {
      const age = freshness(delta, this.#context, crlForPeople(delta));
      const failure =
        unknownCritical(delta) ??
        ('problem' in age ? age.problem : chainSignature(delta, signer, this.#context));
      if (failure === null) return delta;
    }
    return null;
  }

  /** (a): a complete CRL may have grown old where deltas are published and a new one is at hand. */
  #freshness(crl: CertificateRevocationList, delta: CertificateRevocationList | null) {
    const mayBeOld = delta !== null && (crl.freshestPoints.length > 0 || namesDeltas(this.#certificate));
    if (!mayBeOld) return freshness(crl, this.#context, crlForPeople(crl));
    // Old, but not from the future.
    const thisUpdate = crl.thisUpdate > delta.thisUpdate ? crl.thisUpdate : delta.thisUpdate;
    return freshness({ thisUpdate, nextUpdate: delta.nextUpdate }, this.#context, crlForPeople(crl));
  }

  /**
   * A signer above the certificate is judged in its own place of the path. An indirect CRL issuer may be the subject of
   * its own CRL where the CA has said so in its certificate (cRLIssuer); nobody else speaks for himself.
   */
  #signerStatus(signer: Chain, point: DistributionPoint): CertificateRevocation['status'] {
    const [certificate] = signer;
    if (certificate?.fingerprint === this.#certificate.fingerprint) {
      const said = point.cRLIssuer !== null && !sameName(certificate.subject, certificate.issuer);
      return said ? 'good' : 'undetermined';
    }
    return this.#context.signerStatus(signer, this.#target.slice(1));
  }

  #tell(problem: RevocationProblem): void {
    this.#problems.set(problem.text, problem);
  }

  #told(): RevocationProblem[] {
    const told = [...this.#problems.values()];
    if (told.length > 0) {
      const missing = this.#covered === 0 ? [] : [someReasons(this.#certificate)];
      return [...told, ...missing].slice(0, limits.pki.revocationCandidates);
    }
    if (this.#covered !== 0) return [someReasons(this.#certificate)];
    const text = `${nameForPeople(this.#certificate.subject)}: there is no CRL of its issuer.`;
    return [{ check: 'no-information', text }];
  }
}

function seriesOf(crl: CertificateRevocationList): string {
  return `${crl.issuingDistributionPointValue?.toString('hex') ?? ''} ${nameKey(crl.issuer)}`;
}

function someReasons(certificate: Certificate): RevocationProblem {
  const text = `${nameForPeople(certificate.subject)}: the CRLs at hand do not cover every reason for revocation.`;
  return { check: 'scope', text };
}

/** Why a CRL with critical extensions that nothing here processes proves nothing (RFC 5280 §5.2); null: it has none. */
export function unknownCritical(crl: CertificateRevocationList): RevocationProblem | null {
  const [oid] = crl.unknownCritical;
  if (oid === undefined) return null;
  const text = `${crlForPeople(crl)}: its critical extension ${oid} is not understood.`;
  return { check: 'unknown-critical-extension', text };
}

function undetermined(problems: readonly RevocationProblem[]): CertificateRevocation {
  return { status: 'undetermined', problems };
}
