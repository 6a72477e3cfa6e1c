import { unreachable } from '../errors.ts';
import type { CertificateFacts, RevocationFailure } from './facts.ts';
import { type JudgedCertificates, judgedCertificates } from './judged-certificates.ts';
import { quoted } from './quoted.ts';
import type { Refusal } from './refusal.ts';
import type { CertificateTrust } from './rules.ts';
import { isTrusted } from './trust.ts';

/** What is asked of a certificate before anything is encrypted to it. */
export type CertificateDemand = {
  /** Name of the rule. */
  rule: string;
  minTrust: CertificateTrust;
  revocation: RevocationFailure;
};

export type CertificateToUse =
  /** Index into the usable certificates of the facts. */
  | { kind: 'with'; certificate: number }
  | ({ kind: 'lacking' } & Lack)
  /** Nobody knows for now: never a reason to do without. */
  | { kind: 'outage'; refusal: Refusal };

/** Why there is no certificate to use. */
export type Lack = {
  reason: 'none' | 'unusable' | 'untrusted';
  /** A clause for people. */
  because: string;
};

/** The one to encrypt to, for whoever is to read the mail: when it is sent, and when it has waited. */
export function certificateToUse(
  { rule, minTrust, revocation }: CertificateDemand,
  facts: CertificateFacts,
): CertificateToUse {
  const certificates = judgedCertificates(facts, revocation);
  const outage = outageOf(certificates, rule);
  if (outage !== null) return { kind: 'outage', refusal: outage };
  const known = certificates.kind === 'usable' ? certificates.certificates : [];
  const found = known.find(({ trust }) => isTrusted(trust, minTrust));
  if (found !== undefined) return { kind: 'with', certificate: found.index };
  if (certificates.kind === 'usable' && certificates.incomplete) {
    return { kind: 'outage', refusal: lookupFailed(rule) };
  }
  return { kind: 'lacking', ...lackOf(certificates) };
}

function lackOf(certificates: JudgedCertificates): Lack {
  if (certificates.kind === 'unusable') {
    const because = quoted(certificates.because, 300).replace(/\.$/, '');
    return {
      reason: 'unusable',
      because: `the certificate that is known cannot be used for it: ${because}`,
    };
  }
  return certificates.kind === 'usable'
    ? { reason: 'untrusted', because: 'the certificate that is known is not trusted enough for it' }
    : { reason: 'none', because: 'no valid certificate is known' };
}

/** An outage is always a temporary refusal. null: there is none. */
export function outageOf(certificates: JudgedCertificates, rule: string): Refusal | null {
  switch (certificates.kind) {
    case 'lookup-failed':
      return lookupFailed(rule);
    case 'unchecked':
      return {
        duration: 'temporary',
        // RFC 3463 §3.8: X.7.5 cryptographic failure, because necessary information was not available.
        enhancedCode: '4.7.5',
        problem: `whether the certificate has been revoked could not be checked just now (rule ${rule}): ${quoted(certificates.because, 300).replace(/\.$/, '')}`,
        remedy: 'Please send the mail again in a few minutes.',
      };
    case 'none':
    case 'unusable':
    case 'usable':
      return null;
    default:
      return unreachable(certificates);
  }
}

function lookupFailed(rule: string): Refusal {
  return {
    duration: 'temporary',
    // RFC 3463 §3.5: X.4.3 directory server failure.
    enhancedCode: '4.4.3',
    problem: `the certificate could not be looked up just now (rule ${rule})`,
    remedy: 'Please send the mail again in a few minutes.',
  };
}
