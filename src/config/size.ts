const UNITS = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;

/**
 * `size = number [ blanks ( "KiB" / "MiB" / "GiB" ) ]`: powers of 1024. Octets, or null where the text is no size.
 */
export function octetsFrom(text: string): number | null {
  const match = /^(\d{1,9})(?: *(KiB|MiB|GiB))?$/.exec(text);
  if (match === null) return null;
  return Number(match[1]) * (match[2] === undefined ? 1 : UNITS[match[2] as keyof typeof UNITS]);
}

/** Octets as somebody would write them: in the largest unit of which they are a whole number. */
export function sizeText(octets: number): string {
  const unit = (['GiB', 'MiB', 'KiB'] as const).find((each) => octets % UNITS[each] === 0);
  return unit === undefined ? String(octets) : `${octets / UNITS[unit]} ${unit}`;
}
