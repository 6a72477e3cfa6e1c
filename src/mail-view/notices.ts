import { isMalleable, signaturesOf, type ViewOutcome } from './view-outcome.ts';

/**
 * Words to the reader of a view. ASCII, lines of at most 78, CRLF. Nothing of the message or of a certificate is in
 * them, so that a sender cannot write them; the details are in the status block.
 */

const CRLF = '\r\n';

function lines(...text: string[]): string {
  return text.map((line) => line + CRLF).join('');
}

/** One text for every reason of failure (RFC 3218). */
export const FAILED_NOTICE = lines(
  'Sealgate could not open this message.',
  '',
  'It is damaged, or it was changed on its way. Nothing of its content is shown.',
  'The stored original is unchanged. Please ask the sender to send it again.',
);

export const NO_KEY_NOTICE = lines(
  'This message is encrypted, and none of your keys fits.',
  '',
  'The encrypted message is attached as it was received. If it was meant for you,',
  'ask the sender to encrypt it with your current certificate, or ask the operator',
  'of this mail gateway to add the key that you used before.',
);

export const NOT_SMIME_NOTICE = lines(
  'This message says that it is an S/MIME message, but it is not one that Sealgate',
  'opens. It is attached as it was received.',
);

/** null: nothing to warn of. There is no text for good news: anybody could write it. */
export function warningOf(outcome: ViewOutcome): string | null {
  if (outcome.kind !== 'opened') return null;
  const found = warnings(outcome);
  if (found.length === 0) return null;
  return lines('Sealgate warning', '', ...found);
}

function warnings(outcome: Extract<ViewOutcome, { kind: 'opened' }>): string[] {
  const { report, verdict } = outcome;
  const signatures = signaturesOf(report);
  const found: string[] = [];
  if (verdict.kind === 'broken' || signatures.some((each) => each.signature === 'bad')) {
    found.push('- The signature of this message is not valid: its content may have been changed.');
  }
  if (signatures.some((each) => each.speaksFor === 'other')) {
    found.push('- The signer is not the sender named in From.');
  }
  if (verdict.kind === 'untrusted') {
    found.push('- The certificate of the signer is not trusted here.');
  }
  if (verdict.kind === 'unsigned' && isMalleable(report)) {
    found.push(
      '- This message is encrypted without a signature, by a method that does not notice',
      '  changes. Do not trust links, and do not load remote content.',
    );
  }
  return found;
}
