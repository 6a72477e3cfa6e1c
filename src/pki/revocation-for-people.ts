import { nameForPeople } from './name.ts';
import type { RevocationReport } from './revocation-report.ts';

/** Longer explanations help nobody who reads mail. */
const TEXT_CHARACTERS = 400;

/**
 * What a report says, in one or two sentences: the certificate that was revoked with date and reason, or the first one
 * that could not be checked and why. Foreign names in it are escaped and shortened.
 *
 * @returns null: every certificate is good, or there was none to ask about
 */
export function revocationForPeople(report: RevocationReport): string | null {
  for (const { certificate, revocation } of report.certificates) {
    if (revocation.status !== 'revoked') continue;
    const day = revocation.revocationDate.toISOString().slice(0, 10);
    const reason = revocation.reason === 'unspecified' ? '' : ` (${revocation.reason})`;
    return `${nameForPeople(certificate.subject)} was revoked on ${day}${reason}.`;
  }
  for (const { revocation } of report.certificates) {
    if (revocation.status !== 'undetermined') continue;
    const text = revocation.problems.map((problem) => problem.text).join(' ');
    if (text === '') continue;
    return text.length > TEXT_CHARACTERS ? `${text.slice(0, TEXT_CHARACTERS)}…` : text;
  }
  return null;
}
