/**
 * The elliptic curves for certificates' keys: NIST (RFC 5480 §2.1.1.1), brainpool (RFC 5639 §4.1).
 * `name` is node:crypto's; `octets` is the length of a coordinate and of r and s in a signature.
 */
export type Curve = { oid: string; name: string; octets: number };

const CURVES: readonly Curve[] = [
  { oid: '1.2.840.10045.3.1.7', name: 'prime256v1', octets: 32 },
  { oid: '1.3.132.0.34', name: 'secp384r1', octets: 48 },
  { oid: '1.3.132.0.35', name: 'secp521r1', octets: 66 },
  { oid: '1.3.36.3.3.2.8.1.1.7', name: 'brainpoolP256r1', octets: 32 },
  { oid: '1.3.36.3.3.2.8.1.1.11', name: 'brainpoolP384r1', octets: 48 },
  { oid: '1.3.36.3.3.2.8.1.1.13', name: 'brainpoolP512r1', octets: 64 },
];

/** null: a curve this gateway does not use. */
export function curveByName(name: string | undefined): Curve | null {
  return CURVES.find((curve) => curve.name === name) ?? null;
}
