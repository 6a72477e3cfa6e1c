import { type Duration, SealgateError } from '../errors.ts';
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
    // RFC 3463: X.6.0 media error for what cannot be read, X.7.5 cryptographic failure for the rest.
    const detail = /^(mail|mime|smime)\./.test(code) ? '6.0' : '7.5';
    return { code, duration, enhancedCode: `${duration === 'temporary' ? 4 : 5}.${detail}`, publicText };
  }
  return {
    code: 'gateway.defect',
    duration: 'temporary',
    enhancedCode: '4.3.0',
    publicText: 'The gateway could not process this message; it was not sent. Please try again later.',
  };
}

/** RFC 5321 §4.2.5: 451 and 554 after DATA; 550 where it is a matter of policy (RFC 3463 X.7.1). */
export function refusalReply({ duration, enhancedCode, publicText }: Refusal): Reply {
  const code = duration === 'temporary' ? 451 : enhancedCode === '5.7.1' ? 550 : 554;
  return { code, lines: [`${enhancedCode} ${replyText(publicText)}`] };
}

/** Reply text is printable US-ASCII on one line (RFC 5321 §4.2); 480 octets leave room for code and CRLF. */
export function replyText(text: string): string {
  const ascii = text.replace(/[‘’]/g, "'").replace(/[“”]/g, '"');
  return ascii.replace(/[^\x20-\x7e]/g, '?').slice(0, 480);
}
