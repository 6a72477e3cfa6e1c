import type { AsymmetricKeyDetails } from 'node:crypto';
import { SealgateError } from '../errors.ts';
import type { Certificate } from './certificate.ts';
import type { KeyUsage } from './certificate-extensions.ts';
import { curveByName } from './curves.ts';
import { unusableForEncryption } from './encryption-key.ts';

/** Why a certificate may not be used; for people in `text`, for code in `reason`. */
export type KeyPurposeVerdict =
  | { kind: 'may' }
  | {
      kind: 'may-not';
      reason: 'not-yet-valid' | 'expired' | 'key-type' | 'key-usage' | 'extended-key-usage';
      text: string;
    };

export const oidEmailProtection = '1.3.6.1.5.5.7.3.4';
export const oidOcspSigning = '1.3.6.1.5.5.7.3.9';
export const oidAnyExtendedKeyUsage = '2.5.29.37.0';

const MIN_RSA_BITS = 2048;

const SIGNING_KEYS: ReadonlySet<string> = new Set([
  '1.2.840.113549.1.1.1', // rsaEncryption
  '1.2.840.113549.1.1.10', // id-RSASSA-PSS
  '1.2.840.10045.2.1', // id-ecPublicKey
  '1.3.101.112', // id-Ed25519
  '1.3.101.113', // id-Ed448
  '2.16.840.1.101.3.4.3.17', // id-ml-dsa-44
  '2.16.840.1.101.3.4.3.18', // id-ml-dsa-65
  '2.16.840.1.101.3.4.3.19', // id-ml-dsa-87
]);

const ML_KEM: ReadonlySet<string> = new Set([
  '2.16.840.1.101.3.4.4.1', // id-alg-ml-kem-512 (RFC 9935)
  '2.16.840.1.101.3.4.4.2',
  '2.16.840.1.101.3.4.4.3',
]);

/** Which key usage lets a key of this algorithm carry a content-encryption key. */
const ENCRYPTION_KEYS: ReadonlyMap<string, 'keyEncipherment' | 'keyAgreement'> = new Map([
  ['1.2.840.113549.1.1.1', 'keyEncipherment'],
  ['1.2.840.113549.1.1.7', 'keyEncipherment'], // id-RSAES-OAEP
  ['1.2.840.10045.2.1', 'keyAgreement'],
  ['1.3.132.1.12', 'keyAgreement'], // id-ecDH (RFC 5480 §2.1.2)
  ['1.3.101.110', 'keyAgreement'], // id-X25519
  ['1.3.101.111', 'keyAgreement'], // id-X448
  ...[...ML_KEM].map((oid) => [oid, 'keyEncipherment'] as const),
]);

/**
 * Whether the key may sign mail at `at`: validity, kind of key, key usage (RFC 8550 §4.4.2) and extended key usage
 * (RFC 8550 §4.4.4). An absent extension restricts nothing.
 */
export function mayCertificateSign(certificate: Certificate, at: Date): KeyPurposeVerdict {
  const early = outsideValidity(certificate, at);
  if (early !== null) return early;
  if (!SIGNING_KEYS.has(certificate.keyAlgorithm)) {
    return mayNot('key-type', 'The key of this certificate is of a kind that cannot sign mail.');
  }
  const weak = weakKey(certificate);
  if (weak !== null) return weak;
  if (!allows(certificate, 'digitalSignature') && !allows(certificate, 'nonRepudiation')) {
    return mayNot('key-usage', 'The key usage of this certificate does not include signing.');
  }
  return emailProtection(certificate);
}

/**
 * Whether mail may be encrypted to the key at `at`: validity, kind of key, key usage by the kind of key (RFC 8550
 * §4.4.2: keyEncipherment for RSA, keyAgreement for elliptic curves) and extended key usage.
 *
 * @param postQuantum whether keys for ML-KEM count; a setting decides that where mail is sent
 */
export function mayCertificateEncrypt(
  certificate: Certificate,
  at: Date,
  postQuantum = true,
): KeyPurposeVerdict {
  const early = outsideValidity(certificate, at);
  if (early !== null) return early;
  const needed = ENCRYPTION_KEYS.get(certificate.keyAlgorithm);
  if (needed === undefined) {
    return mayNot('key-type', 'The key of this certificate is of a kind that mail cannot be encrypted to.');
  }
  if (!postQuantum && ML_KEM.has(certificate.keyAlgorithm)) {
    return mayNot('key-type', 'The key of this certificate is for ML-KEM, which is not turned on.');
  }
  const weak = weakKey(certificate);
  if (weak !== null) return weak;
  const unusable = unusableForEncryption(certificate);
  if (unusable !== null) return mayNot('key-type', unusable);
  // RFC 5280 §4.2.1.3: decipherOnly with keyAgreement takes the enciphering use away.
  const decipherOnly = needed === 'keyAgreement' && certificate.keyUsage?.has('decipherOnly') === true;
  if (!allows(certificate, needed) || decipherOnly) {
    return mayNot('key-usage', 'The key usage of this certificate does not include encryption.');
  }
  return emailProtection(certificate);
}

/** RFC 8550 §4.4.4: absent, emailProtection or anyExtendedKeyUsage. */
export function allowsEmailProtection(certificate: Certificate): boolean {
  const purposes = certificate.extendedKeyUsage;
  return (
    purposes === null || purposes.includes(oidEmailProtection) || purposes.includes(oidAnyExtendedKeyUsage)
  );
}

/** id-kp-OCSPSigning, RFC 6960 §4.2.2.2: it must be named; nothing stands for it. */
export function namesOcspSigning(certificate: Certificate): boolean {
  return certificate.extendedKeyUsage?.includes(oidOcspSigning) === true;
}

function emailProtection(certificate: Certificate): KeyPurposeVerdict {
  if (allowsEmailProtection(certificate)) return { kind: 'may' };
  return mayNot(
    'extended-key-usage',
    'This certificate was not issued for mail (its extended key usage says so).',
  );
}

/** RFC 5280 §4.1.2.5: both ends belong to the validity period. */
function outsideValidity(certificate: Certificate, at: Date): KeyPurposeVerdict | null {
  if (at.getTime() < certificate.notBefore.getTime()) {
    return mayNot(
      'not-yet-valid',
      `This certificate is valid only from ${certificate.notBefore.toISOString()}.`,
    );
  }
  if (at.getTime() > certificate.notAfter.getTime()) {
    return mayNot('expired', `This certificate expired at ${certificate.notAfter.toISOString()}.`);
  }
  // An invalid Date compares false with everything; it is no time at which anything is allowed.
  if (Number.isNaN(at.getTime())) return mayNot('expired', 'The time of the check is unknown.');
  return null;
}

/** A certificate's key never changes, and asking OpenSSL for its size costs more than the rest of the check. */
const weakKeys = new WeakMap<Certificate, KeyPurposeVerdict | null>();

function weakKey(certificate: Certificate): KeyPurposeVerdict | null {
  let verdict = weakKeys.get(certificate);
  if (verdict === undefined) {
    verdict = judgeKeySize(certificate);
    weakKeys.set(certificate, verdict);
  }
  return verdict;
}

/**
 * RFC 8551 §4.2, §4.4: RSA keys below 2048 bits are for mail of old times; no message is protected with one. Of elliptic curves
 * those of S/MIME are used: OpenSSL would compute on curves so small that keys on them can be found.
 */
function judgeKeySize(certificate: Certificate): KeyPurposeVerdict | null {
  let details: AsymmetricKeyDetails | undefined;
  try {
    details = certificate.publicKey.asymmetricKeyDetails;
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    return mayNot(
      'key-type',
      'The key of this certificate cannot be used: it is damaged or of an unsupported kind.',
    );
  }
  const { namedCurve, modulusLength: bits } = details ?? {};
  if (namedCurve !== undefined && curveByName(namedCurve) === null) {
    return mayNot(
      'key-type',
      `The key of this certificate is on the elliptic curve ${namedCurve}, which is not used for mail.`,
    );
  }
  if (bits === undefined || bits >= MIN_RSA_BITS) return null;
  return mayNot('key-type', `The key of this certificate has only ${bits} bits; ${MIN_RSA_BITS} are needed.`);
}

function allows(certificate: Certificate, usage: KeyUsage): boolean {
  return certificate.keyUsage === null || certificate.keyUsage.has(usage);
}

function mayNot(
  reason: Extract<KeyPurposeVerdict, { kind: 'may-not' }>['reason'],
  text: string,
): KeyPurposeVerdict {
  return { kind: 'may-not', reason, text };
}
