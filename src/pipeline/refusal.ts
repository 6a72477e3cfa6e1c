import { type Duration, SealgateError } from '../errors.ts';
import type { Reply } from '../smtp/reply.ts';

/** Why a mail does not leave, before it becomes a reply. */
export type Refusal = {
  /** For the log: `policy.…`, `key.unavailable`, `sender.not-yours` … */
  code: string;
  duration: Duration;
  /** RFC 3463 subject and detail, such as `7.1`; the class follows from the duration. */
  detail: string;
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
    return {
      code: error.code,
      duration: error.duration,
      detail: error.code.startsWith('mail.') || error.code.startsWith('mime.') ? '6.0' : '7.5',
      publicText: error.publicText,
    };
  }
  return {
    code: 'gateway.defect',
    duration: 'temporary',
    detail: '3.0',
    publicText: 'The gateway could not process this message; it was not sent. Please try again later.',
  };
}

/** RFC 5321 §4.2.5 and RFC 3463: 451/554 after DATA, 550 where the mail's own sender is at fault. */
export function refusalReply(refusal: Refusal): Reply {
  const temporary = refusal.duration === 'temporary';
  const code = temporary ? 451 : refusal.detail === '7.1' ? 550 : 554;
  return { code, lines: [`${temporary ? 4 : 5}.${refusal.detail} ${replyText(refusal.publicText)}`] };
}

/** Reply text is printable US-ASCII on one line (RFC 5321 §4.2); 480 octets leave room for code and CRLF. */
export function replyText(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 480);
}
