import { randomBytes } from 'node:crypto';

/**
 * A boundary for a multipart (RFC 2046 §5.1.1): 36 characters that nobody can foresee. `=_` never occurs in
 * quoted-printable or base64 (RFC 2045 §6.7), so encoded parts need no search.
 */
export function newBoundary(): string {
  return `=_${randomBytes(17).toString('hex')}`;
}
