import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { children as childrenOf, readWhole } from '../../src/asn1/reader.ts';
import * as der from '../../src/asn1/writer.ts';
import { algorithmIdentifier } from '../../src/cms/algorithm-identifier.ts';
import { decompress } from '../../src/cms/compressed-data.ts';
import { decompressStream } from '../../src/cms/compressed-data-stream.ts';
import { contentInfo } from '../../src/cms/content-info.ts';
import { decrypt } from '../../src/cms/decrypt.ts';
import { decryptStream } from '../../src/cms/decrypt-stream.ts';
import { encrypt } from '../../src/cms/encrypt.ts';
import type { DecryptionKey } from '../../src/cms/keys.ts';
import { contentTypes } from '../../src/cms/oids.ts';
import { peekContentType } from '../../src/cms/peek-stream.ts';
import { signOpaque } from '../../src/cms/sign.ts';
import { readSignedData, type SignerInfo } from '../../src/cms/signed-data.ts';
import { readSignedStream } from '../../src/cms/signed-data-stream.ts';
import { DigestedOctets } from '../../src/cms/stream-digests.ts';
import { verifySignature } from '../../src/cms/verify.ts';
import { verifySignatureOfStream } from '../../src/cms/verify-stream.ts';
import { SealgateError } from '../../src/errors.ts';
import { type Identity, IdentityFolder } from './support/identities.ts';
import { readContentInfo } from './support/read-content-info.ts';
import { decryptionKey, signingKey } from './support/software-keys.ts';
import { CountedSpool, drain, inChunks } from './support/streams.ts';

/**
 * Readers of streams against readers of Buffers: for whatever octets, in whatever chunks, they come to the same.
 */

const content = Buffer.from('Content-Type: text/plain\r\n\r\nGood morning.\r\n'.repeat(5));
const seeds: Buffer[] = [];
let at: IdentityFolder;
let alice: Identity;
let keys: DecryptionKey[];

beforeAll(async () => {
  at = new IdentityFolder();
  alice = at.issue('alice', 'P-256');
  const bob = at.issue('bob', 'rsa');
  keys = [alice, bob].map((who) => decryptionKey(who.privateKey, who.certificate));
  const signer = signingKey(alice.privateKey, alice.certificate, [{ kind: 'ecdsa', digest: 'sha256' }]);
  const signingTime = new Date('2026-01-01T00:00:00Z');
  seeds.push(await signOpaque({ signer, signingTime, capabilities: ['1.2.3'], content }));
  const input = ['-binary', '-outform', 'DER', '-in', at.file('content', content)];
  const by = ['-signer', alice.certificateFile, '-inkey', alice.keyFile];
  seeds.push(at.openssl('cms', '-sign', '-nodetach', '-stream', ...input, ...by));
  seeds.push(at.openssl('cms', '-sign', '-nodetach', '-noattr', '-md', 'sha384', ...input, ...by));
  seeds.push(at.openssl('cms', '-sign', ...input, ...by));
  seeds.push(craftCompressed(deflateSync(content)));
  const recipients = [alice, bob].map(({ certificate }) => ({ certificate }));
  for (const algorithm of ['aes256-cbc', 'aes256-gcm', 'aes128-ccm', 'chacha20-poly1305'] as const) {
    seeds.push(await encrypt({ content, algorithm, recipients }));
  }
  seeds.push(await encrypt({ content, algorithm: 'aes256-gcm', recipients, boundKey: true }));
  const to = [alice, bob].map(({ certificateFile }) => certificateFile);
  seeds.push(at.openssl('cms', '-encrypt', '-aes-128-cbc', '-stream', ...input, ...to));
  seeds.push(at.openssl('cms', '-encrypt', '-aes-128-gcm', '-keyid', ...input, ...to));
  seeds.push(...seeds.flatMap((octets) => [inSegments(octets, false), inSegments(octets, true)]));
});
afterAll(() => at.remove());

/** The same with every OCTET STRING cut into segments, and all lengths indefinite or definite: BER as anybody may write it. */
function inSegments(octets: Buffer, indefinite: boolean): Buffer {
  const { contentType, content: inside } = readContentInfo(octets);
  const parts = children(inside).map((part) => {
    const tag = part[0] ?? 0;
    return tag === 0x30 ? wrap(tag, children(whole(part)).map(cut), indefinite) : part;
  });
  function cut(part: Buffer): Buffer {
    const tag = part[0] ?? 0;
    const { content: octetsInside } = whole(part);
    if (tag === 0x80) return wrap(0xa0, segments(octetsInside), indefinite);
    // In segments already.
    if (tag !== 0xa0 || contentType === contentTypes.envelopedData) return part;
    const [string] = children(whole(part));
    if (string === undefined || string[0] !== 0x04) return part;
    return wrap(tag, [wrap(0x24, segments(whole(string).content), indefinite)], indefinite);
  }
  const body = wrap(0x30, parts, indefinite);
  return wrap(0x30, [der.oid(contentType), wrap(0xa0, [body], indefinite)], indefinite);
}

function segments(octets: Buffer): Buffer[] {
  const cuts = [0, 1, 17, 17, 50];
  const found = cuts.map((from, i) => der.octetString(octets.subarray(from, cuts[i + 1] ?? octets.length)));
  // Segments may be segmented themselves.
  return [wrap(0x24, found.slice(0, 3), true), ...found.slice(3)];
}

function wrap(identifier: number, parts: readonly Buffer[], indefinite: boolean): Buffer {
  if (!indefinite) return der.element(identifier, ...parts);
  return Buffer.concat([Buffer.from([identifier, 0x80]), ...parts, Buffer.alloc(2)]);
}

const whole = (octets: Buffer) => readWhole(octets, 'BER');
function children(element: ReturnType<typeof whole>): Buffer[] {
  return childrenOf(element, 'BER').map(({ raw }) => raw);
}

/** What came of it, or the code of its error. */
async function outcomeOf<T>(run: () => T | Promise<T>): Promise<T | string> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof SealgateError) return error.code;
    throw error;
  }
}

async function plain({ signedAttributes, ...rest }: SignerInfo) {
  return { ...rest, signed: await outcomeOf(() => [...(signedAttributes?.encodings() ?? [])]) };
}

async function compareSigned(octets: Buffer, sizes: readonly number[], spool: CountedSpool): Promise<string> {
  const buffered = await outcomeOf(() => readSignedData(octets));
  const streamed = await outcomeOf(() => readSignedStream(inChunks(octets, sizes), spool));
  if (typeof buffered === 'string' || typeof streamed === 'string') {
    expect(streamed).toBe(buffered);
    return String(buffered);
  }
  const other = { content: streamed.content === null ? inChunks(content) : streamed.content };
  for (const [index, signerInfo] of buffered.signerInfos.entries()) {
    const one = streamed.signerInfos[index];
    if (one === undefined) throw new Error('a signerInfo is missing');
    expect(await plain(one)).toEqual(await plain(signerInfo));
    const digested = new DigestedOctets(other.content, streamed.digests);
    const report = await verifySignatureOfStream(streamed, one, digested, alice.certificate);
    const expected = verifySignature(buffered, signerInfo, buffered.content ?? content, alice.certificate);
    expect(report).toEqual(expected);
  }
  const { content: inside, digests: _, signerInfos, ...rest } = streamed;
  expect({ ...rest, signers: signerInfos.length }).toEqual({
    contentType: buffered.contentType,
    certificates: buffered.certificates,
    crls: buffered.crls,
    signers: buffered.signerInfos.length,
  });
  expect(inside === null ? null : await drain(inside)).toEqual(buffered.content);
  return 'read';
}

async function compareEncrypted(
  octets: Buffer,
  sizes: readonly number[],
  spool: CountedSpool,
): Promise<string> {
  const buffered = await outcomeOf(() => decrypt(octets, keys));
  const streamed = await outcomeOf(() => decryptStream(inChunks(octets, sizes), keys, spool));
  if (typeof streamed === 'string' || streamed.outcome !== 'opened') expect(streamed).toEqual(buffered);
  else expect({ ...streamed, content: await drain(streamed.content) }).toEqual(buffered);
  return typeof buffered === 'string' ? buffered : buffered.outcome;
}

async function compareCompressed(
  octets: Buffer,
  sizes: readonly number[],
  spool: CountedSpool,
): Promise<string> {
  const buffered = await outcomeOf(() => decompress(octets, 2_000));
  const streamed = await outcomeOf(() => decompressStream(inChunks(octets, sizes), spool, 2_000));
  if (typeof streamed === 'string' || streamed.outcome !== 'opened') expect(streamed).toEqual(buffered);
  else expect({ ...streamed, content: await drain(streamed.content) }).toEqual(buffered);
  return typeof buffered === 'string' ? buffered : buffered.outcome;
}

async function compareAll(octets: Buffer, sizes: readonly number[]): Promise<string[]> {
  const spool = new CountedSpool();
  const found = [
    await compareSigned(octets, sizes, spool),
    await compareEncrypted(octets, sizes, spool),
    await compareCompressed(octets, sizes, spool),
  ];
  const type = await outcomeOf(() => readContentInfo(octets).contentType);
  if (type !== 'cms.malformed') expect(await peekContentType(inChunks(octets, sizes))).toBe(type);
  // Whatever happened, nobody left anything behind.
  expect(spool.open).toBe(0);
  return found;
}

describe('a stream is read like a Buffer', () => {
  const chunkings = [[1], [2, 3], [7], [100, 1], [65_536]];

  it('whatever the message and its chunks', async () => {
    const found = new Set<string>();
    for (const octets of seeds) {
      for (const sizes of chunkings) for (const one of await compareAll(octets, sizes)) found.add(one);
    }
    expect([...found].sort()).toEqual(['cms.malformed', 'opened', 'read']);
  });

  it('whatever the damage', async () => {
    const edit = fc.record({
      place: fc.nat(),
      value: fc.oneof(
        fc.nat(255),
        fc.constantFrom(0x30, 0x31, 0x80, 0x81, 0xa0, 0xa1, 0xa2, 0x04, 0x24, 0, 0xff),
      ),
      kind: fc.constantFrom('replace', 'replace', 'insert', 'remove', 'cut', 'end of contents'),
    });
    const found = new Set<string>();
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.array(edit, { minLength: 1, maxLength: 3 }),
        fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 4 }),
        async (which, edits, sizes) => {
          let octets = Buffer.from(seeds[which % seeds.length] ?? content);
          for (const { place, value, kind } of edits) {
            const offset = place % Math.max(1, octets.length);
            const [head, tail] = [octets.subarray(0, offset), octets.subarray(offset)];
            if (kind === 'cut') octets = head;
            else if (kind === 'insert') octets = Buffer.concat([head, Buffer.from([value]), tail]);
            else if (kind === 'end of contents') octets = Buffer.concat([head, Buffer.alloc(2), tail]);
            else if (kind === 'remove') octets = Buffer.concat([head, tail.subarray(1)]);
            else octets = Buffer.concat([head, Buffer.from([value]), tail.subarray(1)]);
          }
          for (const one of await compareAll(octets, sizes)) found.add(one);
        },
      ),
      { numRuns: 600 },
    );
    expect([...found]).toEqual(expect.arrayContaining(['cms.malformed', 'failed', 'opened', 'read']));
  });

  it('cut off anywhere it is malformed, before any key is used', async () => {
    const spool = new CountedSpool();
    for (const octets of seeds) {
      for (let length = 0; length < octets.length; length += 31) {
        const cut = inChunks(octets.subarray(0, length), [50]);
        const malformed = { code: 'cms.malformed' };
        await expect(decryptStream(cut, refusingKeys(), spool)).rejects.toMatchObject(malformed);
        await expect(readSignedStream(cut, spool)).rejects.toMatchObject(malformed);
      }
    }
    expect(spool.open).toBe(0);
  });
});

function refusingKeys(): DecryptionKey[] {
  const never = () => Promise.reject(new Error('a key was used'));
  return keys.map((key) => ({ ...key, decryptKey: never, agree: never, decapsulate: never }));
}

function craftCompressed(compressed: Buffer): Buffer {
  const info = der.sequence(der.oid(contentTypes.data), der.explicit(0, der.octetString(compressed)));
  const zlib = algorithmIdentifier('1.2.840.113549.1.9.16.3.8');
  return contentInfo(contentTypes.compressedData, der.sequence(der.integer(0), zlib, info));
}

describe('compressed data', () => {
  it.each<[string, (compressed: Buffer) => Buffer]>([
    ['as it is', (compressed) => compressed],
    ['with something behind it', (compressed) => Buffer.concat([compressed, Buffer.from('more')])],
    ['cut off', (compressed) => compressed.subarray(0, -1)],
    ['empty', () => Buffer.alloc(0)],
    ['not compressed', () => Buffer.alloc(500, 'x')],
    ['damaged', (compressed) => Buffer.from(compressed.map((octet, i) => (i === 30 ? octet ^ 4 : octet)))],
  ])('%s comes to the same', async (_, change) => {
    const spool = new CountedSpool();
    const octets = craftCompressed(change(deflateSync(content)));
    await compareCompressed(octets, [10], spool);
    expect(spool.open).toBe(0);
  });

  it('a bomb fails at the bound, and what was unpacked is thrown away', async () => {
    const spool = new CountedSpool();
    const bomb = craftCompressed(deflateSync(Buffer.alloc(16 * 1024 * 1024)));
    const outcome = await decompressStream(inChunks(bomb), spool, 1024 * 1024);
    expect(outcome).toEqual({ outcome: 'failed' });
    expect(spool.written).toBeLessThanOrEqual(1024 * 1024);
    expect(spool.open).toBe(0);
  });
});
