import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { afterAll, describe, expect, it } from 'vitest';
import { readWhole } from '../../src/asn1/reader.ts';
import { sequenceOf } from '../../src/asn1/sequence-reader.ts';
import * as der from '../../src/asn1/writer.ts';
import { algorithmIdentifier } from '../../src/cms/algorithm-identifier.ts';
import { encrypt } from '../../src/cms/encrypt.ts';
import type { SignatureScheme } from '../../src/cms/keys.ts';
import { signDetached, signOpaque } from '../../src/cms/sign.ts';
import { readSignedData } from '../../src/cms/signed-data.ts';
import { verifySignature } from '../../src/cms/verify.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { ecKey, keyIds, makeCertificate } from '../pki/make-certificate.ts';
import { type LoadedKey, SoftwareKeys } from '../support/software-keys.ts';
import { decrypt } from './support/both-ways.ts';
import { decryptionKey } from './support/software-keys.ts';

/**
 * ML-KEM and ML-DSA. No other program at hand reads or writes these messages, so that this is held against the text of
 * RFC 9936 and RFC 9882 and against itself.
 */

const content = Buffer.from('Content-Type: text/plain\r\n\r\nGood morning.\r\n');

function certify(privateKey: KeyObject, keyIdentifier: Buffer | null = null): Certificate {
  const key = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
  const extensions = keyIds(keyIdentifier, null);
  return makeCertificate({ subject: 'Bob', issuer: 'CA', issuerKey: ecKey('ca'), key, extensions });
}

const KEMS = ['ml-kem-512', 'ml-kem-768', 'ml-kem-1024'] as const;
const SIGNERS = [
  { type: 'ml-dsa-44', parameterSet: 'ML-DSA-44', oid: '2.16.840.1.101.3.4.3.17' },
  { type: 'ml-dsa-65', parameterSet: 'ML-DSA-65', oid: '2.16.840.1.101.3.4.3.18' },
  { type: 'ml-dsa-87', parameterSet: 'ML-DSA-87', oid: '2.16.840.1.101.3.4.3.19' },
] as const;

const software = new SoftwareKeys({ postQuantum: true });
const careful = new SoftwareKeys();
afterAll(() => Promise.all([software.close(), careful.close()]));

function keyPair(type: (typeof KEMS)[number] | (typeof SIGNERS)[number]['type']): LoadedKey {
  // One call a type: the overloads take no union.
  const { privateKey } = generateKeyPairSync(type as 'ml-kem-512');
  return { label: type, certificate: certify(privateKey), chain: [], privateKey };
}

describe('ML-KEM (RFC 9936)', () => {
  it.each(KEMS)('what is encrypted for an %s key opens with it and with no other', async (type) => {
    const [bob, eve] = [keyPair(type), keyPair(type)];
    const key = software.decryptionKey(bob);
    if (key === null) throw new Error('no key for decryption');
    for (const algorithm of ['aes256-gcm', 'aes128-cbc', 'aes256-cbc', 'aes192-gcm'] as const) {
      const recipients = [{ certificate: bob.certificate }];
      const octets = await encrypt({ content, algorithm, recipients, postQuantum: true });
      expect(await decrypt(octets, [key])).toMatchObject({ outcome: 'opened', content, algorithm });
      const wrong = decryptionKey(eve.privateKey, bob.certificate);
      expect(await decrypt(octets, [wrong])).toMatchObject({ outcome: 'failed', algorithm });
    }
  });

  it('is written only where it is asked for', async () => {
    const recipients = [{ certificate: keyPair('ml-kem-768').certificate }];
    await expect(encrypt({ content, algorithm: 'aes256-gcm', recipients })).rejects.toMatchObject({
      code: 'cms.unsupported-recipient',
    });
  });

  it('is version 3 in EnvelopedData, 0 in AuthEnvelopedData, and both are DER', async () => {
    const recipients = [{ certificate: keyPair('ml-kem-512').certificate }];
    for (const [algorithm, version] of [
      ['aes256-cbc', 3],
      ['aes256-gcm', 0],
    ] as const) {
      const octets = await encrypt({ content, algorithm, recipients, postQuantum: true });
      const info = sequenceOf(readWhole(octets, 'DER'), 'DER');
      info.next();
      const body = info.optionalExplicit(0);
      if (body === null) throw new Error('no content');
      expect(sequenceOf(body, 'DER').next().content).toEqual(Buffer.from([version]));
    }
  });

  it('every changed octet of the recipient is noticed', async () => {
    const bob = keyPair('ml-kem-512');
    const key = decryptionKey(bob.privateKey, bob.certificate);
    const recipients = [{ certificate: bob.certificate }];
    const octets = await encrypt({ content, algorithm: 'aes256-gcm', recipients, postQuantum: true });
    for (let offset = 0; offset < octets.length; offset++) {
      const changed = Buffer.from(octets);
      changed[offset] = (changed[offset] ?? 0) ^ 0x01;
      try {
        const outcome = await decrypt(changed, [key]);
        // The version numbers and the inner content type are covered by nothing.
        if (outcome.outcome === 'opened') expect(outcome.content).toEqual(content);
      } catch (error) {
        expect(error).toMatchObject({ code: 'cms.malformed' });
      }
    }
  });

  it('software keys refuse what is not theirs', async () => {
    const kem = software.decryptionKey(keyPair('ml-kem-768'));
    await expect(kem?.agree(Buffer.alloc(32))).rejects.toMatchObject({ code: 'key.refused' });
    await expect(kem?.decryptKey({ kind: 'rsa-pkcs1' }, Buffer.alloc(256))).rejects.toMatchObject({
      code: 'key.refused',
    });
    await expect(kem?.decapsulate(Buffer.alloc(1_087))).rejects.toMatchObject({
      code: 'key.decrypt-failed',
    });
    const { privateKey } = generateKeyPairSync('x25519');
    const x25519 = software.decryptionKey({
      label: 'x',
      certificate: certify(privateKey),
      chain: [],
      privateKey,
    });
    await expect(x25519?.decapsulate(Buffer.alloc(768))).rejects.toMatchObject({ code: 'key.refused' });
  });
});

describe('a KEMRecipientInfo that contradicts itself (RFC 9629 §3)', () => {
  const bob = keyPair('ml-kem-512');
  const other = keyPair('ml-kem-768');

  /** The message again with one component of its KEMRecipientInfo replaced. */
  async function crafted(replace: { at: number; by: Buffer }): Promise<Buffer> {
    const recipients = [{ certificate: bob.certificate }];
    const octets = await encrypt({ content, algorithm: 'aes256-cbc', recipients, postQuantum: true });
    const outer = sequenceOf(readWhole(octets, 'DER'), 'DER');
    const type = outer.next().raw;
    const body = outer.optionalExplicit(0);
    if (body === null) throw new Error('no content');
    const enveloped = sequenceOf(body, 'DER');
    const version = enveloped.next().raw;
    const infos = readWhole(enveloped.next().content, 'DER');
    const encryptedContent = enveloped.next().raw;
    const ori = readWhole(der.element(0x30, infos.content), 'DER');
    const reader = sequenceOf(ori, 'DER');
    const oriType = reader.next().raw;
    const kem = sequenceOf(reader.next(), 'DER');
    const components: Buffer[] = [];
    while (!kem.atEnd) components.push(kem.next().raw);
    components[replace.at] = replace.by;
    const info = der.implicitConstructed(4, oriType, der.sequence(...components));
    return der.sequence(type, der.explicit(0, der.sequence(version, der.setOf([info]), encryptedContent)));
  }

  it.each([
    ['another parameter set', 2, algorithmIdentifier('2.16.840.1.101.3.4.4.2')],
    ['an unknown KEM', 2, algorithmIdentifier('1.2.3')],
    ['parameters', 2, algorithmIdentifier('2.16.840.1.101.3.4.4.1', der.integer(1))],
    ['a short ciphertext', 3, der.octetString(Buffer.alloc(767))],
    ['an empty ciphertext', 3, der.octetString(Buffer.alloc(0))],
    ['an unknown KDF', 4, algorithmIdentifier('1.2.3')],
    ['a KDF with parameters', 4, algorithmIdentifier('1.2.840.113549.1.9.16.3.28', der.integer(1))],
    ['another digest', 4, algorithmIdentifier('1.2.840.113549.1.9.16.3.29')],
    ['another kekLength', 5, der.integer(32)],
    ['kekLength 0', 5, der.integer(0)],
    ['a negative kekLength', 5, der.integer(-16)],
    ['another wrap', 6, algorithmIdentifier('2.16.840.1.101.3.4.1.45')],
    ['an unknown wrap', 6, algorithmIdentifier('1.2.3')],
  ])('%s: no content, and no reason', async (_, at, by) => {
    const key = decryptionKey(bob.privateKey, bob.certificate);
    expect(await decrypt(await crafted({ at, by }), [key])).toEqual({
      outcome: 'failed',
      algorithm: 'aes256-cbc',
      authenticated: false,
    });
  });

  it('the same craft without a contradiction opens', async () => {
    const key = decryptionKey(bob.privateKey, bob.certificate);
    const kem = algorithmIdentifier('2.16.840.1.101.3.4.4.1');
    expect(await decrypt(await crafted({ at: 2, by: kem }), [key])).toMatchObject({ outcome: 'opened' });
    const wrongKind = decryptionKey(other.privateKey, bob.certificate);
    expect(await decrypt(await crafted({ at: 2, by: kem }), [wrongKind])).toMatchObject({
      outcome: 'failed',
    });
  });
});

describe('ML-DSA (RFC 9882)', () => {
  const signingTime = new Date('2026-11-05T10:20:30Z');

  it.each(SIGNERS)('what $type signs is good, and bad for anything else', async ({ type, parameterSet }) => {
    const alice = keyPair(type);
    const signer = software.signingKey(alice);
    if (signer === null) throw new Error('no key for signing');
    expect(signer.schemes).toEqual([{ kind: 'ml-dsa', parameterSet }]);
    const octets = await signOpaque({ signer, signingTime, capabilities: ['1.2.3'], content });
    const signedData = readSignedData(octets);
    const [signerInfo] = signedData.signerInfos;
    if (signerInfo === undefined) throw new Error('no signature');
    expect(signerInfo.digestAlgorithm.oid).toBe('2.16.840.1.101.3.4.2.3');
    const verify = (octetsSigned: Buffer, certificate = alice.certificate) =>
      verifySignature(signedData, signerInfo, octetsSigned, certificate).signature;
    expect(verify(content)).toBe('good');
    expect(verify(content.subarray(1))).toBe('bad');
    expect(verify(content, keyPair(type).certificate)).toBe('bad');
    const another = type === 'ml-dsa-44' ? 'ml-dsa-65' : 'ml-dsa-44';
    expect(verify(content, keyPair(another).certificate)).toBe('bad');
  });

  it('is offered only where it is asked for', () => {
    expect(careful.signingKey(keyPair('ml-dsa-65'))).toBeNull();
    expect(software.decryptionKey(keyPair('ml-dsa-65'))).toBeNull();
    expect(software.signingKey(keyPair('ml-kem-768'))).toBeNull();
  });

  it('a key signs with its own parameter set alone', async () => {
    const signer = software.signingKey(keyPair('ml-dsa-44'));
    if (signer === null) throw new Error('no key for signing');
    const scheme: SignatureScheme = { kind: 'ml-dsa', parameterSet: 'ML-DSA-87' };
    const request = { signer, scheme, signingTime, capabilities: [], content };
    await expect(signDetached(request)).rejects.toMatchObject({ code: 'key.refused' });
  });
});
