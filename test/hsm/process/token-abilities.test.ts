import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import pkcs11 from 'pkcs11js';
import { describe, expect, test } from 'vitest';
import { abilitiesOf, type KeyPermissions, schemesOf } from '../../../src/hsm/process/token-abilities.ts';
import { tokenPublicKey } from '../../../src/hsm/process/token-public-key.ts';
import { present } from '../support/refusal.ts';

/** Tokens that offer less, or say it in their own way: none of them is at hand, so what they say is written down. */

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
const P256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey;
const P521 = generateKeyPairSync('ec', { namedCurve: 'P-521' }).publicKey;
const X25519 = generateKeyPairSync('x25519').publicKey;
const PSS = generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).publicKey;

const ALL: KeyPermissions = { sign: true, decrypt: true, unwrap: true, derive: true, allowed: null };
const { CKF_SIGN, CKF_DECRYPT, CKF_DERIVE, CKF_UNWRAP, CKF_VERIFY, CKF_ENCRYPT } = pkcs11;

type Offer = [mechanism: number, flags: number, least?: number, most?: number];

function abilities(key: KeyObject, offers: readonly Offer[], permissions: Partial<KeyPermissions> = {}) {
  const mechanisms = new Map(
    offers.map(([mechanism, flags, minKeySize = 512, maxKeySize = 16_384]) => [
      mechanism,
      { flags, minKeySize, maxKeySize },
    ]),
  );
  return abilitiesOf(key, present(tokenPublicKey(key)), { ...ALL, ...permissions }, mechanisms);
}

function schemes(
  key: KeyObject,
  offers: readonly Offer[],
  permissions: Partial<KeyPermissions> = {},
): string[] {
  return schemesOf(abilities(key, offers, permissions).signing).map((scheme) =>
    'digest' in scheme ? `${scheme.kind} ${scheme.digest}` : scheme.kind,
  );
}

describe('signing', () => {
  test('a token that hashes itself signs with the digests it has', () => {
    const offers: Offer[] = [
      [pkcs11.CKM_SHA256_RSA_PKCS, CKF_SIGN],
      [pkcs11.CKM_SHA512_RSA_PKCS_PSS, CKF_SIGN],
    ];
    expect(schemes(RSA, offers)).toEqual(['rsa-pkcs1 sha256', 'rsa-pss sha512']);
    expect(abilities(RSA, offers).signing.map(({ input }) => input)).toEqual(['message', 'message']);
    expect(schemes(P256, [[pkcs11.CKM_ECDSA_SHA384, CKF_SIGN, 256, 384]])).toEqual(['ecdsa sha384']);
  });

  test('a mechanism that only verifies does not sign', () => {
    expect(schemes(RSA, [[pkcs11.CKM_RSA_PKCS, CKF_VERIFY | CKF_ENCRYPT]])).toEqual([]);
  });

  test('a module that says nothing of what a mechanism is for may mean all', () => {
    const hardware = 1;
    expect(schemes(RSA, [[pkcs11.CKM_RSA_PKCS, hardware]])).toHaveLength(3);
    const silent = new Map([[pkcs11.CKM_RSA_PKCS, null]]);
    expect(abilitiesOf(RSA, present(tokenPublicKey(RSA)), ALL, silent).signing).toHaveLength(3);
  });

  test.each([
    ['too large for the token', RSA, 512, 1024, 0],
    ['too small for the token', RSA, 3072, 4096, 0],
    ['said in octets', RSA, 64, 512, 3],
    ['said to have no bounds', RSA, 0, 0, 3],
  ])('a key %s', (_, key, least, most, count) => {
    expect(schemes(key, [[pkcs11.CKM_RSA_PKCS, CKF_SIGN, least, most]])).toHaveLength(count);
  });

  test('P-521 has 521 bits', () => {
    expect(schemes(P521, [[pkcs11.CKM_ECDSA, CKF_SIGN, 112, 521]])).toHaveLength(3);
    expect(schemes(P521, [[pkcs11.CKM_ECDSA, CKF_SIGN, 112, 384]])).toEqual([]);
  });

  test('RFC 4055 §1.2: a key for PSS alone signs with nothing else and opens nothing', () => {
    const offers: Offer[] = [
      [pkcs11.CKM_RSA_PKCS, CKF_SIGN | CKF_DECRYPT],
      [pkcs11.CKM_RSA_PKCS_PSS, CKF_SIGN],
      [pkcs11.CKM_RSA_X_509, CKF_DECRYPT],
    ];
    expect(new Set(abilities(PSS, offers).signing.map(({ scheme }) => scheme.kind))).toEqual(
      new Set(['rsa-pss']),
    );
    expect(abilities(PSS, offers)).toMatchObject({ pkcs1: [], oaep: [] });
  });

  test('CKA_SIGN and CKA_ALLOWED_MECHANISMS both count', () => {
    const offers: Offer[] = [[pkcs11.CKM_RSA_PKCS, CKF_SIGN]];
    expect(schemes(RSA, offers, { sign: false })).toEqual([]);
    expect(schemes(RSA, offers, { allowed: new Set([pkcs11.CKM_RSA_X_509]) })).toEqual([]);
    expect(schemes(RSA, offers, { allowed: new Set([pkcs11.CKM_RSA_PKCS]) })).toHaveLength(3);
  });
});

describe('opening', () => {
  const both: Offer[] = [
    [pkcs11.CKM_RSA_PKCS, CKF_DECRYPT | CKF_UNWRAP],
    [pkcs11.CKM_RSA_PKCS_OAEP, CKF_DECRYPT | CKF_UNWRAP],
  ];

  test('the padding is taken off here where the token gives the bare result', () => {
    const offers: Offer[] = [...both, [pkcs11.CKM_RSA_X_509, CKF_DECRYPT]];
    expect(abilities(RSA, offers)).toMatchObject({ pkcs1: ['bare', 'padded'], oaep: ['bare', 'padded'] });
    expect(abilities(RSA, [[pkcs11.CKM_RSA_X_509, CKF_DECRYPT]])).toMatchObject({
      pkcs1: ['bare'],
      oaep: ['bare'],
    });
  });

  test('a token without the bare result opens what it has mechanisms for', () => {
    expect(abilities(RSA, both)).toMatchObject({ pkcs1: ['padded'], oaep: ['padded'] });
    expect(abilities(RSA, both.slice(0, 1))).toMatchObject({ pkcs1: ['padded'], oaep: [] });
  });

  test('a key that only unwraps', () => {
    expect(abilities(RSA, both, { decrypt: false })).toMatchObject({
      pkcs1: ['unwrapped'],
      oaep: ['unwrapped'],
    });
    expect(abilities(RSA, both, { decrypt: false, unwrap: false })).toMatchObject({ pkcs1: [], oaep: [] });
  });

  test('agreement with a cofactor is the same on curves of RFC 5480, and is not on those of RFC 7748', () => {
    const { CKM_ECDH1_DERIVE, CKM_ECDH1_COFACTOR_DERIVE } = pkcs11;
    const cofactor: Offer[] = [[CKM_ECDH1_COFACTOR_DERIVE, CKF_DERIVE, 112, 521]];
    expect(abilities(P256, cofactor).agreement).toBe(CKM_ECDH1_COFACTOR_DERIVE);
    expect(abilities(X25519, cofactor).agreement).toBeNull();
    const plain: Offer[] = [...cofactor, [CKM_ECDH1_DERIVE, CKF_DERIVE, 112, 521]];
    expect(abilities(P256, plain).agreement).toBe(CKM_ECDH1_DERIVE);
    expect(abilities(X25519, plain).agreement).toBe(CKM_ECDH1_DERIVE);
    expect(abilities(P256, plain, { derive: false }).agreement).toBeNull();
  });
});
