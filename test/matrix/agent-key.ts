import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { readWhole } from '../../src/asn1/reader.ts';
import { sequenceOf } from '../../src/asn1/sequence-reader.ts';
import { bitString, integerOctets, octetString } from '../../src/asn1/values.ts';
import { parseSubjectPublicKeyInfo } from '../../src/pki/public-key.ts';
import type { Person } from './people.ts';
import { type KeyName, Refusal } from './specification.ts';

/** What libgcrypt calls a curve. */
const CURVES: Partial<Record<KeyName, string>> = {
  'P-256': 'NIST P-256',
  'P-384': 'NIST P-384',
  'P-521': 'NIST P-521',
  brainpoolP256r1: 'brainpoolP256r1',
  brainpoolP384r1: 'brainpoolP384r1',
  brainpoolP512r1: 'brainpoolP512r1',
  secp256k1: 'secp256k1',
};

/**
 * A private key as gpg-agent keeps it: a canonical S-expression. gpgsm 2.2 crashes on PKCS#12 with EC keys and refuses
 * some with RSA keys, so the keys do not come that way.
 *
 * @throws Refusal for kinds of keys that the agent has no form for
 */
export function agentKey({ name, privateKey }: Person): Buffer {
  return list(word('private-key'), keyOfKind(name, privateKey));
}

function keyOfKind(name: KeyName, key: KeyObject): Buffer {
  switch (name) {
    case 'rsa':
      return list(word('rsa'), ...rsaNumbers(key));
    case 'rsa-pss':
      return list(word('rsa'), ...rsaNumbers(plainRsa(key)));
    case 'dsa':
      return list(word('dsa'), ...dsaNumbers(key));
    case 'ed25519':
    case 'ed448':
    case 'x25519':
    case 'x448':
      return list(word('ecc'), ...edwardsNumbers(name, key));
    default: {
      const curve = CURVES[name];
      if (curve === undefined) throw new Refusal('gpg-agent has no form for such a key');
      const { d, q } = ellipticNumbers(key);
      return list(word('ecc'), list(word('curve'), word(curve)), list(word('q'), atom(q)), number('d', d));
    }
  }
}

/** The same numbers without the restriction to PSS, which other exports do not know. */
function plainRsa(key: KeyObject): KeyObject {
  const info = sequenceOf(
    readWhole(key.export({ type: 'pkcs8', format: 'der' }), 'DER'),
    'DER',
    'PrivateKeyInfo',
  );
  info.next('version');
  info.next('privateKeyAlgorithm');
  const inner = octetString(info.next('privateKey'), 'DER');
  return createPrivateKey({ key: inner, format: 'der', type: 'pkcs1' });
}

function rsaNumbers(key: KeyObject): Buffer[] {
  const jwk = key.export({ format: 'jwk' });
  // libgcrypt wants u = 1/p mod q, JWK has qi = 1/q mod p: the primes change places.
  const numbers = { n: jwk.n, e: jwk.e, d: jwk.d, p: jwk.q, q: jwk.p, u: jwk.qi };
  return Object.entries(numbers).map(([name, value]) => number(name, octets(value)));
}

/** Dss-Parms (RFC 3279 §2.3.2) from the private key, y from the public one. */
function dsaNumbers(key: KeyObject): Buffer[] {
  const info = sequenceOf(
    readWhole(key.export({ type: 'pkcs8', format: 'der' }), 'DER'),
    'DER',
    'PrivateKeyInfo',
  );
  info.next('version');
  const algorithm = info.sequence('privateKeyAlgorithm');
  algorithm.next('algorithm');
  const parameters = algorithm.sequence('parameters');
  const [p, q, g] = ['p', 'q', 'g'].map((name) => integerOctets(parameters.next(name)));
  const x = integerOctets(readWhole(octetString(info.next('privateKey'), 'DER'), 'DER'));
  const spki = createPublicKey(key).export({ type: 'spki', format: 'der' });
  const y = integerOctets(readWhole(parseSubjectPublicKeyInfo(spki).subjectPublicKey, 'DER'));
  return Object.entries({ p, q, g, y, x }).map(([name, value]) => number(name, value ?? Buffer.alloc(0)));
}

function edwardsNumbers(name: 'ed25519' | 'ed448' | 'x25519' | 'x448', key: KeyObject): Buffer[] {
  const curve = { ed25519: 'Ed25519', ed448: 'Ed448', x25519: 'Curve25519', x448: 'X448' }[name];
  const jwk = key.export({ format: 'jwk' });
  const [x, d] = [octets(jwk.x), octets(jwk.d)];
  // Points of the shorter curves have a prefix; Curve25519's scalar is a number, with its highest octet first.
  const q = name.endsWith('25519') ? Buffer.concat([Buffer.from([0x40]), x]) : x;
  const flags = { ed25519: 'eddsa', ed448: 'eddsa', x25519: 'djb-tweak', x448: '' }[name];
  const scalar = name === 'x25519' ? Buffer.from(d).reverse() : d;
  return [
    list(word('curve'), word(curve)),
    ...(flags === '' ? [] : [list(word('flags'), word(flags))]),
    list(word('q'), atom(q)),
    list(word('d'), atom(scalar)),
  ];
}

/** ECPrivateKey (RFC 5915 §3). */
function ellipticNumbers(key: KeyObject): { d: Buffer; q: Buffer } {
  const octets = key.export({ type: 'sec1', format: 'der' });
  const reader = sequenceOf(readWhole(octets, 'DER'), 'DER', 'ECPrivateKey');
  reader.next('version');
  const d = octetString(reader.next('privateKey'), 'DER');
  reader.optionalExplicit(0);
  const q = reader.optionalExplicit(1);
  if (q === null) throw new Error('a private key without its public key');
  return { d, q: bitString(q, 'DER').octets };
}

function octets(text: string | undefined): Buffer {
  return Buffer.from(text ?? '', 'base64url');
}

function atom(value: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${value.length}:`), value]);
}

function list(...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.from('('), ...parts, Buffer.from(')')]);
}

function word(text: string): Buffer {
  return atom(Buffer.from(text));
}

/** Numbers are signed: a leading zero keeps them positive. */
function number(name: string, value: Buffer): Buffer {
  return list(word(name), atom(Buffer.concat([Buffer.alloc(1), value])));
}
