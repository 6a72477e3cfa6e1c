import { createPublicKey, type KeyObject } from 'node:crypto';
import { universal } from '../asn1/element.ts';
import { readWhole } from '../asn1/reader.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { objectIdentifier, wholeBitString } from '../asn1/values.ts';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';

export const oidEcPublicKey = '1.2.840.10045.2.1';
export const oidDsa = '1.2.840.10040.4.1';

/** `SubjectPublicKeyInfo ::= SEQUENCE { algorithm AlgorithmIdentifier, subjectPublicKey BIT STRING }` (RFC 5280 §4.1). */
export type SubjectPublicKeyInfo = {
  algorithm: string;
  /** Whole encoding; null: absent. */
  parameters: Buffer | null;
  parametersAreOid: boolean;
  subjectPublicKey: Buffer;
};

/** @throws SealgateError `asn1.malformed` */
export function parseSubjectPublicKeyInfo(der: Buffer): SubjectPublicKeyInfo {
  const info = sequenceOf(readWhole(der, 'DER'), 'DER', 'SubjectPublicKeyInfo');
  const identifier = info.sequence('algorithm');
  const algorithm = objectIdentifier(identifier.next('algorithm'));
  const parameters = identifier.atEnd ? null : identifier.next();
  identifier.end();
  const subjectPublicKey = wholeBitString(info.next('subjectPublicKey'), 'DER');
  info.end();
  return {
    algorithm,
    parameters: parameters?.raw ?? null,
    parametersAreOid: parameters?.tagClass === 'universal' && parameters.tag === universal.objectIdentifier,
    subjectPublicKey,
  };
}

/**
 * The key for node:crypto.
 *
 * Curves are taken by name only (RFC 5480 §2.1.1): with parameters of its own a key could match a CA's public point
 * under another generator (CVE-2020-0601).
 *
 * @param der DER of SubjectPublicKeyInfo
 * @throws SealgateError `pki.unsupported-key`
 */
export function importPublicKey(der: Buffer): KeyObject {
  const info = parseSubjectPublicKeyInfo(der);
  if (info.algorithm === oidEcPublicKey && !info.parametersAreOid) {
    throw unsupported('an elliptic curve that is not given by its name');
  }
  // Before the import: the cost of the import itself grows with the key.
  if (info.subjectPublicKey.length > limits.pki.publicKeyOctets) throw unsupported('a key that is too large');
  let key: KeyObject;
  try {
    key = createPublicKey({ key: der, format: 'der', type: 'spki' });
  } catch (cause) {
    throw unsupported(`algorithm ${info.algorithm}`, cause);
  }
  const { modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (modulusLength > limits.pki.modulusBits) throw unsupported('a key that is too large');
  // A long exponent makes verifying as slow as signing.
  if (publicExponent >= 2n ** 64n) throw unsupported('a public exponent that is too large');
  return key;
}

function unsupported(reason: string, cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'pki.unsupported-key',
    publicText:
      'The certificate holds a public key of a kind that is not supported; ask for one with an RSA or EC key.',
    duration: 'permanent',
    reason,
    cause,
  });
}
