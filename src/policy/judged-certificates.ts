import type { CertificateFacts, RevocationFailure } from './facts.ts';
import type { CertificateTrust } from './rules.ts';
import { isTrusted } from './trust.ts';

/** What is known of a recipient's certificates, judged by what a rule says of revocation. */
export type JudgedCertificates =
  /** `index`: into the usable certificates of the facts. Preferred first, never empty. */
  | {
      kind: 'usable';
      certificates: readonly { index: number; trust: CertificateTrust }[];
      /** Somebody who might know one that is trusted more could not be asked. */
      incomplete: boolean;
    }
  | { kind: 'none' }
  | { kind: 'unusable'; because: string }
  /** There are some, and whether they have been revoked could not be checked just now. `because`: sentences for people. */
  | { kind: 'unchecked'; because: string }
  | { kind: 'lookup-failed' };

export function judgedCertificates(facts: CertificateFacts, failure: RevocationFailure): JudgedCertificates {
  if (facts.kind !== 'usable') return facts;
  const all = facts.certificates.map(({ trust, doubt = null }, index) => ({ index, trust, doubt }));
  const usable = all.filter(({ doubt }) => failure === 'soft' || doubt === null);
  const doubted = all.filter((one) => !usable.includes(one));
  // One that is trusted more may be what the rule asks for: nobody is told that there is none.
  const better = doubted.find(
    ({ trust, doubt }) => doubt?.mayPass === true && usable.every((one) => !isTrusted(one.trust, trust)),
  );
  if (better !== undefined) return { kind: 'unchecked', because: better.doubt?.because ?? '' };
  const incomplete = facts.incomplete === true;
  if (usable.length > 0) return { kind: 'usable', certificates: usable, incomplete };
  if (incomplete) return { kind: 'lookup-failed' };
  const [worst] = doubted;
  return worst === undefined ? { kind: 'none' } : { kind: 'unusable', because: worst.doubt?.because ?? '' };
}
