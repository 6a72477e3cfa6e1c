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
  /** The PIV algorithm identifier of SP 800-78. */
  algorithm: number;
  /** PEM, SubjectPublicKeyInfo. */
  publicKey: string;
  /** RSA: the block raised to the private exponent. Curves: an ECDSA signature, DER, of a digest. null: unfit octets. */
  sign(block: Buffer): Buffer | null;
  /** Curves: the x-coordinate of the shared point (`point`: uncompressed). RSA has none. null: unfit octets. */
  agree(point: Buffer): Buffer | null;
};

export type CardKeyType = keyof typeof RSA | keyof typeof CURVES;

const RSA = {
  'rsa-2048': { algorithm: 0x07, octets: 256 },
  'rsa-3072': { algorithm: 0x05, octets: 384 },
} as const;

type Curve = {
  algorithm: number;
  openssl: string;
  named: string;
  octets: number;
  /** Order of the base point (SP 800-186). */
  order: bigint;
};

const CURVES = {
  'p-256': {
    algorithm: 0x11,
    openssl: 'prime256v1',
    named: 'P-256',
    octets: 32,
    order: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
  },
  'p-384': {
    algorithm: 0x14,
    openssl: 'secp384r1',
    named: 'P-384',
    octets: 48,
    order:
      0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
  },
} as const satisfies Record<string, Curve>;

const newPair = promisify(generateKeyPair);

export function newCardKey(type: CardKeyType): Promise<CardKey> {
  return type === 'rsa-2048' || type === 'rsa-3072' ? newRsaKey(RSA[type]) : newEcKey(CURVES[type]);
}

async function newRsaKey({ algorithm, octets }: (typeof RSA)[keyof typeof RSA]): Promise<CardKey> {
  const { privateKey, publicKey } = await newPair('rsa', { modulusLength: 8 * octets });
  return {
    algorithm,
    publicKey: pem(publicKey),
    sign: (block) => (block.length === octets ? rsa(privateKey, block) : null),
    agree: () => null,
  };
}

async function newEcKey(curve: Curve): Promise<CardKey> {
  const { privateKey, publicKey } = await newPair('ec', { namedCurve: curve.named });
  const scalar = Buffer.from(privateKey.export({ format: 'jwk' }).d ?? '', 'base64url');
  return {
    algorithm: curve.algorithm,
    publicKey: pem(publicKey),
    sign: (digest) => ecdsa(curve, scalar, digest),
    agree: (point) => ecdh(curve, scalar, point),
  };
}

function pem(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'pem' }).toString();
}

function rsa(key: KeyObject, block: Buffer): Buffer | null {
  try {
    return privateDecrypt({ key, padding: constants.RSA_NO_PADDING }, block);
  } catch {
    // A number that is not below the modulus.
    return null;
  }
}

function ecdh({ openssl }: Curve, scalar: Buffer, point: Buffer): Buffer | null {
  const own = createECDH(openssl);
  own.setPrivateKey(scalar);
  try {
    return own.computeSecret(point);
  } catch {
    // Not a point of the curve.
    return null;
  }
}

/** FIPS 186-5 §6.4.1, from the digest on; one that is too long is the sender's to cut. */
function ecdsa({ openssl, octets, order }: Curve, scalar: Buffer, digest: Buffer): Buffer | null {
  if (digest.length > octets) return null;
  const z = toNumber(digest);
  for (;;) {
    // 64 bits more than the order, so that no number is likelier than another.
    const k = 1n + (toNumber(randomBytes(octets + 8)) % (order - 1n));
    const point = createECDH(openssl);
    point.setPrivateKey(Buffer.from(k.toString(16).padStart(2 * octets, '0'), 'hex'));
    // 04 || x || y
    const r = toNumber(point.getPublicKey().subarray(1, 1 + octets)) % order;
    const s = (inverse(k, order) * (z + r * toNumber(scalar))) % order;
    if (r !== 0n && s !== 0n) return encodeTlv(0x30, integer(r), integer(s));
  }
}

function toNumber(octets: Buffer): bigint {
  return BigInt(`0x0${octets.toString('hex')}`);
}

/** By Fermat. @param prime the order of the group */
function inverse(value: bigint, prime: bigint): bigint {
  let result = 1n;
  let base = value;
  for (let exponent = prime - 2n; exponent > 0n; exponent >>= 1n) {
    if ((exponent & 1n) === 1n) result = (result * base) % prime;
    base = (base * base) % prime;
  }
  return result;
}

/** DER: the leading bit is the sign. */
function integer(value: bigint): Buffer {
  const hex = value.toString(16);
  const octets = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return encodeTlv(0x02, (octets[0] ?? 0) < 0x80 ? octets : Buffer.concat([Buffer.of(0), octets]));
}
