import { octetString } from '../asn1/writer.ts';
import { limits } from '../limits.ts';
import type { Certificate } from './certificate.ts';
import { keyIdentifier } from './key-identifier.ts';
import { namesOcspSigning } from './key-purpose.ts';
import { nameForPeople, sameName } from './name.ts';
import type { BasicOcspResponse, OcspResponse, ResponderId, SingleResponse } from './ocsp.ts';
import { certIdMatches } from './ocsp-cert-id.ts';
import { type PolicyInputs, validateAlongPath } from './path-validation.ts';
import { type Chain, chainSignature, freshness, type RevocationContext } from './revocation-context.ts';
import type { CertificateRevocation, RevocationProblem } from './revocation-report.ts';

/** A response and, where it was asked for with a nonce, that nonce: the response must then repeat it. */
export type OcspEvidence = { response: OcspResponse; nonce: Buffer | null };

/** id-pkix-ocsp-nocheck, RFC 6960 §4.2.2.2.1: a responder that need not be checked for the life of its certificate. */
const oidNoCheck = '1.3.6.1.5.5.7.48.1.5';

/**
 * RFC 6960 §3.2 for one certificate with the responses at hand.
 *
 * What must never happen: an answer is believed that was signed neither by the key that issued the certificate nor by one
 * to which that key gave the right (id-kp-OCSPSigning), or that is about another certificate, or that is old.
 *
 * @param target the certificate, then its issuers up to the anchor, a validated path
 */
export function revocationByOcsp(
  target: Chain,
  evidence: readonly OcspEvidence[],
  context: RevocationContext,
): CertificateRevocation {
  const [certificate, issuer] = target;
  const problems: RevocationProblem[] = [];
  if (certificate === undefined || issuer === undefined) return { status: 'undetermined', problems };
  for (const { basic, single, nonce } of answersAbout(certificate, issuer, evidence)) {
    const name = `The OCSP response about ${nameForPeople(certificate.subject)}`;
    const said = judge(basic, single, nonce, target, context, name);
    if (said.status !== 'undetermined') return said;
    problems.push(...said.problems);
  }
  return { status: 'undetermined', problems };
}

type Answer = { basic: BasicOcspResponse; single: SingleResponse; nonce: Buffer | null };

/** The newest first. */
function answersAbout(
  certificate: Certificate,
  issuer: Certificate,
  evidence: readonly OcspEvidence[],
): Answer[] {
  const answers = evidence.flatMap(({ response, nonce }): Answer[] => {
    if (response.kind !== 'successful') return [];
    const { basic } = response;
    return basic.responses.flatMap((single) =>
      certIdMatches(single.certId, certificate, issuer) ? [{ basic, single, nonce }] : [],
    );
  });
  answers.sort((one, other) => other.single.thisUpdate.getTime() - one.single.thisUpdate.getTime());
  return answers.slice(0, limits.pki.revocationCandidates);
}

function judge(
  basic: BasicOcspResponse,
  single: SingleResponse,
  nonce: Buffer | null,
  target: Chain,
  context: RevocationContext,
  name: string,
): CertificateRevocation {
  const speaker = speakerOf(basic, single, nonce, target, context, name);
  if ('check' in speaker) return { status: 'undetermined', problems: [speaker] };
  const nothing = (check: RevocationProblem['check'], text: string): CertificateRevocation => ({
    status: 'undetermined',
    problems: [{ check, text: `${name} ${text}` }],
  });
  const trust = responderStatus(speaker.responder, target, context);
  if (trust === 'revoked') return nothing('signer', 'is signed by a responder that has been revoked.');
  const { status } = single;
  switch (status.kind) {
    case 'revoked': {
      const { revocationTime, reason } = status;
      return { status: 'revoked', by: 'ocsp', revocationDate: revocationTime, reason, invalidityDate: null };
    }
    case 'unknown':
      return nothing('unknown-certificate', 'says that the responder does not know it.');
    case 'good':
      return trust === 'good'
        ? { status: 'good', by: 'ocsp', freshUntil: speaker.until }
        : nothing('signer', 'is signed by a responder of whom it is not known whether it has been revoked.');
  }
}

/** Who has signed, until when the answer is new; or why nobody has to believe it. */
function speakerOf(
  basic: BasicOcspResponse,
  single: SingleResponse,
  nonce: Buffer | null,
  target: Chain,
  context: RevocationContext,
  name: string,
): { responder: Chain; until: Date } | RevocationProblem {
  const nothing = (check: RevocationProblem['check'], text: string): RevocationProblem => ({
    check,
    text: `${name} ${text}`,
  });
  const [critical] = [...basic.unknownCritical, ...single.unknownCritical];
  if (critical !== undefined) {
    return nothing(
      'unknown-critical-extension',
      `has a critical extension, ${critical}, that is not understood.`,
    );
  }
  if (nonce !== null && basic.nonce?.equals(octetString(nonce)) !== true) {
    return nothing('nonce', 'does not repeat the nonce of its request.');
  }
  const age = freshness(single, context, name);
  if ('problem' in age) return age.problem;
  if (basic.producedAt.getTime() > context.at.getTime() + limits.pki.clockSkewMs) {
    return nothing('freshness', 'is from the future.');
  }
  const responder = ocspResponder(basic, target, context);
  return 'check' in responder ? nothing(responder.check, responder.text) : { responder, until: age.until };
}

/**
 * Why a response says nothing about the certificate that has to be believed; null: it is new, in scope and signed by one
 * who may speak. Whether the responder has been revoked is not looked at.
 */
export function ocspProblem(
  target: Chain,
  evidence: OcspEvidence,
  context: RevocationContext,
): RevocationProblem | null {
  const [certificate, issuer] = target;
  const name = `The OCSP response about ${certificate === undefined ? 'nobody' : nameForPeople(certificate.subject)}`;
  if (evidence.response.kind === 'refused') {
    return { check: 'no-information', text: `${name} is a refusal (${evidence.response.status}).` };
  }
  const answers =
    certificate === undefined || issuer === undefined ? [] : answersAbout(certificate, issuer, [evidence]);
  let problem: RevocationProblem = { check: 'no-information', text: `${name} is about another certificate.` };
  for (const { basic, single, nonce } of answers) {
    const speaker = speakerOf(basic, single, nonce, target, context, name);
    if (!('check' in speaker)) return null;
    problem = speaker;
  }
  return problem;
}

/** RFC 6960 §4.2.2.2: the issuer itself, or one whose certificate the issuer has signed with that same key. */
function ocspResponder(
  basic: BasicOcspResponse,
  target: Chain,
  context: RevocationContext,
): Chain | { check: RevocationProblem['check']; text: string } {
  const above = target.slice(1);
  const [issuer] = above;
  let failure: { check: RevocationProblem['check']; text: string } = {
    check: 'signer',
    text: 'is signed by nobody who is known to speak for the issuer.',
  };
  if (issuer === undefined) return failure;
  const delegates = [...basic.certificates, ...knownResponders(basic.responderId, issuer, context)];
  const chains = [above, ...delegates.map((delegate) => [delegate, ...above])];
  for (const chain of chains.slice(0, limits.pki.revocationCandidates)) {
    const [responder] = chain;
    if (responder === undefined || !isNamed(basic.responderId, responder)) continue;
    if (responder !== issuer && !isDelegate(chain, context)) {
      failure = { check: 'signer', text: 'is signed by a responder to whom the issuer gave no right.' };
      continue;
    }
    const problem = chainSignature(basic, chain, context);
    if (problem === null) return chain;
    failure = problem;
  }
  return failure;
}

/** A response need not bring its signer's certificate: by name, or those of this issuer that name the right to sign. */
function knownResponders(
  responder: ResponderId,
  issuer: Certificate,
  { pool }: RevocationContext,
): readonly Certificate[] {
  if (responder.kind === 'byName') return pool.bySubject(responder.name);
  return [...pool].filter((one) => namesOcspSigning(one) && sameName(one.issuer, issuer.subject));
}

function isNamed(responder: ResponderId, certificate: Certificate): boolean {
  return responder.kind === 'byName'
    ? sameName(responder.name, certificate.subject)
    : responder.hash.equals(keyIdentifier(certificate.subjectPublicKeyInfo));
}

const ANY_POLICY: PolicyInputs = {
  initialPolicySet: null,
  initialPolicyMappingInhibit: false,
  initialExplicitPolicy: false,
  initialAnyPolicyInhibit: false,
};

/** A path through the very issuer of the certificate, whose end names the right to sign responses. */
function isDelegate(chain: Chain, context: RevocationContext): boolean {
  const { at, acceptLegacyAlgorithms, budget } = context;
  const [delegate] = chain;
  // A key usage, where there is one, must let it sign (RFC 5280 §4.2.1.12).
  const usage = delegate?.keyUsage ?? null;
  if (usage !== null && !usage.has('digitalSignature') && !usage.has('nonRepudiation')) return false;
  const inputs = { at, purpose: 'ocsp-signing', policy: ANY_POLICY, acceptLegacyAlgorithms } as const;
  return validateAlongPath(chain.toReversed(), inputs, budget).problems.length === 0;
}

/** The issuer is judged in its own place of the path; a delegate may be excused by the issuer (RFC 6960 §4.2.2.2.1). */
function responderStatus(
  responder: Chain,
  target: Chain,
  context: RevocationContext,
): CertificateRevocation['status'] {
  const [certificate] = responder;
  if (certificate === undefined) return 'undetermined';
  if (certificate.fingerprint === target[1]?.fingerprint) return 'good';
  if (certificate.extensions.some(({ oid }) => oid === oidNoCheck)) return 'good';
  return context.signerStatus(responder, target.slice(1));
}
