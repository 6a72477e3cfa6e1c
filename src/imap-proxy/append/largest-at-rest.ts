/**
 * The largest message that is encrypted before it is stored: base64 and what stands around it have to fit.
 *
 * @param stored octets that may be stored
 */
export function largestAtRest(stored: number): number {
  return Math.max(0, Math.floor((stored - 8_192) / 1.4));
}
