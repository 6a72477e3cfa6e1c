import type { Certificate } from '../pki/certificate.ts';

/** Certificates of people, and those of authorities that stand around them in a file. */
export function ownCertificates(all: readonly Certificate[]): {
  own: readonly Certificate[];
  chain: readonly Certificate[];
} {
  const people = all.filter(({ basicConstraints }) => basicConstraints?.cA !== true);
  // Who signs for himself alone is often a CA by the defaults of the program that made it.
  const own = people.length > 0 ? people : all.slice(0, 1);
  return { own, chain: all.filter((certificate) => !own.includes(certificate)) };
}
