import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readWhole } from '../../src/asn1/reader.ts';
import { encodeCapabilityList, readCapabilityList } from '../../src/cms/capabilities.ts';
import { contentEncryptionNames } from '../../src/cms/content-encryption.ts';
import { decrypt } from '../../src/cms/decrypt.ts';
import { type EncryptRequest, encrypt } from '../../src/cms/encrypt.ts';
import type { DecryptionKey, SignatureScheme } from '../../src/cms/keys.ts';
import { signDetached, signOpaque } from '../../src/cms/sign.ts';
import { readSignedData } from '../../src/cms/signed-data.ts';
import { verifySignature } from '../../src/cms/verify.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { ecKey, type KeyPair, makeCertificate } from '../pki/make-certificate.ts';
import { decryptionKey, signingKey } from './support/software-keys.ts';

/** Every row of the tables of algorithms, with any content. */

function certificateFor(publicKey: KeyObject): Certificate {
  const key = publicKey.export({ type: 'spki', format: 'der' });
  return makeCertificate({ subject: 'Holder', issuer: 'CA', issuerKey: ecKey('CA'), key });
}

const ec = (namedCurve: string): KeyPair => generateKeyPairSync('ec', { namedCurve });
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
const content = fc.uint8Array({ maxLength: 300 }).map((octets) => Buffer.from(octets));

describe('signatures', () => {
  const digests = ['sha224', 'sha256', 'sha384', 'sha512'] as const;
  const rows: [string, KeyPair, SignatureScheme][] = [
    ...digests.map((digest): [string, KeyPair, SignatureScheme] => [
      `RSA ${digest}`,
      rsa,
      { kind: 'rsa-pkcs1', digest },
    ]),
    ...([0, 20, 32, 64] as const).map((saltOctets): [string, KeyPair, SignatureScheme] => [
      `RSA-PSS with ${saltOctets} octets of salt`,
      rsa,
      { kind: 'rsa-pss', digest: saltOctets === 64 ? 'sha512' : 'sha256', saltOctets },
    ]),
    ['P-256', ec('P-256'), { kind: 'ecdsa', digest: 'sha256' }],
    ['P-384', ec('P-384'), { kind: 'ecdsa', digest: 'sha384' }],
    ['P-521', ec('P-521'), { kind: 'ecdsa', digest: 'sha512' }],
    ['brainpoolP256r1', ec('brainpoolP256r1'), { kind: 'ecdsa', digest: 'sha256' }],
    ['Ed25519', generateKeyPairSync('ed25519'), { kind: 'eddsa', curve: 'Ed25519' }],
    ['Ed448', generateKeyPairSync('ed448'), { kind: 'eddsa', curve: 'Ed448' }],
    ['ML-DSA-44', generateKeyPairSync('ml-dsa-44'), { kind: 'ml-dsa', parameterSet: 'ML-DSA-44' }],
    ['ML-DSA-65', generateKeyPairSync('ml-dsa-65'), { kind: 'ml-dsa', parameterSet: 'ML-DSA-65' }],
    ['ML-DSA-87', generateKeyPairSync('ml-dsa-87'), { kind: 'ml-dsa', parameterSet: 'ML-DSA-87' }],
  ];
  const time = fc
    .date({ min: new Date('1950-01-01'), max: new Date('2100-01-01'), noInvalidDate: true })
    .map((date) => new Date(Math.floor(date.getTime() / 1_000) * 1_000));

  it.each(rows)('%s: good over what was signed, bad over anything else', async (_, pair, scheme) => {
    const certificate = certificateFor(pair.publicKey);
    const signer = signingKey(pair.privateKey, certificate, [scheme]);
    const run = async (octets: Buffer, signingTime: Date, other: Buffer): Promise<void> => {
      const request = { signer, signingTime, capabilities: ['2.16.840.1.101.3.4.1.46'], content: octets };
      for (const signed of [await signOpaque(request), await signDetached(request)]) {
        const signedData = readSignedData(signed);
        const [info] = signedData.signerInfos;
        if (info === undefined) throw new Error('no signature');
        const over = (what: Buffer) => verifySignature(signedData, info, what, certificate);
        expect(signedData.content ?? octets).toEqual(octets);
        expect(over(octets)).toMatchObject({
          signature: 'good',
          signedAt: signingTime,
          capabilities: request.capabilities,
        });
        if (!other.equals(octets)) expect(over(other).signature).toBe('bad');
      }
    };
    await fc.assert(fc.asyncProperty(content, time, content, run), { numRuns: 6 });
  });
});

describe('encryption', () => {
  type Recipient = { request: Omit<EncryptRequest, 'content' | 'algorithm'>; keys: DecryptionKey[] };
  const shared = { identifier: Buffer.from('kek'), password: Buffer.from('verse 7') };

  function holder(pair: KeyPair, keyTransport?: 'rsa-pkcs1' | 'rsa-oaep'): Recipient {
    const certificate = certificateFor(pair.publicKey);
    const recipient = keyTransport === undefined ? { certificate } : { certificate, keyTransport };
    return {
      request: { recipients: [recipient], postQuantum: true },
      keys: [decryptionKey(pair.privateKey, certificate)],
    };
  }

  const kek = (octets: number): Recipient => ({
    request: {
      recipients: [],
      secrets: [{ kind: 'shared-key', identifier: shared.identifier, key: Buffer.alloc(octets, octets) }],
    },
    keys: [],
  });

  const recipients: [string, Recipient][] = [
    ['RSA, PKCS #1 v1.5', holder(rsa, 'rsa-pkcs1')],
    ['RSA, OAEP', holder(rsa, 'rsa-oaep')],
    ...['P-256', 'P-384', 'P-521', 'brainpoolP256r1', 'brainpoolP384r1', 'brainpoolP512r1'].map(
      (curve): [string, Recipient] => [curve, holder(ec(curve))],
    ),
    ['X25519', holder(generateKeyPairSync('x25519'))],
    ['X448', holder(generateKeyPairSync('x448'))],
    ['ML-KEM-512', holder(generateKeyPairSync('ml-kem-512'))],
    ['ML-KEM-768', holder(generateKeyPairSync('ml-kem-768'))],
    ['ML-KEM-1024', holder(generateKeyPairSync('ml-kem-1024'))],
    ['a shared key of 128 bits', kek(16)],
    ['a shared key of 192 bits', kek(24)],
    ['a shared key of 256 bits', kek(32)],
    [
      'a password',
      { request: { recipients: [], secrets: [{ kind: 'password', password: shared.password }] }, keys: [] },
    ],
  ];

  it.each(recipients)(
    'for %s: what comes out is what went in, under every algorithm',
    async (_, { request, keys }) => {
      const secrets = {
        sharedKeys: [16, 24, 32].map((octets) => ({
          identifier: shared.identifier,
          key: Buffer.alloc(octets, octets),
        })),
        passwords: [Buffer.from('another'), shared.password],
      };
      const passwordOnly = request.secrets?.every(({ kind }) => kind === 'password') === true;
      const run = async (octets: Buffer, boundKey: boolean): Promise<void> => {
        // A password takes its time by design.
        const algorithms = passwordOnly ? (['aes256-gcm'] as const) : contentEncryptionNames;
        for (const algorithm of algorithms) {
          const encrypted = await encrypt({ ...request, content: octets, algorithm, boundKey });
          expect(encrypted.includes(octets) && octets.length > 3).toBe(false);
          expect(await decrypt(encrypted, keys, secrets)).toMatchObject({
            outcome: 'opened',
            algorithm,
            authenticated: !algorithm.endsWith('cbc'),
            content: octets,
          });
        }
      };
      await fc.assert(fc.asyncProperty(content, fc.boolean(), run), { numRuns: 2 });
    },
  );
});

describe('capabilities', () => {
  it('are read as they were written', () => {
    const arc = fc.bigInt({ min: 0n, max: 2n ** 40n });
    const oid = fc
      .tuple(fc.constantFrom('1.2', '2.16', '0.9', '1.3.6.1'), fc.array(arc, { minLength: 1, maxLength: 6 }))
      .map(([head, arcs]) => [head, ...arcs].join('.'));
    const parameters = fc.constantFrom('', ' 0500', ' 020101', ' 300b06092a864886f70d010101');
    const capability = fc.tuple(oid, parameters).map((parts) => parts.join(''));
    fc.assert(
      fc.property(fc.array(capability, { maxLength: 20 }), (list) => {
        expect(readCapabilityList(readWhole(encodeCapabilityList(list), 'DER'))).toEqual(list);
      }),
    );
  });
});
