import {
  constants,
  createECDH,
  generateKeyPair,
  type KeyObject,
  privateDecrypt,
  randomBytes,
} from 'node:crypto';
import { promisify } from 'node:util';
import { encodeTlv } from './tlv.ts';

/**
 * What a card's processor does with a private key: the bare operation, without padding and without hashing, as GENERAL
 * AUTHENTICATE asks for it. Not for real keys: nothing here runs in constant time.
 */
export type CardKey = {
  type: CardKeyType;
  /** SP 800-78-4: 07 is RSA-2048, 11 is P-256. */
  algorithm: number;
  /** PEM, SubjectPublicKeyInfo. */
  publicKey: string;
  /** RSA: the block raised to the private exponent. P-256: an ECDSA signature, DER, of a digest. null: unfit octets. */
  sign(block: Buffer): Buffer | null;
  /** P-256: the x-coordinate of the shared point (`point`: uncompressed). RSA has none. null: unfit octets. */
  agree(point: Buffer): Buffer | null;
};

export type CardKeyType = 'rsa-2048' | 'p-256';

const newPair = promisify(generateKeyPair);

export async function newCardKey(type: CardKeyType): Promise<CardKey> {
  if (type === 'rsa-2048') {
    const { privateKey, publicKey } = await newPair('rsa', { modulusLength: 2048 });
    return {
      type,
      algorithm: 0x07,
      publicKey: pem(publicKey),
      sign: (block) => rsa(privateKey, block),
      agree: () => null,
    };
  }
  const { privateKey, publicKey } = await newPair('ec', { namedCurve: 'P-256' });
  const scalar = Buffer.from(privateKey.export({ format: 'jwk' }).d ?? '', 'base64url');
  return {
    type,
    algorithm: 0x11,
    publicKey: pem(publicKey),
    sign: (digest) => ecdsa(scalar, digest),
    agree: (point) => ecdh(scalar, point),
  };
}

function pem(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString();
}

function rsa(key: KeyObject, block: Buffer): Buffer | null {
  if (block.length !== 256) return null;
  try {
    return privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, block);
  } catch {
    // A number that is not below the modulus.
    return null;
  }
}

function ecdh(scalar: Buffer, point: Buffer): Buffer | null {
  const own = createECDH('prime256v1');
  own.setPrivateKey(scalar);
  try {
    return own.computeSecret(point);
  } catch {
    // Not a point of the curve.
    return null;
  }
}

/** Order of the base point of P-256 (SP 800-186). */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/** FIPS 186-5 §6.4.1, from the digest on. */
function ecdsa(scalar: Buffer, digest: Buffer): Buffer | null {
  if (digest.length > 32) return null;
  const z = toNumber(digest);
  for (;;) {
    const k = 1n + (toNumber(randomBytes(40)) % (ORDER - 1n));
    const point = createECDH('prime256v1');
    point.setPrivateKey(Buffer.from(k.toString(16).padStart(64, '0'), 'hex'));
    // 04 || x || y
    const r = toNumber(point.getPublicKey().subarray(1, 33)) % ORDER;
    const s = (inverse(k) * (z + r * toNumber(scalar))) % ORDER;
    if (r !== 0n && s !== 0n) return encodeTlv(0x30, integer(r), integer(s));
  }
}

function toNumber(octets: Buffer): bigint {
  return BigInt(`0x0${octets.toString('hex')}`);
}

/** By Fermat: the order is a prime. */
function inverse(value: bigint): bigint {
  let result = 1n;
  let base = value;
  for (let exponent = ORDER - 2n; exponent > 0n; exponent >>= 1n) {
    if ((exponent & 1n) === 1n) result = (result * base) % ORDER;
    base = (base * base) % ORDER;
  }
  return result;
}

/** DER: the leading bit is the sign. */
function integer(value: bigint): Buffer {
  const hex = value.toString(16);
  const octets = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return encodeTlv(0x02, (octets[0] ?? 0) < 0x80 ? octets : Buffer.concat([Buffer.of(0), octets]));
}
