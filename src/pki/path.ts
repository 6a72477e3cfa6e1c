import { limits } from '../limits.ts';
import type { Certificate } from './certificate.ts';
import { CertificateSet } from './certificate-set.ts';
import type { SignatureBudget } from './certificate-signature.ts';
import { nameForPeople } from './name.ts';
import { PathSearch } from './path-building.ts';
import type { PathProblem, PathReport } from './path-report.ts';
import { type PolicyInputs, type ValidationInputs, validateAlongPath } from './path-validation.ts';

export type PathRequest = {
  certificate: Certificate;
  /** Where issuers may be found; nothing in it is believed. A CertificateSet keeps its index between requests. */
  pool: Iterable<Certificate>;
  /** Certificates that are believed because somebody configured them. */
  anchors: Iterable<Certificate>;
  /** The time that validity is judged by. */
  at: Date;
  purpose?: 'email-protection';
  /** Inputs of RFC 5280 §6.1.1 (c) to (g); absent: any policy, nothing inhibited, none required. */
  policy?: Partial<PolicyInputs>;
  /** Believe SHA-1 signatures and keys of 1024 bits in the path; absent: no. */
  acceptLegacyAlgorithms?: boolean;
};

/**
 * Whether some path leads from the certificate to an anchor and passes every check of RFC 5280 §6.1 at `at`.
 *
 * What must never happen: `valid` for a path of which something critical was not processed. Revocation is not part of
 * it. Without `purpose`, a critical extendedKeyUsage fails, since nobody asked what it allows.
 *
 * An anchor that is itself the certificate asked for is a path of one: a person has said that it is to be believed.
 */
export function validatePath(request: PathRequest): PathReport {
  const { certificate, at } = request;
  const anchors = CertificateSet.of(request.anchors);
  const inputs: ValidationInputs = {
    at,
    purpose: request.purpose ?? null,
    policy: {
      initialPolicySet: request.policy?.initialPolicySet ?? null,
      initialPolicyMappingInhibit: request.policy?.initialPolicyMappingInhibit ?? false,
      initialExplicitPolicy: request.policy?.initialExplicitPolicy ?? false,
      initialAnyPolicyInhibit: request.policy?.initialAnyPolicyInhibit ?? false,
    },
    acceptLegacyAlgorithms: request.acceptLegacyAlgorithms ?? false,
  };
  const budget: SignatureBudget = { left: limits.pki.signatureChecks };
  if (anchors.has(certificate)) {
    const { problems } = validateAlongPath([certificate], inputs, budget);
    return problems.length === 0
      ? { outcome: 'valid', anchor: certificate, path: [certificate] }
      : { outcome: 'invalid', problems };
  }
  return firstValidPath(
    certificate,
    new PathSearch(CertificateSet.of(request.pool), anchors, at, budget),
    inputs,
    budget,
  );
}

function firstValidPath(
  certificate: Certificate,
  search: PathSearch,
  inputs: ValidationInputs,
  budget: SignatureBudget,
): PathReport {
  let best: readonly PathProblem[] | null = null;
  let tried = 0;
  let tooMany = false;
  for (const path of search.paths(certificate)) {
    if (++tried > limits.pki.candidatePaths) {
      tooMany = true;
      break;
    }
    const { problems } = validateAlongPath(path, inputs, budget);
    const [anchor] = path;
    if (problems.length === 0 && anchor !== undefined) {
      return { outcome: 'valid', anchor, path: path.toReversed() };
    }
    if (best === null || problems.length < best.length) best = problems;
  }
  const problems = [...(best ?? [noPath(certificate, search)])];
  if (search.exhausted || tooMany) {
    problems.push({
      check: 'too-complex',
      certificate,
      text: 'The search for a path met a limit before every possibility was tried.',
    });
  }
  return { outcome: 'invalid', problems };
}

function noPath(certificate: Certificate, search: PathSearch): PathProblem {
  const end = search.deadEnd;
  if (end?.reason === 'signature') {
    return {
      check: 'signature',
      certificate: end.certificate,
      text: `${nameForPeople(end.certificate.subject)}: none of the certificates of its issuer has signed it.`,
    };
  }
  const last = end?.certificate ?? certificate;
  return {
    check: 'no-path',
    certificate: last,
    text: `${nameForPeople(last.subject)}: its issuer, ${nameForPeople(last.issuer)}, is neither a trust anchor nor among the known certificates.`,
  };
}
