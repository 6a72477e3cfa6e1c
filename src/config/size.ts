/**
 * `size = number [ blanks ( "KiB" / "MiB" ) ]`: powers of 1024. Octets, or null where the text is no size.
 */
export function octetsFrom(text: string): number | null {
  const match = /^(\d{1,9})(?: *(KiB|MiB))?$/.exec(text);
  if (match === null) return null;
  const factor = match[2] === 'KiB' ? 1024 : match[2] === 'MiB' ? 1024 * 1024 : 1;
  return Number(match[1]) * factor;
}
