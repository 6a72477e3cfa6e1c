import { createHash, X509Certificate } from 'node:crypto';
import pkcs11 from 'pkcs11js';
import { curveByName } from '../../pki/curves.ts';
import type { KeyDescription } from '../token-messages.ts';
import { returnValueOf } from './pkcs11-errors.ts';
import type { KeyHandle } from './thread-messages.ts';

/**
 * Which private keys a token holds, and which certificate belongs to which key.
 *
 * A certificate and a key belong together when their public keys are the same; CKA_ID decides only where the token
 * keeps the public key to itself. (Tokens filled by hand carry wrong CKA_IDs, and two keys may share one.)
 */

/** Objects of one class beyond this many are not looked at: a token for a whole house, and a bound for a broken one. */
const MAX_OBJECTS = 20_000;

export type TokenObjects = {
  keys: readonly KeyDescription[];
  handles: ReadonlyMap<string, KeyHandle>;
  /** DER. */
  certificates: readonly Buffer[];
};

type TokenKey = {
  handle: KeyHandle;
  id: Buffer;
  label: string;
  /** Modulus or public point, as far as the token tells; null: match by CKA_ID. */
  public: Buffer | null;
  canSign: boolean;
  canDecrypt: boolean;
  canAgree: boolean;
};

type TokenCertificate = { id: Buffer | null; label: string; der: Buffer };

/** @param additional DER of certificates that are not on the token */
export function readObjects(
  module: pkcs11.PKCS11,
  session: Buffer,
  additional: readonly Uint8Array[],
): TokenObjects {
  const reader = new ObjectReader(module, session);
  const keys = readKeys(reader);
  const onToken = readCertificates(reader);
  const candidates = [
    ...onToken,
    ...additional.map((der): TokenCertificate => ({ id: null, label: '', der: Buffer.from(der) })),
  ];

  const descriptions: KeyDescription[] = [];
  const handles = new Map<string, KeyHandle>();
  for (const candidate of candidates) {
    const publicKey = publicKeyOf(candidate.der);
    if (publicKey === null) continue;
    const key = keys.find((each) => belongTogether(each, candidate, publicKey));
    if (key === undefined) continue;
    handles.set(publicKey.fingerprint, { ...key.handle, octets: publicKey.octets });
    descriptions.push({
      key: publicKey.fingerprint,
      label: key.label || candidate.label || key.id.toString('hex'),
      certificate: candidate.der,
      canSign: key.canSign,
      canDecrypt: key.canDecrypt,
      canAgree: key.canAgree,
    });
  }
  return { keys: descriptions, handles, certificates: onToken.map((each) => each.der) };
}

function belongTogether(key: TokenKey, certificate: TokenCertificate, publicKey: PublicKey): boolean {
  if (key.handle.type !== publicKey.type) return false;
  if (key.public !== null) return key.public.equals(publicKey.value);
  return certificate.id !== null && certificate.id.length > 0 && certificate.id.equals(key.id);
}

function readKeys(reader: ObjectReader): TokenKey[] {
  const points = publicPoints(reader);
  const keys: TokenKey[] = [];
  for (const object of reader.find(pkcs11.CKO_PRIVATE_KEY)) {
    const type = keyType(reader.number(object, pkcs11.CKA_KEY_TYPE));
    if (type === null) continue;
    const id = reader.octets(object, pkcs11.CKA_ID) ?? Buffer.alloc(0);
    keys.push({
      handle: {
        object,
        type,
        octets: 0,
        alwaysAuthenticate: reader.flag(object, pkcs11.CKA_ALWAYS_AUTHENTICATE),
      },
      id,
      label: reader.text(object, pkcs11.CKA_LABEL),
      public:
        type === 'rsa'
          ? unsigned(reader.octets(object, pkcs11.CKA_MODULUS))
          : (points.get(id.toString('hex')) ?? null),
      canSign: reader.flag(object, pkcs11.CKA_SIGN),
      canDecrypt: type === 'rsa' && reader.flag(object, pkcs11.CKA_DECRYPT),
      canAgree: type === 'ec' && reader.flag(object, pkcs11.CKA_DERIVE),
    });
  }
  return keys;
}

/** CKA_EC_POINT is an attribute of the public key object only; two with one CKA_ID tell nothing. */
function publicPoints(reader: ObjectReader): ReadonlyMap<string, Buffer> {
  const points = new Map<string, Buffer>();
  const ambiguous = new Set<string>();
  for (const object of reader.find(pkcs11.CKO_PUBLIC_KEY)) {
    if (keyType(reader.number(object, pkcs11.CKA_KEY_TYPE)) !== 'ec') continue;
    const id = reader.octets(object, pkcs11.CKA_ID);
    const point = rawPoint(reader.octets(object, pkcs11.CKA_EC_POINT));
    if (id === null || id.length === 0 || point === null) continue;
    const name = id.toString('hex');
    if (points.has(name)) ambiguous.add(name);
    points.set(name, point);
  }
  for (const name of ambiguous) points.delete(name);
  return points;
}

function keyType(value: number | null): 'rsa' | 'ec' | null {
  if (value === pkcs11.CKK_RSA) return 'rsa';
  return value === pkcs11.CKK_EC ? 'ec' : null;
}

function readCertificates(reader: ObjectReader): TokenCertificate[] {
  const certificates: TokenCertificate[] = [];
  for (const object of reader.find(pkcs11.CKO_CERTIFICATE)) {
    const der = reader.octets(object, pkcs11.CKA_VALUE);
    if (der === null || der.length === 0) continue;
    const id = reader.octets(object, pkcs11.CKA_ID);
    certificates.push({ id, label: reader.text(object, pkcs11.CKA_LABEL), der });
  }
  return certificates;
}

type PublicKey = {
  /** SHA-256 of the SubjectPublicKeyInfo as node:crypto writes it, hex. */
  fingerprint: string;
  type: 'rsa' | 'ec';
  /** Modulus, or uncompressed point. */
  value: Buffer;
  /** Length of the modulus, or of a coordinate. */
  octets: number;
};

/** null: not a certificate, or a key of a kind that tokens are not used for here. */
export function publicKeyOf(certificate: Uint8Array): PublicKey | null {
  try {
    const key = new X509Certificate(certificate).publicKey;
    const spki = key.export({ type: 'spki', format: 'der' });
    const fingerprint = createHash('sha256').update(spki).digest('hex');
    if (key.asymmetricKeyType === 'rsa') {
      const value = Buffer.from(key.export({ format: 'jwk' }).n ?? '', 'base64url');
      return { fingerprint, type: 'rsa', value, octets: value.length };
    }
    const curve = curveByName(key.asymmetricKeyDetails?.namedCurve);
    if (key.asymmetricKeyType !== 'ec' || curve === null) return null;
    // The point is the last thing in a SubjectPublicKeyInfo; compressed ones (rare) are left to CKA_ID.
    const value = spki.subarray(spki.length - 2 * curve.octets - 1);
    return { fingerprint, type: 'ec', value, octets: curve.octets };
  } catch {
    // Certificates of other people and other kinds lie on tokens too; what cannot be read cannot be used.
    return null;
  }
}

/** CKA_EC_POINT is a DER OCTET STRING around the point (PKCS#11 v2.40, ECDSA public key objects); some tokens leave the wrapping off. */
function rawPoint(value: Buffer | null): Buffer | null {
  if (value === null || value.length < 3) return null;
  const wrapped =
    value[0] === 0x04 &&
    (value[1] === value.length - 2 || (value[1] === 0x81 && value[2] === value.length - 3));
  if (!wrapped) return value;
  return value.subarray(value[1] === 0x81 ? 3 : 2);
}

function unsigned(value: Buffer | null): Buffer | null {
  if (value === null || value.length === 0) return null;
  let start = 0;
  while (start < value.length - 1 && value[start] === 0) start++;
  return value.subarray(start);
}

/** Attributes one by one: one that a token does not have makes C_GetAttributeValue fail for all that are asked. */
class ObjectReader {
  readonly #module: pkcs11.PKCS11;
  readonly #session: Buffer;

  constructor(module: pkcs11.PKCS11, session: Buffer) {
    this.#module = module;
    this.#session = session;
  }

  find(objectClass: number): Buffer[] {
    const objects: Buffer[] = [];
    this.#module.C_FindObjectsInit(this.#session, [{ type: pkcs11.CKA_CLASS, value: objectClass }]);
    try {
      while (objects.length < MAX_OBJECTS) {
        const more = this.#module.C_FindObjects(this.#session, 256);
        if (more.length === 0) break;
        objects.push(...more);
      }
    } finally {
      this.#module.C_FindObjectsFinal(this.#session);
    }
    return objects;
  }

  /** null: the token does not have or does not show it. */
  octets(object: Buffer, type: number): Buffer | null {
    try {
      return this.#module.C_GetAttributeValue(this.#session, object, [{ type }])[0]?.value ?? null;
    } catch (error) {
      if (returnValueOf(error) === null) throw error;
      return null;
    }
  }

  flag(object: Buffer, type: number): boolean {
    return this.octets(object, type)?.[0] === 1;
  }

  /** CK_ULONG, in the machine's order: little-endian on every platform Node runs on here. */
  number(object: Buffer, type: number): number | null {
    const value = this.octets(object, type);
    return value === null || value.length < 4 ? null : value.readUInt32LE(0);
  }

  text(object: Buffer, type: number): string {
    return this.octets(object, type)?.toString('utf8') ?? '';
  }
}
