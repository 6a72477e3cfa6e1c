import type { CertificateTrust, RuleAlgorithms, SubjectConfidentiality, TlsDemand } from './rules.ts';

/**
 * What a rule asks for, for mail that waits until its recipient's certificate is known. Kept with the mail (JSON), so that a later change
 * of the rules changes nothing for it.
 */
export type HoldTerms = {
  rule: string;
  /** The sender is asked what to do. */
  ask: boolean;
  minTrust: CertificateTrust;
  revocation: 'soft' | 'hard';
  algorithms: RuleAlgorithms | null;
  subject: SubjectConfidentiality;
  requireTls: TlsDemand;
  /** The archive that gets a copy of what leaves, as it leaves; null: none. */
  appendTo: string | null;
};
