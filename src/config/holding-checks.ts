import type { CrossProblem } from './cross-checks.ts';
import type { Sections } from './schema.ts';

/** RFC 5321 §4.5.3.1.1: 64 octets in all, of which 42 are "+" and what tells one question from another (holding/answer-address.ts). */
const LONGEST_LOCAL_PART = 22;

/** What is wrong between mail that waits and the other sections. */
export function holdingChecks({ queue, policy }: Partial<Sections>): CrossProblem[] {
  if (queue === undefined || queue === null || policy === undefined) return [];
  const asks = policy.rules.some(({ withoutCertificate }) => withoutCertificate === 'ask');
  const localPart = queue.address.slice(0, queue.address.lastIndexOf('@'));
  if (!asks) return [];
  const path = ['queue', 'address'];
  const problem = (text: string): CrossProblem[] => [{ path, severity: 'error', text }];
  if (localPart.startsWith('"')) {
    return problem('questions are answered to this address with more behind it: it must do without quotes');
  }
  return Buffer.byteLength(localPart) <= LONGEST_LOCAL_PART
    ? []
    : problem(
        `questions are answered to this address with 42 characters more: at most ${LONGEST_LOCAL_PART} may stand before the @`,
      );
}
