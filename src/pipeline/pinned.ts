import type { HeldVariant, OutboundVariant } from '../policy/decide-outbound.ts';
import { quoted } from '../policy/quoted.ts';
import { type AlgorithmPins, ownProblem, readerProblem, signerProblem } from '../smime/pinned-algorithms.ts';
import { MailRefused } from './refusal.ts';
import type { AlgorithmFacts } from './variant-algorithms.ts';

/**
 * Algorithms that a rule pins: what a reader cannot read, or a key cannot do, is a refusal and never another algorithm.
 *
 * @throws MailRefused with who and why
 */
export function checkPinned(
  { recipients, sign, encrypt, algorithms: pins, rule }: OutboundVariant,
  { certificates, own, signingKey }: AlgorithmFacts,
  addresses: readonly string[],
): void {
  if (pins === null) return;
  if (sign !== null) checkSigner(pins, signingKey, rule);
  if (encrypt === null) return;
  for (const [place, index] of recipients.entries()) {
    const known = certificates[index];
    const reader =
      known?.kind === 'usable' ? known.certificates[encrypt.certificates[place] ?? -1] : undefined;
    const problem = reader === undefined ? null : readerProblem(pins, reader);
    if (problem === null) continue;
    const address = quoted(addresses[index] ?? '');
    throw refusal(`To ${address}: the mail cannot be encrypted as the rule ${rule} demands: ${problem}.`);
  }
  checkOwn(pins, own, rule);
}

/** The same for what waits: its readers are looked at when it leaves. @throws MailRefused with who and why */
export function checkPinnedWaiting(
  { sign, introduce, terms: { algorithms: pins, rule } }: HeldVariant,
  { own, signingKey }: Pick<AlgorithmFacts, 'own' | 'signingKey'>,
): void {
  if (pins === null) return;
  if (sign !== null || introduce) checkSigner(pins, signingKey, rule);
  checkOwn(pins, own, rule);
}

function checkSigner(pins: AlgorithmPins, signingKey: AlgorithmFacts['signingKey'], rule: string): void {
  const problem = signingKey === null ? null : signerProblem(pins, signingKey.schemes);
  if (problem !== null) throw refusal(`The mail cannot be signed as the rule ${rule} demands: ${problem}.`);
}

function checkOwn(pins: AlgorithmPins, own: AlgorithmFacts['own'], rule: string): void {
  const problem = own === null ? null : ownProblem(pins, own);
  if (problem !== null) {
    throw refusal(`Your own copy cannot be encrypted as the rule ${rule} demands: ${problem}.`);
  }
}

function refusal(sentence: string): MailRefused {
  return new MailRefused({
    code: 'policy.algorithms',
    duration: 'permanent',
    // RFC 3463 §3.8: X.7.5 cryptographic failure.
    enhancedCode: '5.7.5',
    publicText: `${sentence} Nothing was sent to anybody. Please ask the administrator of the mail gateway.`,
  });
}
