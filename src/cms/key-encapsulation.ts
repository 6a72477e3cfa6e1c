import { encapsulate, hkdfSync, type KeyObject } from 'node:crypto';
import { definiteLengths } from '../asn1/transcode.ts';
import * as der from '../asn1/writer.ts';
import type { Certificate } from '../pki/certificate.ts';
import { type AlgorithmIdentifier, algorithmIdentifier, hasNoParameters } from './algorithm-identifier.ts';
import { unsupportedRecipient } from './key-agreement.ts';
import { type KeyWrap, keyWrapAlgorithm, keyWrapFor, resolveKeyWrap, wrapKey } from './key-wrap.ts';
import type { DigestName } from './keys.ts';
import type { KeyEncapsulationInfo } from './recipient-infos.ts';

/** Key encapsulation (RFC 9629) with ML-KEM (RFC 9936). */

/** `wrapOctets`: key of the key wrap that every implementation of the parameter set has (RFC 9936 §2.1). */
const ML_KEM: readonly { oid: string; ciphertextOctets: number; wrapOctets: 16 | 32 }[] = [
  { oid: '2.16.840.1.101.3.4.4.1', ciphertextOctets: 768, wrapOctets: 16 },
  { oid: '2.16.840.1.101.3.4.4.2', ciphertextOctets: 1_088, wrapOctets: 32 },
  { oid: '2.16.840.1.101.3.4.4.3', ciphertextOctets: 1_568, wrapOctets: 32 },
];

/** RFC 8619 §2. */
const HKDF = new Map<string, DigestName>([
  ['1.2.840.113549.1.9.16.3.28', 'sha256'],
  ['1.2.840.113549.1.9.16.3.29', 'sha384'],
  ['1.2.840.113549.1.9.16.3.30', 'sha512'],
]);
const hkdfWithSha256 = '1.2.840.113549.1.9.16.3.28';

/** Whether a certificate's key is one for key encapsulation. */
export function canEncapsulate(certificate: Certificate): boolean {
  return ML_KEM.some(({ oid }) => oid === certificate.keyAlgorithm);
}

/** The key-encryption key from a shared secret, and what it unwraps. */
export type Encapsulation = { wrap: KeyWrap; keyEncryptionKey(secret: Uint8Array): Buffer };

/**
 * What a KEMRecipientInfo asks for; null: not supported, or not for the certificate's key.
 *
 * @throws SealgateError `asn1.malformed`
 */
export function resolveEncapsulation(
  info: KeyEncapsulationInfo,
  certificate: Certificate,
): Encapsulation | null {
  const row = ML_KEM.find(({ oid }) => oid === info.kem.oid);
  if (row === undefined || row.oid !== certificate.keyAlgorithm || !hasNoParameters(info.kem)) return null;
  if (info.ciphertext.length !== row.ciphertextOctets) return null;
  const digest = HKDF.get(info.kdf.oid);
  const wrap = resolveKeyWrap(info.wrap);
  if (digest === undefined || !hasNoParameters(info.kdf) || wrap === null) return null;
  // RFC 9936 §2.2.1: the length has to be that of the wrap's key.
  if (info.kekOctets !== wrap.keyOctets) return null;
  const otherInfo = encodeOtherInfo(asDer(info.wrap), info.kekOctets, info.ukm);
  return { wrap, keyEncryptionKey: (secret) => derive(digest, secret, otherInfo, wrap.keyOctets) };
}

/** `CMSORIforKEMOtherInfo ::= SEQUENCE { wrap, kekLength, ukm [0] EXPLICIT OPTIONAL }`, DER (RFC 9629 §5). */
function encodeOtherInfo(wrap: Buffer, kekOctets: number, ukm: Buffer | null): Buffer {
  const last = ukm === null ? [] : [der.explicit(0, der.octetString(ukm))];
  return der.sequence(wrap, der.integer(kekOctets), ...last);
}

function asDer({ oid, parameters }: AlgorithmIdentifier): Buffer {
  return algorithmIdentifier(oid, ...(parameters === null ? [] : [definiteLengths(parameters)]));
}

/** HKDF without salt (RFC 9936 §2.2.1). */
function derive(digest: DigestName, secret: Uint8Array, info: Buffer, octets: number): Buffer {
  return Buffer.from(hkdfSync(digest, secret, Buffer.alloc(0), info, octets));
}

/**
 * A content-encryption key for the holder of an ML-KEM certificate: the components of a KEMRecipientInfo behind `rid`,
 * encoded.
 *
 * @throws SealgateError `pki.unsupported-key`, `cms.unsupported-recipient`
 */
export async function encapsulateKey(certificate: Certificate, key: Uint8Array): Promise<Buffer[]> {
  const row = ML_KEM.find(({ oid }) => oid === certificate.keyAlgorithm);
  if (row === undefined) throw unsupportedRecipient(`key algorithm ${certificate.keyAlgorithm}`);
  const { sharedKey, ciphertext } = await encapsulated(certificate.publicKey);
  const wrap = keyWrapFor(row.wrapOctets);
  const wrapIdentifier = keyWrapAlgorithm(wrap);
  const otherInfo = encodeOtherInfo(wrapIdentifier, wrap.keyOctets, null);
  const keyEncryptionKey = derive('sha256', sharedKey, otherInfo, wrap.keyOctets);
  const encryptedKey = wrapKey(wrap, keyEncryptionKey, key);
  keyEncryptionKey.fill(0);
  sharedKey.fill(0);
  return [
    algorithmIdentifier(row.oid),
    der.octetString(ciphertext),
    algorithmIdentifier(hkdfWithSha256),
    der.integer(wrap.keyOctets),
    wrapIdentifier,
    der.octetString(encryptedKey),
  ];
}

function encapsulated(publicKey: KeyObject): Promise<{ sharedKey: Buffer; ciphertext: Buffer }> {
  return new Promise((resolve, reject) => {
    encapsulate(publicKey, (error, result) => {
      if (error === null) resolve(result);
      else reject(unsupportedRecipient('a public key that takes no secret', error));
    });
  });
}
