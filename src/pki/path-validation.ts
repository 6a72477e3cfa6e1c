import type { Certificate } from './certificate.ts';
import { extensionOids } from './certificate-extensions.ts';
import { certificateSignature, type SignatureBudget } from './certificate-signature.ts';
import { allowsEmailProtection, namesOcspSigning } from './key-purpose.ts';
import { nameForPeople, sameName } from './name.ts';
import { NameConstraintState } from './name-constraints.ts';
import { pathFacts } from './path-facts.ts';
import type { PathProblem } from './path-report.ts';
import { oidAnyPolicy, type PolicyExtensions } from './policy-extensions.ts';
import { PolicyGraph } from './policy-graph.ts';
import { workingKeyOnPath } from './working-key.ts';

/** Inputs of RFC 5280 §6.1.1 (c) to (g). */
export type PolicyInputs = {
  /** OIDs; null: any-policy. */
  initialPolicySet: ReadonlySet<string> | null;
  initialPolicyMappingInhibit: boolean;
  initialExplicitPolicy: boolean;
  initialAnyPolicyInhibit: boolean;
};

export type ValidationInputs = {
  at: Date;
  /** What the end entity is to be used for; null: only the path is asked for. */
  purpose: 'email-protection' | 'ocsp-signing' | null;
  policy: PolicyInputs;
  /** SHA-1 signatures and keys of 1024 bits in the path are believed: for old mail only. */
  acceptLegacyAlgorithms: boolean;
};

/** Every check that failed, from the anchor to the end entity; none: the path is valid. */
export type ValidationResult = { problems: PathProblem[]; policies: ReadonlySet<string> };

/**
 * RFC 5280 §6.1 for one path, with RFC 9618 for policies. All checks are made and every failure is told.
 *
 * The anchor is a certificate and is held to what it says itself (as RFC 5937 §3 does for trust anchor constraints):
 * validity, the right to sign certificates, path length, name constraints, policy constraints, critical extensions.
 * Revocation is not looked at here.
 *
 * @param path anchor first, end entity last, at least one certificate
 */
export function validateAlongPath(
  path: readonly Certificate[],
  inputs: ValidationInputs,
  budget: SignatureBudget,
): ValidationResult {
  return new PathValidation(path, inputs, budget).run();
}

class PathValidation {
  readonly #path: readonly Certificate[];
  readonly #inputs: ValidationInputs;
  readonly #budget: SignatureBudget;
  readonly #problems: PathProblem[] = [];
  readonly #names = new NameConstraintState();
  readonly #policies = new PolicyGraph();
  /** Counters of RFC 5280 §6.1.2 (d) to (f) and (k). */
  #explicitPolicy: number;
  #inhibitAnyPolicy: number;
  #policyMapping: number;
  #maxPathLength: number;

  constructor(path: readonly Certificate[], inputs: ValidationInputs, budget: SignatureBudget) {
    this.#path = path;
    this.#inputs = inputs;
    this.#budget = budget;
    const length = path.length - 1;
    this.#explicitPolicy = inputs.policy.initialExplicitPolicy ? 0 : length + 1;
    this.#inhibitAnyPolicy = inputs.policy.initialAnyPolicyInhibit ? 0 : length + 1;
    this.#policyMapping = inputs.policy.initialPolicyMappingInhibit ? 0 : length + 1;
    this.#maxPathLength = length;
  }

  run(): ValidationResult {
    const last = this.#path.length - 1;
    this.#path.forEach((certificate, i) => {
      if (i === 0) this.#anchor(certificate, last === 0);
      else {
        this.#basicProcessing(certificate, i, i === last);
        if (i < last) this.#prepareForNext(certificate);
      }
      this.#ownChecks(certificate);
    });
    return { problems: this.#problems, policies: this.#wrapUp() };
  }

  #fail(certificate: Certificate, check: PathProblem['check'], text: string): void {
    this.#problems.push({
      check,
      certificate,
      text: `${nameForPeople(certificate.subject)}: ${text}`,
    });
  }

  /** So that one cause is not told again for every certificate below it. */
  #told(check: PathProblem['check'], certificate: Certificate | null = null): boolean {
    return this.#problems.some(
      (problem) => problem.check === check && (certificate === null || problem.certificate === certificate),
    );
  }

  #anchor(anchor: Certificate, isAll: boolean): void {
    if (isAll) return;
    // Old roots of version 1 have no extensions; being configured as an anchor is what makes them a CA.
    if (anchor.extensions.length > 0) this.#mayIssue(anchor);
    this.#limitPathLength(anchor);
    this.#addNameConstraints(anchor);
    const policy = this.#readPolicy(anchor);
    if (policy !== null) this.#limitPolicies(policy);
  }

  /** RFC 5280 §6.1.3. */
  #basicProcessing(certificate: Certificate, i: number, isLast: boolean): void {
    const issuer = this.#path[i - 1];
    if (issuer === undefined) return;
    this.#signature(certificate, this.#path.slice(0, i).reverse());
    if (!sameName(certificate.issuer, issuer.subject)) {
      this.#fail(
        certificate,
        'issuer-name',
        `it names another issuer than ${nameForPeople(issuer.subject)}.`,
      );
    }
    const selfIssued = isSelfIssued(certificate);
    if (isLast || !selfIssued) {
      const refusal = this.#names.refusal(certificate);
      if (refusal !== null) this.#fail(certificate, 'name-constraints', refusal);
    }
    const policy = this.#readPolicy(certificate);
    if (policy === null) return;
    this.#policies.addCertificate(policy.policies, this.#inhibitAnyPolicy > 0 || (!isLast && selfIssued));
    if (this.#explicitPolicy === 0 && this.#policies.isNull && !this.#told('policy')) {
      this.#fail(certificate, 'policy', 'no certificate policy holds along the path, and one is required.');
    }
  }

  /** @param issuers nearest first */
  #signature(certificate: Certificate, issuers: readonly Certificate[]): void {
    const [issuer, ...above] = issuers;
    const key = issuer === undefined ? null : workingKeyOnPath(issuer, above);
    if (key === null) {
      this.#fail(certificate, 'signature', 'the key of its issuer has no parameters on this path.');
      return;
    }
    const verdict = certificateSignature(certificate, key, this.#budget);
    if (verdict === 'bad') this.#fail(certificate, 'signature', 'its signature is not that of its issuer.');
    if (verdict === 'unsupported') {
      this.#fail(certificate, 'signature', 'it is signed with an algorithm or a key that is not supported.');
    }
    if (verdict === 'legacy' && !this.#inputs.acceptLegacyAlgorithms) {
      this.#fail(certificate, 'signature', 'it is signed with SHA-1 or a key of less than 2048 bits.');
    }
    if (verdict === null) this.#fail(certificate, 'too-complex', 'too many signatures had to be verified.');
  }

  /** RFC 5280 §6.1.4. */
  #prepareForNext(certificate: Certificate): void {
    const policy = this.#readPolicy(certificate);
    if (policy !== null) this.#applyMappings(certificate, policy);
    this.#addNameConstraints(certificate);
    const selfIssued = isSelfIssued(certificate);
    if (!selfIssued) {
      // (h)
      this.#explicitPolicy = Math.max(0, this.#explicitPolicy - 1);
      this.#policyMapping = Math.max(0, this.#policyMapping - 1);
      this.#inhibitAnyPolicy = Math.max(0, this.#inhibitAnyPolicy - 1);
    }
    if (policy !== null) this.#limitPolicies(policy);
    this.#mayIssue(certificate);
    if (!selfIssued) {
      // (l)
      if (this.#maxPathLength <= 0)
        this.#fail(certificate, 'path-length', 'the path is longer than a CA allows.');
      this.#maxPathLength--;
    }
    this.#limitPathLength(certificate);
  }

  /** §6.1.4 (a) and (b). */
  #applyMappings(certificate: Certificate, policy: PolicyExtensions): void {
    const any = policy.mappings.some(
      ({ issuerDomain, subjectDomain }) => issuerDomain === oidAnyPolicy || subjectDomain === oidAnyPolicy,
    );
    if (any) this.#fail(certificate, 'policy', 'it maps from or to any policy, which is forbidden.');
    else this.#policies.applyMappings(policy.mappings, this.#policyMapping > 0);
  }

  /** §6.1.4 (g). */
  #addNameConstraints(certificate: Certificate): void {
    const { nameConstraints } = pathFacts(certificate);
    if (nameConstraints === 'unreadable') {
      this.#fail(certificate, 'name-constraints', 'its name constraints cannot be read.');
    } else if (nameConstraints !== null) {
      this.#names.add(nameConstraints);
    }
  }

  /** §6.1.4 (i) and (j). */
  #limitPolicies(policy: PolicyExtensions): void {
    this.#explicitPolicy = Math.min(this.#explicitPolicy, policy.requireExplicitPolicy ?? Infinity);
    this.#policyMapping = Math.min(this.#policyMapping, policy.inhibitPolicyMapping ?? Infinity);
    this.#inhibitAnyPolicy = Math.min(this.#inhibitAnyPolicy, policy.inhibitAnyPolicy ?? Infinity);
  }

  /** §6.1.4 (k) and (n). */
  #mayIssue(certificate: Certificate): void {
    if (certificate.basicConstraints?.cA !== true) {
      this.#fail(certificate, 'basic-constraints', 'it is not the certificate of a CA.');
    }
    if (certificate.keyUsage !== null && !certificate.keyUsage.has('keyCertSign')) {
      this.#fail(certificate, 'key-usage', 'its key may not sign certificates.');
    }
  }

  /** §6.1.4 (m). */
  #limitPathLength(certificate: Certificate): void {
    const pathLength = certificate.basicConstraints?.pathLength ?? null;
    if (pathLength !== null) this.#maxPathLength = Math.min(this.#maxPathLength, pathLength);
  }

  #readPolicy(certificate: Certificate): PolicyExtensions | null {
    const { policy } = pathFacts(certificate);
    if (policy !== 'unreadable') return policy;
    if (!this.#told('policy', certificate))
      this.#fail(certificate, 'policy', 'what it says about certificate policies cannot be read.');
    return null;
  }

  /** What holds for every certificate, the anchor too: §6.1.3 (a)(2), §6.1.4 (o), §6.1.5 (f), and the purpose. */
  #ownChecks(certificate: Certificate): void {
    const at = this.#inputs.at.getTime();
    // Written so that an invalid Date fails.
    const valid = at >= certificate.notBefore.getTime() && at <= certificate.notAfter.getTime();
    if (!valid) {
      const period = `${certificate.notBefore.toISOString()} to ${certificate.notAfter.toISOString()}`;
      this.#fail(certificate, 'validity', `it is valid only from ${period}.`);
    }
    for (const oid of pathFacts(certificate).unknownCritical) {
      if (oid === extensionOids.extendedKeyUsage && this.#inputs.purpose !== null) continue;
      this.#fail(
        certificate,
        'unknown-critical-extension',
        `its critical extension ${oid} is not understood.`,
      );
    }
    if (this.#inputs.purpose === 'email-protection' && !allowsEmailProtection(certificate)) {
      this.#fail(certificate, 'extended-key-usage', 'it was not issued for mail.');
    }
    // RFC 6960 §4.2.2.2: the certificate itself must name the purpose; any purpose is not enough.
    const isEnd = certificate === this.#path.at(-1);
    if (this.#inputs.purpose === 'ocsp-signing' && isEnd && !namesOcspSigning(certificate)) {
      this.#fail(certificate, 'extended-key-usage', 'it was not issued for OCSP.');
    }
  }

  /** RFC 5280 §6.1.5 (a), (b), (g). */
  #wrapUp(): ReadonlySet<string> {
    const end = this.#path.at(-1);
    if (end === undefined || this.#path.length === 1) return new Set();
    this.#explicitPolicy = Math.max(0, this.#explicitPolicy - 1);
    if (this.#readPolicy(end)?.requireExplicitPolicy === 0) this.#explicitPolicy = 0;
    const policies = this.#policies.userConstrainedPolicies(this.#inputs.policy.initialPolicySet);
    if (this.#explicitPolicy === 0 && policies.size === 0 && !this.#told('policy')) {
      this.#fail(end, 'policy', 'no certificate policy that is accepted holds along the path.');
    }
    return policies;
  }
}

/** RFC 5280 §6.1: the same name as subject and issuer. */
function isSelfIssued(certificate: Certificate): boolean {
  return sameName(certificate.subject, certificate.issuer);
}
