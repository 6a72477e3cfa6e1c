import { decideAtRecipient } from '../policy/decide-at-recipient.ts';
import type { Rule } from '../policy/rules.ts';
import type { Recipient } from '../smtp/envelope.ts';
import type { Reply } from '../smtp/reply.ts';
import type { Clock, Origin } from './ports.ts';
import { addressOf, type RecipientLookups } from './recipient-certificates.ts';
import { asciiText } from './refusal.ts';

/**
 * The judgement at RCPT TO, for rules with `withoutCertificate: refuse-recipient`: the client learns at the recipient itself
 * that there is no certificate, and can still send to the others. Everything else is judged with the message, this again.
 */
export function judgeRecipient(
  origin: Origin,
  recipient: Recipient,
  lookups: RecipientLookups,
  { rules, clock }: { rules: readonly Rule[]; clock: Clock },
): Promise<Reply | null> | null {
  const wanted = rules.some(
    ({ encrypt, withoutCertificate }) => encrypt === 'require' && withoutCertificate === 'refuse-recipient',
  );
  return wanted ? judge(origin, recipient, lookups, rules, clock) : null;
}

async function judge(
  origin: Origin,
  recipient: Recipient,
  lookups: RecipientLookups,
  rules: readonly Rule[],
  clock: Clock,
): Promise<Reply | null> {
  const certificates = await lookups.known(origin, recipient, clock());
  const refusal = decideAtRecipient(origin.principal.login, addressOf(recipient), certificates, rules);
  if (refusal === null) return null;
  // RFC 5321 §4.3.3: 450 and 550 at RCPT.
  const code = refusal.duration === 'temporary' ? 450 : 550;
  return { code, lines: [`${refusal.enhancedCode} ${asciiText(refusal.publicText)}`.slice(0, 500)] };
}
