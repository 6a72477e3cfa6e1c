import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { children } from '../../src/asn1/reader.ts';
import * as der from '../../src/asn1/writer.ts';
import { ccmCipher, ccmDecipher } from '../../src/cms/ccm.ts';
import type { ContentEncryptionName } from '../../src/cms/content-encryption.ts';
import { contentInfo } from '../../src/cms/content-info.ts';
import { decrypt } from '../../src/cms/decrypt.ts';
import { decryptStream } from '../../src/cms/decrypt-stream.ts';
import { digest } from '../../src/cms/digests.ts';
import { type EncryptRequest, encrypt } from '../../src/cms/encrypt.ts';
import { encryptStream } from '../../src/cms/encrypt-stream.ts';
import { readEnvelopedData } from '../../src/cms/enveloped-data.ts';
import type { DecryptionKey, SigningKey } from '../../src/cms/keys.ts';
import { contentTypes } from '../../src/cms/oids.ts';
import { signDetached, signOpaque } from '../../src/cms/sign.ts';
import { signOpaqueStream } from '../../src/cms/sign-stream.ts';
import { readSignedData } from '../../src/cms/signed-data.ts';
import { readSignedStream } from '../../src/cms/signed-data-stream.ts';
import { DigestedOctets, digestStream } from '../../src/cms/stream-digests.ts';
import { verifySignature } from '../../src/cms/verify.ts';
import { verifySignatureOfStream } from '../../src/cms/verify-stream.ts';
import { type Identity, IdentityFolder } from './support/identities.ts';
import { readContentInfo } from './support/read-content-info.ts';
import { decryptionKey, signingKey } from './support/software-keys.ts';
import { CountedSpool, collect, drain, inChunks } from './support/streams.ts';

/** Content of all sizes through streams: with ourselves in memory, and with OpenSSL. */

const SIZES = [0, 1, 15, 16, 65_535, 65_536, 65_537, 5_000_000];
const ALGORITHMS: readonly ContentEncryptionName[] = [
  'aes128-cbc',
  'aes192-cbc',
  'aes256-cbc',
  'aes128-gcm',
  'aes192-gcm',
  'aes256-gcm',
  'aes128-ccm',
  'aes192-ccm',
  'aes256-ccm',
  'chacha20-poly1305',
];

let at: IdentityFolder;
let alice: Identity;
let key: DecryptionKey;
let signer: SigningKey;

beforeAll(() => {
  at = new IdentityFolder();
  alice = at.issue('alice', 'P-256');
  key = decryptionKey(alice.privateKey, alice.certificate);
  signer = signingKey(alice.privateKey, alice.certificate, [{ kind: 'ecdsa', digest: 'sha256' }]);
});
afterAll(() => at.remove());

const contents = new Map(SIZES.map((size) => [size, randomBytes(size)]));
const contentOf = (size: number): Buffer => contents.get(size) ?? Buffer.alloc(0);
const chunks = [1, 65_536, 1_000, 40_000];

async function encryptedByStream(
  content: Buffer,
  request: Pick<EncryptRequest, 'algorithm' | 'boundKey'>,
): Promise<Buffer> {
  const recipients = [{ certificate: alice.certificate }];
  const stream = await encryptStream({
    ...request,
    recipients,
    content: inChunks(content, chunks).read(),
    contentOctets: content.length,
  });
  const octets = await collect(stream.octets);
  expect(octets.length).toBe(stream.length);
  return octets;
}

async function decryptedByStream(octets: Buffer): Promise<Buffer> {
  const spool = new CountedSpool();
  const opened = await decryptStream(inChunks(octets, chunks), [key], spool);
  if (opened.outcome !== 'opened') throw new Error(opened.outcome);
  const content = await drain(opened.content);
  expect(spool.open).toBe(0);
  return content;
}

describe('encrypted content', () => {
  it.each(ALGORITHMS)('under %s is the same through a stream and in memory', async (algorithm) => {
    const recipients = [{ certificate: alice.certificate }];
    // The lengths of the key do the same with many octets.
    const few = algorithm.startsWith('aes1') ? 100_000 : Number.POSITIVE_INFINITY;
    for (const content of [...contents.values()].filter(({ length }) => length < few)) {
      const byStream = await encryptedByStream(content, { algorithm });
      const opened = await decrypt(byStream, [key]);
      if (opened.outcome !== 'opened') throw new Error(opened.outcome);
      expect({ algorithm: opened.algorithm, same: opened.content.equals(content) }).toEqual({
        algorithm,
        same: true,
      });
      expect((await decryptedByStream(byStream)).equals(content)).toBe(true);
      const inMemory = await encrypt({ algorithm, recipients, content });
      expect(inMemory.length).toBe(byStream.length);
      expect((await decryptedByStream(inMemory)).equals(content)).toBe(true);
    }
  });

  it('under a key that is bound to its algorithm (RFC 9709) too', async () => {
    const content = contentOf(65_537);
    for (const algorithm of ['aes256-gcm', 'aes128-cbc'] as const) {
      const octets = await encryptedByStream(content, { algorithm, boundKey: true });
      expect((await decryptedByStream(octets)).equals(content)).toBe(true);
    }
  });

  it.each(SIZES)('of %i octets is opened by openssl, and openssl’s by us', async (size) => {
    const content = contentOf(size);
    const by = ['-inkey', alice.keyFile, '-recip', alice.certificateFile];
    for (const algorithm of ['aes256-cbc', 'aes128-gcm'] as const) {
      const ours = at.file('ours', await encryptedByStream(content, { algorithm }));
      const out = at.path('opened');
      at.openssl('cms', '-decrypt', '-binary', '-inform', 'DER', '-in', ours, ...by, '-out', out);
      expect(readFileSync(out).equals(content)).toBe(true);
      const name = `-${algorithm.replace('aes', 'aes-')}`;
      const input = ['-binary', '-outform', 'DER', '-in', at.file('content', content)];
      // OpenSSL does not stream nothing.
      for (const how of size === 0 ? [[]] : [[], ['-stream']]) {
        const theirs = at.path('theirs');
        at.openssl('cms', '-encrypt', name, ...how, ...input, '-out', theirs, alice.certificateFile);
        expect((await decryptedByStream(readFileSync(theirs))).equals(content)).toBe(true);
      }
    }
  });
});

describe('AES-GCM in EnvelopedData, as some senders have it', () => {
  /** The tag stands behind the ciphertext. */
  async function withTagBehind(content: Buffer, segmentOctets: number | null): Promise<Buffer> {
    const octets = await encryptedByStream(content, { algorithm: 'aes256-gcm' });
    const { ciphertext, mac } = readEnvelopedData(octets);
    const [, recipientInfos, info] = children(readContentInfo(octets).content, 'DER');
    if (recipientInfos === undefined || info === undefined || mac === null) throw new Error('no GCM');
    const [contentType, algorithm] = children(info, 'DER');
    if (contentType === undefined || algorithm === undefined) throw new Error('no algorithm');
    const joined = Buffer.concat([ciphertext, mac]);
    const string =
      segmentOctets === null
        ? der.implicitPrimitive(0, joined)
        : der.implicitConstructed(0, ...segmentsOf(joined, segmentOctets));
    const encrypted = der.sequence(contentType.raw, algorithm.raw, string);
    const body = der.sequence(der.integer(2), recipientInfos.raw, encrypted);
    return contentInfo(contentTypes.envelopedData, body);
  }

  function segmentsOf(octets: Buffer, size: number): Buffer[] {
    const found: Buffer[] = [];
    for (let at = 0; at < octets.length; at += size)
      found.push(der.octetString(octets.subarray(at, at + size)));
    return found;
  }

  it.each([0, 1, 65_519, 65_520, 65_535, 65_536, 130_000])('is opened: %i octets', async (size) => {
    const content = randomBytes(size);
    for (const segmentOctets of [null, 7, 1_000, 65_536]) {
      if (size > 70_000 && segmentOctets === 7) continue;
      const octets = await withTagBehind(content, segmentOctets);
      expect((await decryptedByStream(octets)).equals(content)).toBe(true);
      // Its last octet is the tag's.
      octets[octets.length - 1] = (octets.at(-1) ?? 0) ^ 1;
      const spool = new CountedSpool();
      const outcome = await decryptStream(inChunks(octets, chunks), [key], spool);
      expect({ outcome: outcome.outcome, open: spool.open }).toEqual({ outcome: 'failed', open: 0 });
    }
  });
});

describe('digests of a stream', () => {
  it.each([
    'sha1',
    'sha224',
    'sha256',
    'sha384',
    'sha512',
    'sha3-224',
    'sha3-256',
    'sha3-384',
    'sha3-512',
    'shake256',
  ] as const)('%s is that of the octets', async (name) => {
    for (const size of [0, 1, 65_537]) {
      const content = contentOf(size);
      const digests = await digestStream(inChunks(content, chunks).read(), [name, 'sha256']);
      expect(digests.get(name)).toEqual(digest(name, content));
      expect(digests.get('sha256')).toEqual(digest('sha256', content));
    }
  });

  it('are computed once each, and only when somebody asks', async () => {
    let reads = 0;
    const octets = inChunks(contentOf(65_537));
    const counted = {
      length: octets.length,
      read: () => {
        reads++;
        return octets.read();
      },
    };
    const digested = new DigestedOctets(counted, new Map([['sha1', digest('sha1', contentOf(65_537))]]));
    await digested.withDigests(['sha1']);
    expect(reads).toBe(0);
    await digested.withDigests(['sha256', 'sha512']);
    const all = await digested.withDigests(['sha512', 'sha1', 'sha256']);
    expect(reads).toBe(1);
    expect([...all.keys()].sort()).toEqual(['sha1', 'sha256', 'sha512']);
  });
});

describe('signed content', () => {
  const signingTime = new Date('2026-01-01T00:00:00Z');

  it.each(SIZES)('of %i octets is the same message through a stream and in memory', async (size) => {
    const content = contentOf(size);
    // A signer whose signatures do not differ from time to time.
    const same = {
      ...signer,
      sign: async (_: unknown, data: Uint8Array) => Buffer.from(data.subarray(0, 70)),
    };
    const request = { signer: same, signingTime, capabilities: ['1.2.3'] };
    const byStream = await signOpaqueStream({ ...request, content: inChunks(content, chunks) });
    const octets = await collect(byStream.read());
    expect(octets.length).toBe(byStream.length);
    expect(octets.equals(await signOpaque({ ...request, content }))).toBe(true);
    expect((await collect(byStream.read())).equals(octets)).toBe(true);
    const digest = await digestStream(inChunks(content, chunks).read(), ['sha256', 'sha512']);
    expect(await signDetached({ ...request, content: { digest } })).toEqual(
      await signDetached({ ...request, content }),
    );
  });

  it.each(SIZES)('of %i octets is verified by openssl, and openssl’s by us', async (size) => {
    const content = contentOf(size);
    const request = { signer, signingTime: new Date(), capabilities: [] };
    const ours = await signOpaqueStream({ ...request, content: inChunks(content, chunks) });
    const file = at.file('signed', await collect(ours.read()));
    const out = at.path('content-out');
    const anchors = ['-CAfile', at.authority.certificateFile];
    at.openssl('cms', '-verify', '-binary', '-inform', 'DER', '-in', file, ...anchors, '-out', out);
    expect(readFileSync(out).equals(content)).toBe(true);
    const input = ['-binary', '-outform', 'DER', '-in', at.file('content', content)];
    const by = ['-signer', alice.certificateFile, '-inkey', alice.keyFile];
    const theirs = at.path('their-signature');
    for (const how of [[], ['-stream'], ['-noattr'], ['-md', 'sha512', '-noattr', '-stream']]) {
      if (size === 0 && how.includes('-stream')) continue;
      at.openssl('cms', '-sign', '-nodetach', ...how, ...input, ...by, '-out', theirs);
      await expectGood(readFileSync(theirs), content);
    }
    at.openssl('cms', '-sign', ...input, ...by, '-out', theirs);
    const detached = await readSignedStream(inChunks(readFileSync(theirs)), new CountedSpool());
    expect(detached.content).toBeNull();
    const [signerInfo] = detached.signerInfos;
    if (signerInfo === undefined) throw new Error('no signerInfo');
    for (const [over, signature] of [[content, 'good'] as const, [Buffer.from('other'), 'bad'] as const]) {
      const digested = new DigestedOctets(inChunks(over, chunks));
      const report = await verifySignatureOfStream(detached, signerInfo, digested, alice.certificate);
      expect(report.signature).toBe(signature);
    }
  });

  async function expectGood(octets: Buffer, content: Buffer): Promise<void> {
    const spool = new CountedSpool();
    const signed = await readSignedStream(inChunks(octets, chunks), spool);
    const [signerInfo] = signed.signerInfos;
    if (signed.content === null || signerInfo === undefined) throw new Error('nothing signed');
    const digested = new DigestedOctets(signed.content, signed.digests);
    const report = await verifySignatureOfStream(signed, signerInfo, digested, alice.certificate);
    expect(report.signature).toBe('good');
    const inMemory = readSignedData(octets);
    expect(report).toEqual(
      verifySignature(inMemory, signerInfo, inMemory.content ?? Buffer.alloc(0), alice.certificate),
    );
    expect((await drain(signed.content)).equals(content)).toBe(true);
    expect(spool.open).toBe(0);
  }

  it('is hashed again from the spool where its digest was not announced', async () => {
    const octets = await signOpaque({ signer, signingTime, capabilities: [], content: contentOf(65_537) });
    // digestAlgorithms is the first SET; it says something else now.
    const sha256 = Buffer.from('0609608648016503040201', 'hex');
    const place = octets.indexOf(sha256);
    for (const other of ['0609608648016503040203', '0609608648016503040263', '2409608648016503040201']) {
      const changed = Buffer.from(octets);
      changed.set(Buffer.from(other, 'hex'), place);
      await expectGood(changed, contentOf(65_537));
    }
  });
});

describe('AES-CCM in pieces', () => {
  it('is the AES-CCM of OpenSSL', async () => {
    await fc.assert(
      fc.property(
        fc.constantFrom(128, 192, 256),
        fc.integer({ min: 7, max: 13 }),
        fc.constantFrom(4, 8, 12, 14, 16),
        fc.oneof(fc.nat(40), fc.constantFrom(0xfeff, 0xff00, 70_000)),
        fc.array(fc.nat(100), { maxLength: 8 }),
        (bits, nonceOctets, tagOctets, associatedOctets, pieces) => {
          const cipher = `aes-${bits}-ccm` as 'aes-128-ccm';
          const contentKey = randomBytes(bits / 8);
          const nonce = randomBytes(nonceOctets);
          const associated = randomBytes(associatedOctets);
          const parts = pieces.map((size) => randomBytes(size));
          const content = Buffer.concat(parts);
          const parameters = { cipher, nonce, tagOctets, associated, octets: content.length };

          const theirs = createCipheriv(cipher, contentKey, nonce, { authTagLength: tagOctets });
          theirs.setAAD(associated, { plaintextLength: content.length });
          const ciphertext = theirs.update(content);
          theirs.final();
          const tag = theirs.getAuthTag();

          const ours = ccmCipher(contentKey, parameters);
          expect(Buffer.concat(parts.map((part) => ours.update(part)))).toEqual(ciphertext);
          expect(ours.finish()).toEqual({ rest: Buffer.alloc(0), mac: tag });

          const back = ccmDecipher(contentKey, parameters, tag);
          expect(back.update(ciphertext)).toEqual(content);
          expect(back.finish()).toEqual(Buffer.alloc(0));
          const wrong = Buffer.from(tag);
          wrong[0] = (wrong[0] ?? 0) ^ 1;
          const other = ccmDecipher(contentKey, parameters, wrong);
          other.update(ciphertext);
          expect(other.finish()).toBeNull();
        },
      ),
      { numRuns: 200 },
    );
  });

  it('is read by OpenSSL', () => {
    const [contentKey, nonce] = [randomBytes(32), randomBytes(11)];
    const content = contentOf(65_537);
    const associated = Buffer.alloc(0);
    const parameters = { cipher: 'aes-256-ccm', nonce, tagOctets: 16, associated } as const;
    const ours = ccmCipher(contentKey, { ...parameters, octets: content.length });
    const ciphertext = Buffer.concat([ours.update(content.subarray(0, 9)), ours.update(content.subarray(9))]);
    const theirs = createDecipheriv('aes-256-ccm', contentKey, nonce, { authTagLength: 16 });
    theirs.setAuthTag(ours.finish().mac ?? Buffer.alloc(0));
    theirs.setAAD(associated, { plaintextLength: content.length });
    expect(theirs.update(ciphertext).equals(content)).toBe(true);
  });
});
