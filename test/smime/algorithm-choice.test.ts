import { generateKeyPairSync } from 'node:crypto';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readWhole } from '../../src/asn1/reader.ts';
import { explicit, integer, nullValue, octetString, oid, sequence } from '../../src/asn1/writer.ts';
import {
  announcesOaep,
  announcesPss,
  capabilitiesOf,
  encodeCapabilityList,
  ownCapabilities,
  readCapabilityList,
} from '../../src/cms/capabilities.ts';
import type { SignatureScheme } from '../../src/cms/keys.ts';
import { limits } from '../../src/limits.ts';
import {
  type AlgorithmSettings,
  cautiousAlgorithms,
  chooseEncryption,
  chooseSignature,
  type Reader,
} from '../../src/smime/algorithm-choice.ts';
import { ecKey, extension, type KeyPair, makeCertificate } from '../pki/make-certificate.ts';

const GCM = '2.16.840.1.101.3.4.1.46';
const OAEP = '1.2.840.113549.1.1.7';
const PSS = '1.2.840.113549.1.1.10';
const SHA1 = sequence(oid('1.3.14.3.2.26'), nullValue());
const SHA256 = sequence(oid('2.16.840.1.101.3.4.2.1'), nullValue());
const mask = (hash: Buffer) => sequence(oid('1.2.840.113549.1.1.8'), hash);
const withParameters = (dotted: string, parameters: Buffer) => `${dotted} ${parameters.toString('hex')}`;

const rsa: KeyPair = generateKeyPairSync('rsa', { modulusLength: 2048 });
function certificateWith(key: KeyPair, ...extensions: Buffer[]) {
  return makeCertificate({ subject: 'Bob', issuer: 'CA', issuerKey: ecKey('ca'), key, extensions });
}
function reader(capabilities: readonly string[], key = rsa): Reader {
  return { certificate: certificateWith(key), capabilities };
}
const PKCS1: SignatureScheme = { kind: 'rsa-pkcs1', digest: 'sha256' };
const RSA_PSS: SignatureScheme = { kind: 'rsa-pss', digest: 'sha256', saltOctets: 32 };
const asked = (changes: Partial<AlgorithmSettings>) => ({ ...cautiousAlgorithms, ...changes });

describe('a list of capabilities (RFC 8551 §2.5.2)', () => {
  it('keeps identifiers, order and parameters', () => {
    const list = [
      GCM,
      withParameters(OAEP, sequence()),
      withParameters('1.2.840.113549.3.2', integer(40)),
      OAEP,
    ];
    expect(readCapabilityList(readWhole(encodeCapabilityList(list), 'BER'))).toEqual(list);
    expect(readCapabilityList(readWhole(encodeCapabilityList(ownCapabilities), 'BER'))).toEqual(
      ownCapabilities,
    );
  });

  it('of any length and content is a short list or a refusal', () => {
    const capability = fc.oneof(
      fc.constant(sequence(oid(GCM))),
      fc.uint8Array({ maxLength: 400 }).map((octets) => sequence(oid(OAEP), octetString(octets))),
      fc.uint8Array({ maxLength: 20 }).map((octets) => Buffer.from(octets)),
    );
    fc.assert(
      fc.property(fc.array(capability, { maxLength: 200 }), (parts) => {
        try {
          const list = readCapabilityList(readWhole(sequence(...parts), 'BER'));
          expect(list.length).toBeLessThanOrEqual(limits.cms.capabilities);
          for (const one of list) expect(one.length).toBeLessThan(3 * limits.cms.capabilityOctets);
        } catch (error) {
          expect(error).toMatchObject({ code: 'asn1.malformed' });
        }
      }),
    );
  });

  it.each([
    ['OAEP without parameters', OAEP, true],
    [
      'OAEP with SHA-256',
      withParameters(OAEP, sequence(explicit(0, SHA256), explicit(1, mask(SHA256)))),
      true,
    ],
    [
      'OAEP with SHA-256 as some write it, without tags',
      withParameters(OAEP, sequence(SHA256, mask(SHA256))),
      true,
    ],
    ['OAEP with SHA-1, by default', withParameters(OAEP, sequence()), false],
    ['OAEP with SHA-1', withParameters(OAEP, sequence(explicit(0, SHA1), explicit(1, mask(SHA1)))), false],
    ['something else', GCM, false],
  ])('announces OAEP with SHA-256 or not: %s', (_, capability, expected) => {
    expect(announcesOaep([GCM, capability])).toBe(expected);
  });

  it('announces PSS', () => {
    expect(announcesPss([PSS])).toBe(true);
    expect(announcesPss([withParameters(PSS, sequence())])).toBe(false);
    expect(announcesPss(ownCapabilities)).toBe(true);
  });

  it('in a certificate (RFC 4262) that cannot be read says nothing', () => {
    const type = '1.2.840.113549.1.9.15';
    expect(capabilitiesOf(certificateWith(rsa, extension(type, sequence(sequence(oid(GCM))))))).toEqual([
      GCM,
    ]);
    expect(capabilitiesOf(certificateWith(rsa, extension(type, Buffer.from('3003020101', 'hex'))))).toEqual(
      [],
    );
    expect(capabilitiesOf(certificateWith(rsa))).toEqual([]);
  });
});

describe('the signature', () => {
  it.each([
    ['nobody is known', [null], 'automatic', 'rsa-pkcs1-sha256'],
    ['nobody at all', [], 'automatic', 'rsa-pkcs1-sha256'],
    ['all announce PSS', [reader([PSS]), reader([PSS, GCM])], 'automatic', 'rsa-pss-sha256'],
    ['one does not', [reader([PSS]), reader([GCM])], 'automatic', 'rsa-pkcs1-sha256'],
    ['one is not known', [reader([PSS]), null], 'automatic', 'rsa-pkcs1-sha256'],
    ['the setting wants PSS', [null], 'pss', 'rsa-pss-sha256'],
    ['the setting wants PKCS #1', [reader([PSS])], 'pkcs1', 'rsa-pkcs1-sha256'],
  ] as const)('with an RSA key: %s', (_, readers, rsaSignature, name) => {
    expect(chooseSignature([PKCS1, RSA_PSS], readers, asked({ rsaSignature })).name).toBe(name);
  });

  it('of a key that can do one thing only is that, whatever is announced or set', () => {
    for (const [schemes, name] of [
      [[RSA_PSS], 'rsa-pss-sha256'],
      [[{ kind: 'ecdsa', digest: 'sha384' } as const], 'ecdsa-sha384'],
      [[{ kind: 'eddsa', curve: 'Ed25519' } as const], 'ed25519'],
    ] as const) {
      for (const rsaSignature of ['automatic', 'pkcs1', 'pss'] as const) {
        expect(chooseSignature(schemes, [reader([PSS])], asked({ rsaSignature })).name).toBe(name);
      }
    }
  });

  it('of a token without PSS is PKCS #1 v1.5, and an error where PSS is demanded: never silently less', () => {
    const readers = [reader([PSS])];
    expect(chooseSignature([PKCS1], readers, cautiousAlgorithms).name).toBe('rsa-pkcs1-sha256');
    expect(() => chooseSignature([PKCS1], readers, asked({ rsaSignature: 'pss' }))).toThrowError(
      expect.objectContaining({
        code: 'cms.no-scheme',
        publicText: expect.stringContaining('smime.rsaSignature'),
      }),
    );
  });

  it('of a key without any scheme is an error and no guess', () => {
    expect(() => chooseSignature([], [], cautiousAlgorithms)).toThrowError(
      expect.objectContaining({ code: 'cms.no-scheme' }),
    );
  });
});

describe('the encryption', () => {
  it('says for each key how, by its kind', () => {
    const kinds: KeyPair[] = [
      rsa,
      generateKeyPairSync('ec', { namedCurve: 'secp384r1' }),
      generateKeyPairSync('x25519'),
      generateKeyPairSync('ml-kem-1024'),
    ];
    const { recipients } = chooseEncryption(
      kinds.map((key) => reader([], key)),
      null,
      cautiousAlgorithms,
    );
    expect(recipients.map(({ scheme }) => scheme)).toEqual([
      'rsa-pkcs1',
      'ecdh secp384r1',
      'x25519',
      'ml-kem-1024',
    ]);
  });

  it("leaves the sender's copy out of what readers read, and in what every program reads", () => {
    const own = certificateWith(rsa);
    const choice = chooseEncryption([reader(ownCapabilities)], own, asked({ boundContentKeys: true }));
    expect(choice).toMatchObject({ contentEncryption: 'aes256-gcm', boundKey: true });
    expect(choice.recipients.map(({ scheme }) => scheme)).toEqual(['rsa-oaep-sha256', 'rsa-pkcs1']);
    const forced = chooseEncryption([reader([])], own, asked({ rsaKeyTransport: 'oaep' }));
    expect(forced.recipients.map(({ scheme }) => scheme)).toEqual(['rsa-oaep-sha256', 'rsa-oaep-sha256']);
  });

  it('is never stronger than what a reader says, and never weaker than AES-128', () => {
    const list = fc.array(fc.constantFrom(...ownCapabilities, '1.2.840.113549.3.7', '1.2.3'));
    fc.assert(
      fc.property(fc.array(list, { minLength: 1, maxLength: 4 }), (lists) => {
        const readers = lists.map((capabilities) => reader(capabilities));
        const { contentEncryption, recipients } = chooseEncryption(readers, null, cautiousAlgorithms);
        expect(contentEncryption).toMatch(/^aes(128|256)-(gcm|cbc)$/);
        if (contentEncryption === 'aes256-gcm') expect(lists.every((one) => one.includes(GCM))).toBe(true);
        for (const [index, { scheme }] of recipients.entries()) {
          expect(scheme === 'rsa-oaep-sha256').toBe(announcesOaep(lists[index] ?? []));
        }
      }),
      { numRuns: 50 },
    );
  });
});
