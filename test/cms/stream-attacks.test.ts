import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Element } from '../../src/asn1/element.ts';
import { children, readWhole } from '../../src/asn1/reader.ts';
import * as der from '../../src/asn1/writer.ts';
import { algorithmIdentifier, readAlgorithmIdentifier } from '../../src/cms/algorithm-identifier.ts';
import { contentInfoLevels } from '../../src/cms/content-info.ts';
import { decrypt } from '../../src/cms/decrypt.ts';
import { decryptStream } from '../../src/cms/decrypt-stream.ts';
import { encrypt } from '../../src/cms/encrypt.ts';
import { encryptStream } from '../../src/cms/encrypt-stream.ts';
import type { DecryptionKey } from '../../src/cms/keys.ts';
import { contentTypes } from '../../src/cms/oids.ts';
import { signOpaqueStream } from '../../src/cms/sign-stream.ts';
import type { SignerInfo } from '../../src/cms/signed-data.ts';
import { readSignedStream } from '../../src/cms/signed-data-stream.ts';
import { DigestedOctets } from '../../src/cms/stream-digests.ts';
import { verifySignatureOfStream } from '../../src/cms/verify-stream.ts';
import { SealgateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import type { OctetStream, RereadableOctets, Spool } from '../../src/octets/source.ts';
import { type Identity, IdentityFolder } from './support/identities.ts';
import { readContentInfo } from './support/read-content-info.ts';
import { decryptionKey, signingKey } from './support/software-keys.ts';
import { CountedSpool, collect, drain, inChunks } from './support/streams.ts';

/** What somebody may try with messages that are read piece by piece. */

let at: IdentityFolder;
let alice: Identity;
let mallory: Identity;
let key: DecryptionKey;

beforeAll(() => {
  at = new IdentityFolder();
  alice = at.issue('alice', 'P-256');
  mallory = at.issue('mallory', 'P-256');
  key = decryptionKey(alice.privateKey, alice.certificate);
});
afterAll(() => at.remove());

const content = randomBytes(700_000);
const forAlice = () => [{ certificate: alice.certificate }];

/** The same certificate, another key: what the message is encrypted for is not opened by it. */
function wrongKey(): DecryptionKey {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...decryptionKey(privateKey, alice.certificate), label: 'wrong' };
}

describe('content that is not what it should be', () => {
  const algorithms = ['aes256-cbc', 'aes256-gcm', 'aes128-ccm', 'chacha20-poly1305'] as const;

  it.each(algorithms)('under %s is not given out, whatever was decrypted before', async (algorithm) => {
    const octets = await encrypt({ algorithm, recipients: forAlice(), content });
    const spool = new CountedSpool();
    const damaged = Buffer.from(octets);
    // The last octet of the tag; in CBC that of the block before the last, which makes a padding of more than a block.
    const at = damaged.length - (algorithm === 'aes256-cbc' ? 17 : 1);
    damaged[at] = (damaged[at] ?? 0) ^ 0x55;
    const outcome = await decryptStream(inChunks(damaged), [key], spool);
    expect(outcome).toEqual({
      algorithm,
      authenticated: algorithm !== 'aes256-cbc',
      outcome: 'failed',
    });
    // It was there, in the spool, and is gone.
    expect(spool.written).toBeGreaterThan(content.length / 2);
    expect(spool.open).toBe(0);
    expect(await decryptStream(inChunks(octets), [wrongKey()], spool)).toEqual(outcome);
    expect(spool.open).toBe(0);
  });

  it.each(algorithms)('under %s is opened by the next key when the first does not', async (algorithm) => {
    const octets = await encrypt({ algorithm, recipients: forAlice(), content });
    const spool = new CountedSpool();
    const opened = await decryptStream(inChunks(octets), [wrongKey(), wrongKey(), key], spool);
    if (opened.outcome !== 'opened') throw new Error(opened.outcome);
    expect(spool.open).toBe(1);
    expect((await drain(opened.content)).equals(content)).toBe(true);
    expect(spool.open).toBe(0);
  });

  it('a source that is another one the second time gives nothing', async () => {
    const messages = await Promise.all(
      [content, content.subarray(1), Buffer.alloc(0)].map((one) =>
        encrypt({ algorithm: 'aes256-gcm', recipients: forAlice(), content: one }),
      ),
    );
    const [first, ...others] = messages;
    if (first === undefined) throw new Error('no message');
    for (const other of [...others, first.subarray(0, -50_000)]) {
      let reads = 0;
      const changing: RereadableOctets = { read: () => inChunks(reads++ === 0 ? first : other).read() };
      const spool = new CountedSpool();
      const outcome = await decryptStream(changing, [key], spool).then(
        (found) => found.outcome,
        (error: unknown) => (error as { code: string }).code,
      );
      expect(['failed', 'asn1.malformed', 'cms.malformed']).toContain(outcome);
      expect(spool.open).toBe(0);
    }
  });

  it('what a source or a spool throws is thrown, and nothing is left', async () => {
    const octets = await encrypt({ algorithm: 'aes256-gcm', recipients: forAlice(), content });
    for (const failing of [1, 2]) {
      let reads = 0;
      let closed = 0;
      const source: RereadableOctets = {
        async *read(): OctetStream {
          const fails = ++reads === failing;
          try {
            yield octets.subarray(0, 100_000);
            if (fails) throw new Error('the disk is gone');
            yield octets.subarray(100_000);
          } finally {
            closed++;
          }
        },
      };
      const spool = new CountedSpool();
      await expect(decryptStream(source, [key], spool)).rejects.toThrow('the disk is gone');
      expect({ open: spool.open, closed }).toEqual({ open: 0, closed: failing });
    }
    const spool = new CountedSpool();
    // Temporary like a key that is away; but no other key makes room.
    const noRoom = new SealgateError({
      code: 'spool.unavailable',
      publicText: 'No room.',
      duration: 'temporary',
    });
    let begun = 0;
    const full: Spool = {
      begin: () => {
        begun++;
        return { ...spool.begin(), write: () => Promise.reject(noRoom) };
      },
    };
    await expect(decryptStream(inChunks(octets), [key, key], full)).rejects.toBe(noRoom);
    expect({ begun, open: spool.open }).toEqual({ begun: 1, open: 0 });
  });

  it('a damaged end of a signed message leaves nothing of its content', async () => {
    const signer = signingKey(alice.privateKey, alice.certificate, [{ kind: 'ecdsa', digest: 'sha256' }]);
    const request = { signer, signingTime: new Date(), capabilities: [], content: inChunks(content) };
    const octets = await collect((await signOpaqueStream(request)).read());
    const spool = new CountedSpool();
    const cut = inChunks(octets.subarray(0, -1));
    await expect(readSignedStream(cut, spool)).rejects.toMatchObject({ code: 'cms.malformed' });
    expect(spool.written).toBeGreaterThan(content.length / 2);
    expect(spool.open).toBe(0);
  });

  it('signed content that was changed is bad, with and without signed attributes', async () => {
    const by = ['-signer', alice.certificateFile, '-inkey', alice.keyFile];
    const input = ['-binary', '-outform', 'DER', '-in', at.file('content', content)];
    for (const how of [[], ['-noattr']]) {
      const octets = at.openssl('cms', '-sign', '-nodetach', ...how, ...input, ...by);
      const place = octets.indexOf(content.subarray(300_000, 300_050));
      octets[place] = (octets[place] ?? 0) ^ 1;
      const spool = new CountedSpool();
      const signed = await readSignedStream(inChunks(octets), spool);
      const [signerInfo] = signed.signerInfos;
      if (signed.content === null || signerInfo === undefined) throw new Error('nothing signed');
      for (const certificate of [alice.certificate, mallory.certificate]) {
        const digested = new DigestedOctets(signed.content, signed.digests);
        const report = await verifySignatureOfStream(signed, signerInfo, digested, certificate);
        expect(report.signature).toBe('bad');
      }
      await signed.content.discard();
    }
  });
});

describe('signatures over content itself', () => {
  it('do not have it read once for each of them', async () => {
    const by = ['-signer', alice.certificateFile, '-inkey', alice.keyFile];
    const input = ['-binary', '-outform', 'DER', '-in', at.file('bare', Buffer.from('Hello'))];
    const octets = at.openssl('cms', '-sign', '-nodetach', '-noattr', ...input, ...by);
    const signed = await readSignedStream(inChunks(octets), new CountedSpool());
    const [signerInfo] = signed.signerInfos;
    if (signerInfo === undefined) throw new Error('no signerInfo');
    let reads = 0;
    // As if it were that long.
    const large = (length: number) => ({
      length,
      read: () => {
        reads++;
        return inChunks(Buffer.from('Hello')).read();
      },
    });
    const verdicts = async (length: number, times: number) => {
      const digested = new DigestedOctets(large(length));
      const found: string[] = [];
      for (let i = 0; i < times; i++) {
        found.push(
          (await verifySignatureOfStream(signed, signerInfo, digested, alice.certificate)).signature,
        );
      }
      return found;
    };
    const half = limits.cms.bareReadOctets / 2;
    expect(await verdicts(half, 4)).toEqual(['good', 'good', 'unsupported', 'unsupported']);
    // Twice for signatures, and each time a look at how it begins.
    expect(reads).toBe(2 + 4);
    expect(await verdicts(10 * half, 2)).toEqual(['good', 'unsupported']);
    expect(await verdicts(5, 40)).toEqual(Array.from({ length: 40 }, () => 'good'));
  });

  it('EdDSA’s, which cannot be verified piece by piece, are over bounded content', async () => {
    const edward = at.issue('edward', 'ed25519');
    const algorithm = (oid: string) => readAlgorithmIdentifier(readWhole(algorithmIdentifier(oid), 'DER'));
    for (const [size, expected] of [
      [limits.cms.bareContentOctets, 'good'],
      [limits.cms.bareContentOctets + 1, 'unsupported'],
    ] as const) {
      const octets = Buffer.alloc(size, 'x');
      const signerInfo: SignerInfo = {
        identifier: { kind: 'subject-key-identifier', value: Buffer.alloc(20) },
        digestAlgorithm: algorithm('2.16.840.1.101.3.4.2.3'),
        signedAttributes: null,
        signatureAlgorithm: algorithm('1.3.101.112'),
        signature: sign(null, octets, edward.privateKey),
      };
      const digested = new DigestedOctets(inChunks(octets));
      const data = { contentType: contentTypes.data };
      const report = await verifySignatureOfStream(data, signerInfo, digested, edward.certificate);
      expect(report.signature).toBe(expected);
    }
  });

  it('content made of somebody’s signed attributes is refused, whatever its size', async () => {
    const attributes = (octets: number): Buffer =>
      der.setOf([der.sequence(der.oid('1.2.3'), der.setOf([der.octetString(Buffer.alloc(octets))]))]);
    const by = ['-signer', alice.certificateFile, '-inkey', alice.keyFile];
    for (const size of [10, limits.cms.bareContentOctets + 1]) {
      const made = attributes(size);
      const input = ['-binary', '-outform', 'DER', '-in', at.file('made', made)];
      const out = at.path('made-signed');
      at.openssl('cms', '-sign', '-nodetach', '-noattr', ...input, ...by, '-out', out);
      const signed = await readSignedStream(inChunks(readFileSync(out)), new CountedSpool());
      const [signerInfo] = signed.signerInfos;
      if (signed.content === null || signerInfo === undefined) throw new Error('nothing signed');
      const digested = new DigestedOctets(signed.content, signed.digests);
      const report = await verifySignatureOfStream(signed, signerInfo, digested, alice.certificate);
      expect(report.signature).toBe('bad');
      expect(report.checks).toContainEqual({ check: 'signed-attributes', outcome: 'failed' });
      expect(report.checks).toContainEqual({ check: 'signature-value', outcome: 'passed' });
      // Only something like it.
      const like = Buffer.concat([Buffer.from('1. The meeting\r\n'), made]);
      const other = new DigestedOctets(inChunks(like));
      const text = await verifySignatureOfStream(signed, signerInfo, other, alice.certificate);
      expect(text.checks).toContainEqual({ check: 'signed-attributes', outcome: 'absent' });
      await signed.content.discard();
    }
  });
});

describe('an encrypted stream', () => {
  it('is not made twice: the nonce would meet another text', async () => {
    const request = { algorithm: 'aes256-gcm', recipients: forAlice(), contentOctets: 5 } as const;
    const stream = await encryptStream({ ...request, content: inChunks(Buffer.from('Hello')).read() });
    await collect(stream.octets);
    await expect(collect(stream.octets)).rejects.toThrow('read twice');
  });

  it.each([4, 6])(
    'of content that is not as long as announced ends with an error (%i for 5)',
    async (size) => {
      for (const algorithm of ['aes256-gcm', 'aes256-cbc', 'aes256-ccm'] as const) {
        const stream = await encryptStream({
          algorithm,
          recipients: forAlice(),
          contentOctets: 5,
          content: inChunks(Buffer.alloc(size)).read(),
        });
        await expect(collect(stream.octets)).rejects.toMatchObject({
          code: 'cms.content-changed',
          duration: 'temporary',
        });
      }
    },
  );
});

it('a signed message whose content changes its length ends with an error', async () => {
  const signer = signingKey(alice.privateKey, alice.certificate, [{ kind: 'ecdsa', digest: 'sha256' }]);
  const lengths = [5, 4, 6];
  const changing = { length: 5, read: () => inChunks(Buffer.alloc(lengths.shift() ?? 0)).read() };
  const request = { signer, signingTime: new Date(), capabilities: [], content: changing };
  const signed = await signOpaqueStream(request);
  for (let i = 0; i < 2; i++) {
    await expect(collect(signed.read())).rejects.toMatchObject({ code: 'cms.content-changed' });
  }
});

describe('structures without end', () => {
  /** A message whose encryptedContent is as given. */
  async function withContent(encrypted: Buffer): Promise<Buffer> {
    const { recipients, algorithm } = await pieces();
    const info = der.sequence(der.oid(contentTypes.data), algorithm, encrypted);
    const body = der.sequence(der.integer(2), recipients, info);
    return der.sequence(der.oid(contentTypes.envelopedData), der.explicit(0, body));
  }

  async function pieces(): Promise<{ recipients: Buffer; algorithm: Buffer }> {
    const octets = await encrypt({
      algorithm: 'aes128-cbc',
      recipients: forAlice(),
      content: Buffer.alloc(1),
    });
    const parts = partsOf(readContentInfo(octets).content);
    const [, recipients, info] = parts;
    if (recipients === undefined || info === undefined) throw new Error('not EnvelopedData');
    const algorithm = partsOf(readWhole(info, 'DER'))[1];
    if (algorithm === undefined) throw new Error('no algorithm');
    return { recipients, algorithm };
  }

  const partsOf = (element: Element): Buffer[] => children(element, 'DER').map(({ raw }) => raw);

  const indefinite = (identifier: number, ...parts: readonly Buffer[]): Buffer =>
    Buffer.concat([Buffer.from([identifier, 0x80]), ...parts, Buffer.alloc(2)]);

  it.each<[string, () => Buffer]>([
    ['segments in segments', () => nested(limits.asn1.depth + 1)],
    [
      'segments without content',
      () => indefinite(0xa0, Buffer.alloc(2 * limits.asn1.elements + 2, Buffer.from([0x04, 0x00]))),
    ],
    ['a segment of another type', () => indefinite(0xa0, Buffer.from([0x02, 1, 0]))],
    ['a segment beyond its string', () => Buffer.from([0xa0, 3, 0x04, 2, 0])],
    ['no end', () => Buffer.concat([Buffer.from([0xa0, 0x80]), der.octetString(Buffer.alloc(32))])],
  ])('%s: malformed in a stream and in memory', async (_, encrypted) => {
    const octets = await withContent(encrypted());
    const malformed = { code: 'cms.malformed' };
    const spool = new CountedSpool();
    await expect(decryptStream(inChunks(octets), [key], spool)).rejects.toMatchObject(malformed);
    await expect(decrypt(octets, [key])).rejects.toMatchObject(malformed);
  });

  it('segments as deep as allowed, and as many as a large content has, are read', async () => {
    const read = async (octets: Buffer) => {
      const { outcome } = await decrypt(octets, [key]);
      // Under a key of chance the octets end in a right padding once in 256 times.
      expect(['failed', 'opened']).toContain(outcome);
      expect((await decryptStream(inChunks(octets), [key], new CountedSpool())).outcome).toBe(outcome);
    };
    // Four levels of CMS are around the content.
    await read(await withContent(nested(limits.asn1.depth - 6)));
    const many = 250_000;
    const segment = der.octetString(Buffer.alloc(limits.asn1.segmentOctets + 16));
    const string = indefinite(0xa0, Buffer.alloc(many * segment.length, segment));
    await read(await withContent(string));
  });

  function nested(depth: number): Buffer {
    let string = der.octetString(Buffer.alloc(32));
    for (let i = 0; i < depth; i++) string = indefinite(0x24, string);
    return indefinite(0xa0, string);
  }

  it.each([
    ['recipientInfos that claim more than a structure may have', 0x31],
    ['an originatorInfo that does', 0xa0],
  ])('%s are refused without waiting for them', async (_, identifier) => {
    const claimed = der.header(identifier, 1_000_000_000);
    const head = Buffer.concat([
      der.headAround(2_000_000_000, [
        { identifier: 0x30, before: [der.integer(2)] },
        ...contentInfoLevels(contentTypes.envelopedData),
      ]),
      claimed,
    ]);
    let given = 0;
    const endless: RereadableOctets = {
      async *read(): OctetStream {
        yield head;
        for (;;) {
          given += 65_536;
          yield Buffer.alloc(65_536);
        }
      },
    };
    await expect(decryptStream(endless, [key], new CountedSpool())).rejects.toMatchObject({
      code: 'cms.malformed',
    });
    expect(given).toBeLessThan(1_000_000);
  });

  it('what never ends behind the content is refused', async () => {
    const octets = await encrypt({ algorithm: 'aes128-gcm', recipients: forAlice(), content });
    let given = 0;
    const endless: RereadableOctets = {
      async *read(): OctetStream {
        yield octets;
        for (;;) {
          given += 65_536;
          yield Buffer.alloc(65_536);
        }
      },
    };
    await expect(decryptStream(endless, [key], new CountedSpool())).rejects.toMatchObject({
      code: 'cms.malformed',
    });
    expect(given).toBeLessThan(2 * limits.asn1.structureOctets);
  });
});
