import { createHash, type KeyObject } from 'node:crypto';
import { children, readWhole } from '../asn1/reader.ts';
import { bitString, oid, sequence } from '../asn1/writer.ts';
import type { Certificate } from './certificate.ts';
import { importPublicKey, oidDsa, parseSubjectPublicKeyInfo } from './public-key.ts';

/**
 * working_public_key, working_public_key_parameters and working_public_key_algorithm of RFC 5280 §6.1.2, in one: the
 * key that verifies the next certificate of the path.
 */
export type WorkingKey = {
  /** Names key and parameters; SHA-256 over the SubjectPublicKeyInfo, base64. */
  readonly id: string;
  /** Made on first use. Throws SealgateError `pki.unsupported-key`. */
  readonly keyObject: () => KeyObject;
};

const ownKeys = new WeakMap<Certificate, WorkingKey>();

/**
 * The key of a certificate by itself. null: it has no parameters of its own and inherits those of its issuer
 * (RFC 5280 §6.1.4 (d) to (f), DSA only), so it can be known only along a path.
 */
export function ownWorkingKey(certificate: Certificate): WorkingKey | null {
  const known = ownKeys.get(certificate);
  if (known !== undefined) return known;
  if (inheritsParameters(certificate)) return null;
  const key = workingKey(certificate.subjectPublicKeyInfo, () => certificate.publicKey);
  ownKeys.set(certificate, key);
  return key;
}

/**
 * The key of a certificate on a path. null: its parameters are missing on the whole path.
 *
 * @param issuer the certificate whose parameters `certificate` may inherit, and so on upwards: nearest issuer first
 */
export function workingKeyOnPath(
  certificate: Certificate,
  issuers: readonly Certificate[],
): WorkingKey | null {
  const own = ownWorkingKey(certificate);
  if (own !== null) return own;
  for (const issuer of issuers) {
    if (issuer.keyAlgorithm !== oidDsa) return null;
    if (inheritsParameters(issuer)) continue;
    const spki = withParameters(certificate, issuer);
    return workingKey(spki, () => importPublicKey(spki));
  }
  return null;
}

function workingKey(spki: Buffer, keyObject: () => KeyObject): WorkingKey {
  return { id: createHash('sha256').update(spki).digest('base64'), keyObject };
}

function inheritsParameters(certificate: Certificate): boolean {
  if (certificate.keyAlgorithm !== oidDsa) return false;
  const { parameters } = parseSubjectPublicKeyInfo(certificate.subjectPublicKeyInfo);
  // RFC 5280 §6.1.4 (f) treats NULL as omitted.
  return parameters === null || parameters.equals(Buffer.from([0x05, 0x00]));
}

/** SubjectPublicKeyInfo of one with the DSA parameters of the other. */
function withParameters(certificate: Certificate, issuer: Certificate): Buffer {
  const [algorithm] = children(readWhole(issuer.subjectPublicKeyInfo, 'DER'), 'DER');
  const { subjectPublicKey } = parseSubjectPublicKeyInfo(certificate.subjectPublicKeyInfo);
  return sequence(algorithm?.raw ?? sequence(oid(oidDsa)), bitString(subjectPublicKey));
}
