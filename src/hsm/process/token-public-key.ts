import { ECDH, type KeyObject } from 'node:crypto';
import { readWhole } from '../../asn1/reader.ts';
import { sequenceOf } from '../../asn1/sequence-reader.ts';
import { unsignedOctets } from '../../asn1/values.ts';
import { curveByName } from '../../pki/curves.ts';
import { parseSubjectPublicKeyInfo } from '../../pki/public-key.ts';

/** A public key as tokens speak of it. */
export type TokenPublicKey = {
  type: 'rsa' | 'ec' | 'edwards' | 'montgomery';
  /** Modulus, uncompressed point, or the octets of RFC 8032 and 7748. */
  value: Buffer;
  /** Length of the modulus, of a coordinate or of `value`. */
  octets: number;
  /** Sizes of this key that a mechanism may name, in bits. */
  bits: { least: number; most: number };
};

/** null: a kind of key that tokens are not used for here. @throws SealgateError `asn1.malformed` */
export function tokenPublicKey(key: KeyObject): TokenPublicKey | null {
  const { subjectPublicKey } = parseSubjectPublicKeyInfo(key.export({ type: 'spki', format: 'der' }));
  const bare = { value: subjectPublicKey, octets: subjectPublicKey.length };
  switch (key.asymmetricKeyType) {
    case 'rsa':
    case 'rsa-pss': {
      const components = sequenceOf(readWhole(subjectPublicKey, 'DER'), 'DER', 'RSAPublicKey');
      const value = unsignedOctets(components.next('modulus'));
      const bits = key.asymmetricKeyDetails?.modulusLength ?? value.length * 8;
      return { type: 'rsa', value, octets: value.length, bits: { least: bits, most: bits } };
    }
    case 'ec': {
      const curve = curveByName(key.asymmetricKeyDetails?.namedCurve);
      if (curve === null) return null;
      const point = ECDH.convertKey(subjectPublicKey, curve.name, undefined, undefined, 'uncompressed');
      // secp521r1 is the one curve whose size is no multiple of eight.
      const bits = curve.octets === 66 ? 521 : curve.octets * 8;
      return {
        type: 'ec',
        value: Buffer.from(point),
        octets: curve.octets,
        bits: { least: bits, most: bits },
      };
    }
    case 'ed25519':
      return { ...bare, type: 'edwards', bits: { least: 255, most: 256 } };
    case 'ed448':
      return { ...bare, type: 'edwards', bits: { least: 448, most: 456 } };
    case 'x25519':
      return { ...bare, type: 'montgomery', bits: { least: 255, most: 256 } };
    case 'x448':
      return { ...bare, type: 'montgomery', bits: { least: 448, most: 448 } };
    default:
      return null;
  }
}
