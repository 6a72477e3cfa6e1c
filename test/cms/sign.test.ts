import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readWhole } from '../../src/asn1/reader.ts';
import { definiteLengths } from '../../src/asn1/transcode.ts';
import { contentEncryptions, ownCapabilities } from '../../src/cms/capabilities.ts';
import { type ContentDigestName, digest } from '../../src/cms/digests.ts';
import type { SignatureScheme, SigningKey } from '../../src/cms/keys.ts';
import { attributeTypes, contentTypes } from '../../src/cms/oids.ts';
import {
  certificatesOnly,
  signDetached,
  signingDigests,
  signingScheme,
  signOpaque,
} from '../../src/cms/sign.ts';
import { contentDigestFor } from '../../src/cms/signatures.ts';
import { certificatesOf, readSignedData, signerCandidates } from '../../src/cms/signed-data.ts';
import { verifySignature } from '../../src/cms/verify.ts';
import { type Identity, IdentityFolder } from './support/identities.ts';
import { signingKey } from './support/software-keys.ts';

const content = Buffer.from('Content-Type: text/plain\r\n\r\nGood morning.\r\n');
const signingTime = new Date('2026-11-05T10:20:30Z');
const rsaSha256: SignatureScheme = { kind: 'rsa-pkcs1', digest: 'sha256' };

let at: IdentityFolder;
let alice: Identity;
let ed25519: Identity;
let ed448: Identity;
let encryption: Identity;
let signer: SigningKey;

beforeAll(() => {
  at = new IdentityFolder();
  alice = at.issue('alice', 'rsa');
  ed25519 = at.issue('ed25519', 'ed25519');
  ed448 = at.issue('ed448', 'ed448');
  encryption = at.issue('encryption', 'P-256');
  signer = signingKey(alice.privateKey, alice.certificate, [rsaSha256]);
});
afterAll(() => at.remove());

function only<T>(list: readonly T[]): T {
  const [first] = list;
  if (first === undefined || list.length !== 1) throw new Error('exactly one was expected');
  return first;
}

describe('what a signature of ours says', () => {
  it('carries the signed attributes of RFC 8551 §2.5 and those that counter-check it', async () => {
    const signedData = readSignedData(
      await signDetached({ signer, signingTime, capabilities: ownCapabilities, content }),
    );
    const signerInfo = only(signedData.signerInfos);
    const types = signerInfo.signedAttributes?.list.map(({ type }) => type);
    expect(types?.toSorted()).toEqual(
      [
        attributeTypes.contentType,
        attributeTypes.messageDigest,
        attributeTypes.signingTime,
        attributeTypes.smimeCapabilities,
        attributeTypes.encryptionKeyPreference,
        attributeTypes.signingCertificateV2,
        attributeTypes.algorithmProtection,
      ].toSorted(),
    );
    const report = verifySignature(signedData, signerInfo, content, alice.certificate);
    expect(report).toMatchObject({
      signature: 'good',
      algorithm: 'rsa-pkcs1-sha256',
      signedAt: signingTime,
      capabilities: ownCapabilities,
      encryptionKeyPreference: { kind: 'issuer-and-serial', serialNumber: alice.certificate.serialNumber },
    });
    expect(report.checks.map(({ outcome }) => outcome)).toEqual(Array(7).fill('passed'));
    expect(contentEncryptions(report.capabilities)).toEqual([
      'aes256-gcm',
      'aes128-gcm',
      'chacha20-poly1305',
      'aes256-ccm',
      'aes128-ccm',
      'aes256-cbc',
      'aes192-cbc',
      'aes128-cbc',
    ]);
  });

  it('is DER, and its signed attributes are in DER order', async () => {
    for (const capabilities of [ownCapabilities, [], ['1.2.3']]) {
      const octets = await signOpaque({ signer, signingTime, capabilities, content });
      expect(definiteLengths(readWhole(octets, 'DER'))).toEqual(octets);
      // One encoding: the octets as sent are the sorted ones.
      expect([
        ...(only(readSignedData(octets).signerInfos).signedAttributes?.encodings() ?? []),
      ]).toHaveLength(1);
    }
  });

  it('sends the chain and the encryption certificate along, each once', async () => {
    const chained = signingKey(
      alice.privateKey,
      alice.certificate,
      [rsaSha256],
      [at.authority.certificate, alice.certificate],
    );
    const request = { signer: chained, signingTime, capabilities: [], content };
    const octets = await signDetached({ ...request, encryptionCertificate: encryption.certificate });
    const found = certificatesOf(readSignedData(octets)).map(({ fingerprint }) => fingerprint);
    const expected = [alice, at.authority, encryption].map(({ certificate }) => certificate.fingerprint);
    expect(found.toSorted()).toEqual(expected.toSorted());
    const report = verifySignature(
      { contentType: contentTypes.data },
      only(readSignedData(octets).signerInfos),
      content,
      alice.certificate,
    );
    expect(report.encryptionKeyPreference).toMatchObject({
      serialNumber: encryption.certificate.serialNumber,
    });
  });

  it('changes from mail to mail only in time, digest and signature', async () => {
    const at1950 = new Date('1950-01-01T00:00:00Z');
    const at2050 = new Date('2050-01-01T00:00:00Z');
    for (const time of [signingTime, at1950, at2050, signingTime]) {
      for (const text of ['one', 'two', '']) {
        const body = Buffer.from(text);
        const signedData = readSignedData(
          await signDetached({ signer, signingTime: time, capabilities: ownCapabilities, content: body }),
        );
        const report = verifySignature(signedData, only(signedData.signerInfos), body, alice.certificate);
        expect(report).toMatchObject({ signature: 'good', signedAt: time });
      }
    }
  });

  it('keeps mails apart that are signed at the same time with the same key', async () => {
    const bodies = Array.from({ length: 20 }, (_, i) => Buffer.from(`mail ${i}`));
    const slow: SigningKey = {
      ...signer,
      sign: async (scheme, data) => {
        await new Promise(setImmediate);
        return signer.sign(scheme, data);
      },
    };
    const request = { signer: slow, signingTime, capabilities: ownCapabilities };
    const signed = await Promise.all(bodies.map((body) => signDetached({ ...request, content: body })));
    for (const [i, octets] of signed.entries()) {
      const signedData = readSignedData(octets);
      const report = verifySignature(
        signedData,
        only(signedData.signerInfos),
        bodies[i] ?? content,
        alice.certificate,
      );
      expect(report.signature).toBe('good');
    }
  });
});

describe('schemes', () => {
  it.each([
    ['Ed25519', 'sha512'],
    ['Ed448', 'shake256'],
  ] as const)('%s goes with %s (RFC 8419 §3.1)', async (curve, contentDigest) => {
    const who = curve === 'Ed25519' ? ed25519 : ed448;
    const key = signingKey(who.privateKey, who.certificate, [{ kind: 'eddsa', curve }]);
    expect(contentDigestFor(signingScheme({ signer: key }))).toBe(contentDigest);
    const signedData = readSignedData(
      await signOpaque({ signer: key, signingTime, capabilities: [], content }),
    );
    const report = verifySignature(signedData, only(signedData.signerInfos), content, who.certificate);
    expect(report).toMatchObject({ signature: 'good', algorithm: curve.toLowerCase() });
  });

  it('takes the digest of content that was hashed while it passed', async () => {
    const known = new Map<ContentDigestName, Buffer>([['sha256', digest('sha256', content)]]);
    const octets = await signDetached({ signer, signingTime, capabilities: [], content: { digest: known } });
    const signedData = readSignedData(octets);
    const signerInfo = only(signedData.signerInfos);
    for (const given of [content, { digests: known }]) {
      expect(verifySignature(signedData, signerInfo, given, alice.certificate).signature).toBe('good');
    }
    const none = { digests: new Map() };
    expect(verifySignature(signedData, signerInfo, none, alice.certificate).signature).toBe('unsupported');
    const missing = { signer, signingTime, capabilities: [], content: { digest: new Map() } };
    await expect(signDetached(missing)).rejects.toMatchObject({ code: 'cms.no-scheme' });
  });

  it('says so when a key offers no scheme, and passes errors of the key on', async () => {
    const none = { ...signer, schemes: [] };
    const request = { signingTime, capabilities: [], content };
    await expect(signDetached({ ...request, signer: none })).rejects.toMatchObject({ code: 'cms.no-scheme' });
    const away = { ...signer, sign: () => Promise.reject(new Error('the token is away')) };
    await expect(signDetached({ ...request, signer: away })).rejects.toThrow('the token is away');
  });
});

describe('certs-only (RFC 8551 §3.8)', () => {
  it('is read and written without signers', () => {
    const octets = certificatesOnly([alice.certificate, encryption.certificate, alice.certificate]);
    const signedData = readSignedData(octets);
    expect(signedData).toMatchObject({ content: null, signerInfos: [] });
    expect(certificatesOf(signedData)).toHaveLength(2);
    const listed = at.openssl('pkcs7', '-inform', 'DER', '-in', at.file('certs.p7c', octets), '-print_certs');
    expect(listed.toString().match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
  });

  it("reads openssl's, CRLs included", () => {
    const files = [alice, encryption].flatMap(({ certificateFile }) => ['-certfile', certificateFile]);
    const signedData = readSignedData(at.openssl('crl2pkcs7', '-nocrl', '-outform', 'DER', ...files));
    expect(certificatesOf(signedData)).toHaveLength(2);
    expect(signedData.crls).toEqual([]);
  });
});

describe('any content', () => {
  it('is verified as signed, and not with one octet changed', async () => {
    const key = signingKey(ed25519.privateKey, ed25519.certificate, [{ kind: 'eddsa', curve: 'Ed25519' }]);
    const run = async (octets: Uint8Array, place: number, change: number): Promise<void> => {
      const body = Buffer.from(octets);
      const signed = await signOpaque({
        signer: key,
        signingTime,
        capabilities: ownCapabilities,
        content: body,
      });
      const signedData = readSignedData(signed);
      expect(signedData.content).toEqual(body);
      const signerInfo = only(signedData.signerInfos);
      expect(verifySignature(signedData, signerInfo, body, ed25519.certificate).signature).toBe('good');
      if (body.length === 0) return;
      const at = place % body.length;
      body[at] = (body[at] ?? 0) ^ change;
      expect(verifySignature(signedData, signerInfo, body, ed25519.certificate).signature).toBe('bad');
    };
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 500 }), fc.nat(), fc.integer({ min: 1, max: 255 }), run),
      { numRuns: 50 },
    );
  });
});

describe('several signers of one content', () => {
  it('each has a SignerInfo of its own, and openssl verifies all of them', async () => {
    const second = at.issue('second', 'P-384');
    const coSigners = [
      { signer: signingKey(second.privateKey, second.certificate, [{ kind: 'ecdsa', digest: 'sha384' }]) },
      { signer: signingKey(ed25519.privateKey, ed25519.certificate, [{ kind: 'eddsa', curve: 'Ed25519' }]) },
    ] as const;
    const request = { signer, signingTime, capabilities: ownCapabilities, coSigners };
    expect(signingDigests(request)).toEqual(['sha256', 'sha384', 'sha512']);
    for (const signed of [
      await signDetached({ ...request, content }),
      await signOpaque({ ...request, content }),
    ]) {
      const signedData = readSignedData(signed);
      const certificates = certificatesOf(signedData);
      expect(signedData.signerInfos).toHaveLength(3);
      for (const signerInfo of signedData.signerInfos) {
        const certificate = only(signerCandidates(signerInfo, certificates));
        expect(verifySignature(signedData, signerInfo, content, certificate).signature).toBe('good');
        const other = Buffer.from(content).fill(0x41, 30, 31);
        expect(verifySignature(signedData, signerInfo, other, certificate).signature).toBe('bad');
      }
      // The sets are in DER order, so strict readers take them.
      expect(definiteLengths(readWhole(signed, 'DER'))).toEqual(signed);
    }
    // Without the third, whose kind OpenSSL 3.0 verifies in no CMS.
    const two = { ...request, coSigners: coSigners.slice(0, 1), content };
    const detached = at.file('two.der', await signDetached(two));
    const verified = at.openssl(
      ...['cms', '-verify', '-inform', 'DER', '-in', detached, '-content', at.file('two.txt', content)],
      ...['-binary', '-noverify'],
    );
    expect(verified).toEqual(content);
  });

  it('one of whom no signature can be had leaves no message', async () => {
    const away: SigningKey = { ...signer, sign: () => Promise.reject(new Error('away')) };
    await expect(
      signDetached({ signer, signingTime, capabilities: [], coSigners: [{ signer: away }], content }),
    ).rejects.toThrow('away');
  });
});
