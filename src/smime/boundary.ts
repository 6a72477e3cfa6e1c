import { randomUUID } from 'node:crypto';

/**
 * A boundary for a multipart (RFC 2046 §5.1.1): 122 bits that nobody can foresee, in 38 characters. `=_` never occurs in
 * quoted-printable or base64 (RFC 2045 §6.7), so encoded parts need no search.
 */
export function newBoundary(): string {
  return `=_${randomUUID()}`;
}
