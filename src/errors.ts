/**
 * The one error type that crosses folders.
 *
 * `publicText` may be read by a mail user or an operator: whole words, no secret, no stack, no foreign bytes.
 * `reason` is for the log. Each session turns the error into a protocol reply in exactly one place.
 */

/** Whether the same request may succeed later (SMTP 4xx, IMAP `[UNAVAILABLE]`) or will not (5xx). */
export type Duration = 'temporary' | 'permanent';

export type ErrorDetails = {
  /** Stable, dotted, lower case: `key.pin-incorrect`, `config.invalid`, `upstream.unreachable`. */
  code: string;
  /** One clear sentence with the place and what to do. */
  publicText: string;
  duration: Duration;
  /** What the log may say in addition; never a secret. */
  reason?: string;
  cause?: unknown;
};

export class SealgateError extends Error {
  override readonly name = 'SealgateError';
  readonly code: string;
  readonly publicText: string;
  readonly duration: Duration;
  readonly reason: string | null;

  constructor(details: ErrorDetails) {
    super(
      details.reason === undefined ? details.publicText : `${details.publicText} (${details.reason})`,
      details.cause === undefined ? undefined : { cause: details.cause },
    );
    this.code = details.code;
    this.publicText = details.publicText;
    this.duration = details.duration;
    this.reason = details.reason ?? null;
  }
}

/** For the `default` of a switch over a closed union: a new member without its case is a type error. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${String(value)}`);
}
