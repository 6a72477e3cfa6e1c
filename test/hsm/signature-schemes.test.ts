import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import { tokenSchemes } from '../../src/hsm/signature-schemes.ts';
import { ecKey, type KeyPair, makeCertificate } from '../pki/make-certificate.ts';

/** CKM_RSA_PKCS, CKM_RSA_PKCS_PSS, CKM_ECDSA. */
const [PKCS1, PSS, ECDSA] = [0x01, 0x0d, 0x1041];

function kinds(key: KeyPair, ...mechanisms: readonly number[]): string[] {
  const certificate = makeCertificate({ subject: 'Alice', issuer: 'CA', issuerKey: ecKey('ca'), key });
  return [...new Set(tokenSchemes(certificate, mechanisms).map(({ kind }) => kind))];
}

test('a token offers PSS only where it has the mechanism: what is offered may be chosen', () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  expect(kinds(rsa, PKCS1, PSS, ECDSA)).toEqual(['rsa-pkcs1', 'rsa-pss']);
  expect(kinds(rsa, PKCS1, ECDSA)).toEqual(['rsa-pkcs1']);
  expect(kinds(ecKey('alice'), PKCS1, ECDSA)).toEqual(['ecdsa']);
  expect(kinds(generateKeyPairSync('rsa-pss', { modulusLength: 2048 }), PKCS1)).toEqual([]);
});
