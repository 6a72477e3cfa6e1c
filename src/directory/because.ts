import type { Unused } from './usable.ts';

/** The same for an address that pinned files may name: these alone are used then. */
export function unusedBecause(
  unused: Unused | null,
  anyFile: boolean,
  isFile: boolean,
): Unused | 'beside-file' | null {
  if (isFile) return null;
  return anyFile ? 'beside-file' : unused;
}
