/**
 * Gives memory back at once that V8 would give back only when it has gathered a lot of it. Only for octets that the caller has
 * made and that nobody else will look at again: afterwards they are gone.
 */
export function release(octets: Buffer): void {
  const { buffer } = octets;
  // A part of something else is not ours to free; nothing at all may be everybody's.
  const whole = octets.byteLength > 0 && buffer.byteLength === octets.byteLength;
  if (whole && buffer instanceof ArrayBuffer) buffer.transfer(0);
}
