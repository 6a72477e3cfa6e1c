import type { KeySource } from '../../src/hsm/source-kinds.ts';

/** A key in PEM files, as the configuration names one. */
export function pemSource(
  name: string,
  { certificate, key }: { certificate: string; key: string },
): KeySource {
  const place = { kind: 'pem', certificate, key, passphrase: null } as const;
  return { name, use: 'sign-and-decrypt', usesPerMinute: null, places: [place] };
}
