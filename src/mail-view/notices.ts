import type { HeaderProtectionReport } from '../smime/report.ts';
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

export const REFUSED_NOTICE = lines(
  'This message is encrypted without a signature, by a method that does not notice',
  'changes. Sealgate is told not to show such messages. It is attached as it was',
  'received. Ask the sender to sign, or to encrypt with AES-GCM.',
);

/** null: nothing to warn of. There is no text for good news: anybody could write it. */
export function warningOf(
  outcome: ViewOutcome,
  protectedHeaders: 'promote' | 'ignore' = 'promote',
): string | null {
  if (outcome.kind !== 'opened') return null;
  const found = warnings(outcome, protectedHeaders);
  if (found.length === 0) return null;
  return lines('Sealgate warning', '', ...found);
}

/** The wrapped form does not say what its author left outside an encryption: there, a difference may be his. */
function wasChangedOutside(header: HeaderProtectionReport | undefined): boolean {
  if (header === undefined || (header.kind === null && header.encrypted)) return false;
  return header.fields.some(({ name, differs }) => differs && SHOWN.has(name));
}

const SHOWN: ReadonlySet<string> = new Set(['from', 'sender', 'reply-to', 'to', 'cc', 'subject', 'date']);

function warnings(
  outcome: Extract<ViewOutcome, { kind: 'opened' }>,
  protectedHeaders: 'promote' | 'ignore',
): string[] {
  const { report, verdict } = outcome;
  const signatures = signaturesOf(report);
  const found: string[] = [];
  if (verdict.kind === 'broken' || signatures.some((each) => each.signature === 'bad')) {
    found.push('- The signature of this message is not valid: its content may have been changed.');
  }
  if (signatures.some((each) => each.speaksFor === 'other')) {
    found.push('- The signer is not the sender named in From.');
  }
  if (report.headerProtection?.fromMismatch === true) {
    found.push(
      report.headerProtection.shownFrom === 'inside'
        ? '- The sender outside is not the one who signed; the one who signed is shown.'
        : '- Inside, this message names another sender than the one that is shown.',
    );
  } else if (verdict.kind === 'untrusted') {
    found.push('- The certificate of the signer is not trusted here.');
  }
  if (wasChangedOutside(report.headerProtection)) {
    found.push(
      '- Subject, date, sender or recipients were changed on the way outside the message;',
      protectedHeaders === 'promote'
        ? '  shown is what is protected with it.'
        : '  only the sender is shown as it is protected with it.',
    );
  }
  if (verdict.kind === 'unsigned' && isMalleable(report)) {
    found.push(
      '- This message is encrypted without a signature, by a method that does not notice',
      '  changes. Do not trust links, and do not load remote content.',
    );
  }
  return found;
}
