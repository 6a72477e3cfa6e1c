import type { HttpAnswer } from './message.ts';

/**
 * What every answer has unless it says otherwise: it is not kept, framed, guessed at or listed, tells nobody else its address
 * (which may be a secret), and runs and loads nothing.
 */
export const EVERY_ANSWER: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy':
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'x-robots-tag': 'noindex, nofollow',
};

/** Browsers come by TLS alone from then on; seconds. */
export const STRICT_TRANSPORT = 'max-age=31536000';

/** A refusal of the listener itself, in one sentence for people. */
export function plainAnswer(
  status: number,
  sentence: string,
  headers: Record<string, string> = {},
): HttpAnswer {
  return { status, contentType: 'text/plain; charset=utf-8', body: `${sentence}\n`, headers };
}

/** For a client whose octets are no request; there is no response object for it then. */
export function rawAnswer(
  status: '400 Bad Request' | '408 Request Timeout' | '431 Request Header Fields Too Large',
): string {
  const fields = Object.entries({ ...EVERY_ANSWER, 'content-length': '0', connection: 'close' });
  return `HTTP/1.1 ${status}\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`;
}
