import { type Duration, SealgateError } from '../errors.ts';
import type { MailId } from '../ids.ts';
import type { Reply } from '../smtp/reply.ts';

/** Why a mail does not leave, before it becomes a reply. */
export type Refusal = {
  /** For the log: `policy.refused`, `key.unavailable` … */
  code: string;
  duration: Duration;
  /** RFC 3463, whole: `5.7.1`. */
  enhancedCode: string;
  /** A sentence a mail user understands. */
  publicText: string;
};

/** Thrown inside the outbound story only; outbound.ts turns it into the reply. */
export class MailRefused extends Error {
  override readonly name = 'MailRefused';
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.publicText);
    this.refusal = refusal;
  }
}

/** A failure of any part as a refusal. What is not declared is a defect: temporary, so that no mail is lost by it. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof MailRefused) return error.refusal;
  if (error instanceof SealgateError) {
    const { code, duration, publicText } = error;
    return {
      code,
      duration,
      enhancedCode: `${duration === 'temporary' ? 4 : 5}.${detailOf(code)}`,
      publicText,
    };
  }
  return {
    code: 'gateway.defect',
    duration: 'temporary',
    enhancedCode: '4.3.0',
    publicText: 'The gateway could not process this message; it was not sent. Please try again later.',
  };
}

/** Subject and detail of RFC 3463 by the part that failed. */
function detailOf(code: string): string {
  // X.6.0: other or undefined media error, for what cannot be read.
  if (/^(mail|mime|smime)\./.test(code)) return '6.0';
  // X.7.0: other or undefined security status, for a key that was used too often.
  if (code === 'key.rate-limited') return '7.0';
  // X.7.5: cryptographic failure.
  if (/^(key|cms|pki)\./.test(code)) return '7.5';
  // X.4.3: directory server failure.
  if (code.startsWith('directory.')) return '4.3';
  // X.3.1: mail system full.
  if (code === 'queue.full') return '3.1';
  return '3.0';
}

/** RFC 5321 §4.3.2: 451, 452 (no room, RFC 3463 X.3.1) and 554 after the end of data, 550 for reasons of policy (RFC 3463 X.7.1). */
export function refusalReply({ duration, enhancedCode, publicText }: Refusal, mail: MailId): Reply {
  return ownReply(codeFor(duration, enhancedCode), enhancedCode, publicText, mail);
}

function codeFor(duration: Duration, enhancedCode: string): number {
  if (duration === 'temporary') return enhancedCode === '4.3.1' ? 452 : 451;
  return enhancedCode === '5.7.1' ? 550 : 554;
}

/** A reply line is at most 512 octets with code and CRLF (RFC 5321 §4.5.3.1.5); clients show long ones badly. */
const LONGEST_LINE = 490;

/**
 * A reply of the gateway itself about one mail: one line of printable US-ASCII (RFC 5321 §4.2) that ends with the mail's
 * id, by which an operator finds it in the log. The upstream's own replies are never changed.
 */
export function ownReply(code: number, enhancedCode: string, text: string, mail: MailId): Reply {
  const id = ` (mail ${mail})`;
  const room = LONGEST_LINE - `${code} ${enhancedCode} ${id}`.length;
  return { code, lines: [`${enhancedCode} ${shortened(asciiText(text), room)}${id}`] };
}

/** Printable US-ASCII; what is not becomes a question mark. */
export function asciiText(text: string): string {
  const plain = text.replace(/[‘’]/g, "'").replace(/[“”]/g, '"').replace(/…/g, '...').replace(/\s+/g, ' ');
  return plain.replace(/[^\x20-\x7e]/gu, '?');
}

/** At most `longest` characters; a cut is seen. */
export function shortened(text: string, longest: number): string {
  return text.length <= longest ? text : `${text.slice(0, Math.max(0, longest - 3))}...`;
}
