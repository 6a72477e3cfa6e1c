import { createHash, timingSafeEqual } from 'node:crypto';
import type { Certificate } from '../../pki/certificate.ts';

/**
 * What one SMIMEA record says (RFC 8162 §2, in the form of RFC 6698 §2.1). Pure.
 */
export type Association = {
  /** RFC 7218 §2.1. `pkix-…`: and a path must lead to an anchor; `…-ta`: an authority's, `…-ee`: the person's own. */
  usage: 'pkix-ta' | 'pkix-ee' | 'dane-ta' | 'dane-ee';
  selector: 'certificate' | 'public-key';
  matching: 'exact' | 'sha256' | 'sha512';
  data: Buffer;
};

const USAGES = ['pkix-ta', 'pkix-ee', 'dane-ta', 'dane-ee'] as const;
const SELECTORS = ['certificate', 'public-key'] as const;
const MATCHINGS = ['exact', 'sha256', 'sha512'] as const;
const DIGEST_OCTETS = { exact: null, sha256: 32, sha512: 64 } as const;

/** null: numbers that nobody has defined yet, or data that are none. Such a record is unusable, and the others count (RFC 7671 §4). */
export function readAssociation(data: Buffer): Association | null {
  const [usage, selector, matching] = [
    USAGES[data[0] ?? -1],
    SELECTORS[data[1] ?? -1],
    MATCHINGS[data[2] ?? -1],
  ];
  const said = data.subarray(3);
  if (usage === undefined || selector === undefined || matching === undefined || said.length === 0)
    return null;
  const octets = DIGEST_OCTETS[matching];
  return octets !== null && said.length !== octets ? null : { usage, selector, matching, data: said };
}

/** Whether it is of this very certificate or its key (RFC 6698 §2.1.2, §2.1.3). */
export function isOf(
  { selector, matching, data }: Association,
  certificate: Pick<Certificate, 'der' | 'subjectPublicKeyInfo'>,
): boolean {
  const selected = selector === 'certificate' ? certificate.der : certificate.subjectPublicKeyInfo;
  const matched = matching === 'exact' ? selected : createHash(matching).update(selected).digest();
  return matched.length === data.length && timingSafeEqual(matched, data);
}
