import { createHash, diffieHellman, generateKeyPair, hkdfSync, type KeyObject } from 'node:crypto';
import { isUniversal, universal } from '../asn1/element.ts';
import { definiteLengths } from '../asn1/transcode.ts';
import * as der from '../asn1/writer.ts';
import { SealgateError } from '../errors.ts';
import type { Certificate } from '../pki/certificate.ts';
import { oidEcPublicKey, parseSubjectPublicKeyInfo } from '../pki/public-key.ts';
import {
  type AlgorithmIdentifier,
  algorithmIdentifier,
  readAlgorithmIdentifier,
} from './algorithm-identifier.ts';
import { type KeyWrap, keyWrapAlgorithm, keyWrapFor, resolveKeyWrap, wrapKey } from './key-wrap.ts';
import type { DigestName } from './keys.ts';

/** Key derivation that is part of a key-agreement algorithm's identifier. */
type Derivation = { kind: 'x963' | 'hkdf'; digest: DigestName };

/**
 * Ephemeral-static ECDH. Standard and cofactor Diffie-Hellman give the same secret on all our curves, as their
 * cofactor is 1 (RFC 5753 §7.1.4); those with HKDF are for X25519 and X448 (RFC 8418 §2.2).
 */
const SCHEMES = new Map<string, Derivation>([
  ['1.3.133.16.840.63.0.2', { kind: 'x963', digest: 'sha1' }],
  ['1.3.132.1.11.0', { kind: 'x963', digest: 'sha224' }],
  ['1.3.132.1.11.1', { kind: 'x963', digest: 'sha256' }],
  ['1.3.132.1.11.2', { kind: 'x963', digest: 'sha384' }],
  ['1.3.132.1.11.3', { kind: 'x963', digest: 'sha512' }],
  ['1.3.133.16.840.63.0.3', { kind: 'x963', digest: 'sha1' }],
  ['1.3.132.1.14.0', { kind: 'x963', digest: 'sha224' }],
  ['1.3.132.1.14.1', { kind: 'x963', digest: 'sha256' }],
  ['1.3.132.1.14.2', { kind: 'x963', digest: 'sha384' }],
  ['1.3.132.1.14.3', { kind: 'x963', digest: 'sha512' }],
  ['1.2.840.113549.1.9.16.3.19', { kind: 'hkdf', digest: 'sha256' }],
  ['1.2.840.113549.1.9.16.3.20', { kind: 'hkdf', digest: 'sha384' }],
  ['1.2.840.113549.1.9.16.3.21', { kind: 'hkdf', digest: 'sha512' }],
]);

/** What new messages use, by the key of the recipient: RFC 5753 §7.1.4, §8; RFC 8418 §2.2 and RFC 8551 §2.3 for X25519. */
const BY_CURVE: readonly { curve: string; scheme: string }[] = [
  { curve: 'prime256v1', scheme: '1.3.132.1.11.1' },
  { curve: 'brainpoolP256r1', scheme: '1.3.132.1.11.1' },
  { curve: 'secp384r1', scheme: '1.3.132.1.11.2' },
  { curve: 'brainpoolP384r1', scheme: '1.3.132.1.11.2' },
  { curve: 'secp521r1', scheme: '1.3.132.1.11.3' },
  { curve: 'brainpoolP512r1', scheme: '1.3.132.1.11.3' },
  { curve: 'x25519', scheme: '1.2.840.113549.1.9.16.3.19' },
  { curve: 'x448', scheme: '1.2.840.113549.1.9.16.3.21' },
];

const ecDh = '1.3.132.1.12';
const x25519 = '1.3.101.110';
const x448 = '1.3.101.111';

/** Whether a certificate's key does Diffie-Hellman on a curve. */
export function canAgree(certificate: Certificate): boolean {
  return [oidEcPublicKey, ecDh, x25519, x448].includes(certificate.keyAlgorithm);
}

export type KeyAgreement = { derivation: Derivation; wrap: KeyWrap; wrapAlgorithm: AlgorithmIdentifier };

/**
 * keyEncryptionAlgorithm of a KeyAgreeRecipientInfo (RFC 5753 §3.1.1): its parameters are the key wrap's identifier.
 * null: not supported.
 *
 * @throws SealgateError `asn1.malformed`
 */
export function resolveKeyAgreement(algorithm: AlgorithmIdentifier): KeyAgreement | null {
  const derivation = SCHEMES.get(algorithm.oid);
  if (derivation === undefined || algorithm.parameters === null) return null;
  const wrapAlgorithm = readAlgorithmIdentifier(algorithm.parameters);
  const wrap = resolveKeyWrap(wrapAlgorithm);
  return wrap === null ? null : { derivation, wrap, wrapAlgorithm };
}

/**
 * The key-encryption keys that a shared secret may stand for: with the wrap's identifier as sent and, where a sender
 * wrote other parameters than it derived with, without parameters. The wrap's integrity check tells which.
 *
 * @param secret Z
 * @param ukm null: absent
 */
export function keyEncryptionKeys(agreement: KeyAgreement, secret: Uint8Array, ukm: Buffer | null): Buffer[] {
  const asSent = agreement.wrapAlgorithm.parameters;
  const { oid } = agreement.wrapAlgorithm;
  const identifiers = [keyWrapAlgorithm(agreement.wrap)];
  if (asSent !== null) identifiers.unshift(algorithmIdentifier(oid, definiteLengths(asSent)));
  return identifiers.map((keyInfo) => deriveKey(agreement.derivation, agreement.wrap, secret, keyInfo, ukm));
}

function deriveKey(
  derivation: Derivation,
  wrap: KeyWrap,
  secret: Uint8Array,
  keyInfo: Buffer,
  ukm: Buffer | null,
): Buffer {
  // ECC-CMS-SharedInfo ::= SEQUENCE { keyInfo, entityUInfo [0] EXPLICIT OPTIONAL, suppPubInfo [2] EXPLICIT }
  // (RFC 5753 §7.2); suppPubInfo is the length of the key-encryption key in bits.
  const bits = Buffer.alloc(4);
  bits.writeUInt32BE(wrap.keyOctets * 8);
  const sharedInfo = der.sequence(
    keyInfo,
    ...(ukm === null ? [] : [der.explicit(0, der.octetString(ukm))]),
    der.explicit(2, der.octetString(bits)),
  );
  if (derivation.kind === 'hkdf') {
    return Buffer.from(
      hkdfSync(derivation.digest, secret, ukm ?? Buffer.alloc(0), sharedInfo, wrap.keyOctets),
    );
  }
  return x963(derivation.digest, secret, sharedInfo, wrap.keyOctets);
}

/** ANSI X9.63 key derivation as in SEC 1 §3.6.1: digests over Z, a counter from 1 and SharedInfo. */
export function x963(digest: DigestName, secret: Uint8Array, sharedInfo: Uint8Array, octets: number): Buffer {
  const blocks: Buffer[] = [];
  for (let counter = 1, length = 0; length < octets; counter++) {
    const count = Buffer.alloc(4);
    count.writeUInt32BE(counter);
    const block = createHash(digest).update(secret).update(count).update(sharedInfo).digest();
    blocks.push(block);
    length += block.length;
  }
  return Buffer.concat(blocks).subarray(0, octets);
}

/**
 * The originator's ephemeral key as SubjectPublicKeyInfo for DecryptionKey.agree. Its parameters are those of the
 * recipient's certificate: RFC 5753 §3.1.1 lets the sender leave them out, and another curve than the recipient's can
 * only be an attack. null: it does not fit.
 *
 * @throws SealgateError `asn1.malformed`
 */
export function originatorKeyFor(
  certificate: Certificate,
  algorithm: AlgorithmIdentifier,
  publicKey: Uint8Array,
): Buffer | null {
  const recipient = parseSubjectPublicKeyInfo(certificate.subjectPublicKeyInfo);
  const elliptic = [oidEcPublicKey, ecDh];
  const sameKind =
    algorithm.oid === recipient.algorithm ||
    (elliptic.includes(algorithm.oid) && elliptic.includes(recipient.algorithm));
  if (!sameKind) return null;
  const { parameters } = algorithm;
  if (parameters !== null && !isUniversal(parameters, universal.nullValue)) {
    if (recipient.parameters === null || !parameters.raw.equals(recipient.parameters)) return null;
  }
  const identifier = algorithmIdentifier(
    // One name for both: node:crypto and tokens know no id-ecDH.
    recipient.algorithm === ecDh ? oidEcPublicKey : recipient.algorithm,
    ...(recipient.parameters === null ? [] : [recipient.parameters]),
  );
  return der.sequence(identifier, der.bitString(publicKey));
}

/** Everything of a KeyAgreeRecipientInfo for one recipient but the recipient's identifier. */
export type AgreedKey = {
  /** AlgorithmIdentifier of the originator's key. */
  originatorAlgorithm: Buffer;
  originatorPublicKey: Buffer;
  algorithm: Buffer;
  encryptedKey: Buffer;
};

/**
 * Encrypts a content-encryption key for the holder of a certificate with a curve key, under a fresh ephemeral key.
 *
 * @throws SealgateError `pki.unsupported-key`, `cms.unsupported-recipient`
 */
export async function agreeOnKey(certificate: Certificate, key: Uint8Array): Promise<AgreedKey> {
  const { publicKey } = certificate;
  const curve = publicKey.asymmetricKeyDetails?.namedCurve ?? publicKey.asymmetricKeyType ?? '';
  const row = BY_CURVE.find((candidate) => candidate.curve === curve);
  const derivation = row === undefined ? undefined : SCHEMES.get(row.scheme);
  if (row === undefined || derivation === undefined) throw unsupportedRecipient(`a key on curve ${curve}`);
  const ephemeral = await ephemeralKey(curve);
  const secret = await sharedSecret(ephemeral.privateKey, publicKey);
  const wrap = keyWrapFor(key.length);
  const keyInfo = keyWrapAlgorithm(wrap);
  const keyEncryptionKey = deriveKey(derivation, wrap, secret, keyInfo, null);
  const encryptedKey = wrapKey(wrap, keyEncryptionKey, key);
  keyEncryptionKey.fill(0);
  secret.fill(0);
  const info = parseSubjectPublicKeyInfo(ephemeral.publicKey.export({ type: 'spki', format: 'der' }));
  return {
    // Parameters absent: the curve is the recipient's (RFC 5753 §3.1.1).
    originatorAlgorithm: algorithmIdentifier(info.algorithm),
    originatorPublicKey: info.subjectPublicKey,
    algorithm: algorithmIdentifier(row.scheme, keyInfo),
    encryptedKey,
  };
}

type KeyPair = { publicKey: KeyObject; privateKey: KeyObject };

function ephemeralKey(curve: string): Promise<KeyPair> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, publicKey: KeyObject, privateKey: KeyObject): void => {
      if (error === null) resolve({ publicKey, privateKey });
      else reject(error);
    };
    if (curve === 'x25519') generateKeyPair('x25519', {}, done);
    else if (curve === 'x448') generateKeyPair('x448', {}, done);
    else generateKeyPair('ec', { namedCurve: curve }, done);
  });
}

function sharedSecret(privateKey: KeyObject, publicKey: KeyObject): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    diffieHellman({ privateKey, publicKey }, (error, secret) => {
      if (error === null) resolve(secret);
      else reject(unsupportedRecipient('a public key that gives no shared secret', error));
    });
  });
}

export function unsupportedRecipient(reason: string, cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'cms.unsupported-recipient',
    publicText:
      "The message cannot be encrypted for a recipient, as the certificate's key is of a kind that is not supported; ask the recipient for another certificate.",
    duration: 'permanent',
    reason,
    ...(cause === undefined ? {} : { cause }),
  });
}
