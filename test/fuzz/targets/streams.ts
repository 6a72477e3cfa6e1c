import { isDeepStrictEqual } from 'node:util';
import { decompress } from '../../../src/cms/compressed-data.ts';
import { decompressStream } from '../../../src/cms/compressed-data-stream.ts';
import { decrypt } from '../../../src/cms/decrypt.ts';
import { decryptStream } from '../../../src/cms/decrypt-stream.ts';
import { peekContentType } from '../../../src/cms/peek-stream.ts';
import { readSignedData, signerCandidates } from '../../../src/cms/signed-data.ts';
import { readSignedStream } from '../../../src/cms/signed-data-stream.ts';
import { DigestedOctets } from '../../../src/cms/stream-digests.ts';
import { verifySignature } from '../../../src/cms/verify.ts';
import { verifySignatureOfStream } from '../../../src/cms/verify-stream.ts';
import { SealgateError } from '../../../src/errors.ts';
import { Base64Decoder, Base64Encoder, decodeBase64, encodeBase64 } from '../../../src/mail/base64.ts';
import { CanonicalLines, canonicalLines } from '../../../src/mail/canonical.ts';
import { readEntityFrom, readRootFrom } from '../../../src/mail/entity-source.ts';
import { readMessage } from '../../../src/mail/entity-tree.ts';
import { HazardSearch, surveyHazards } from '../../../src/mail/hazards.ts';
import {
  decodeQuotedPrintable,
  encodeQuotedPrintable,
  QuotedPrintableDecoder,
  QuotedPrintableEncoder,
} from '../../../src/mail/quoted-printable.ts';
import { sevenBitSafe } from '../../../src/mail/seven-bit-safe.ts';
import { sevenBitSafeFrom } from '../../../src/mail/seven-bit-safe-source.ts';
import type { OctetTransform } from '../../../src/octets/transform.ts';
import { type MessageOpening, openMessage } from '../../../src/smime/open.ts';
import { openMessageStream } from '../../../src/smime/open-stream.ts';
import { readContentInfo } from '../../cms/support/read-content-info.ts';
import { type FuzzTarget, holds } from '../target.ts';
import { chunksOf } from './chunks.ts';
import { mailDictionary, mails } from './mail.ts';
import { Correspondents, compressed } from './messages.ts';
import { smimeDictionary, smimeMessages } from './smime.ts';
import { gathered, inPieces, WatchedSpool } from './watched-spool.ts';

/** Readers of streams, fed in pieces of any length, against those of messages in memory. */

const content = Buffer.from('Content-Type: text/plain\r\n\r\nGood morning.\r\n');

/** The answer, or the code of the SealgateError; other errors go through. */
async function outcome<T>(read: () => T | Promise<T>): Promise<{ value: T } | { code: string }> {
  try {
    return { value: await read() };
  } catch (error) {
    if (error instanceof SealgateError) return { code: error.code };
    throw error;
  }
}

async function same(whole: () => unknown, pieces: () => Promise<unknown>, what: string): Promise<unknown> {
  const [one, other] = [await outcome(whole), await outcome(pieces)];
  holds(isDeepStrictEqual(one, other), `${what}: pieces give the same`);
  return one;
}

function inPiecesBy(transform: OctetTransform, input: Buffer): Buffer {
  const out = chunksOf(input).map((chunk) => Buffer.from(transform.update(chunk)));
  return Buffer.concat([...out, transform.finish()]);
}

/** Each octet may be a chunk of its own, and a header is read again with each chunk; so the budgets are generous. */
const maxOctets = 16_384;

export const streamTargets: readonly FuzzTarget[] = [
  {
    name: 'stream-entity',
    form: 'lines',
    allowed: [],
    maxOctets,
    dictionary: mailDictionary,
    budget: { ms: 500, usPerOctet: 40 },
    prepare: () => ({
      seeds: mails,
      async run(input) {
        const tree = await same(
          () => readMessage(input).root,
          () => readEntityFrom(inPieces(input)),
          'the tree',
        );
        const root = await outcome(() => readRootFrom(inPieces(input)));
        if (typeof tree === 'object' && tree !== null && 'value' in tree && 'value' in root) {
          holds(
            isDeepStrictEqual({ ...(tree.value as object), parts: [] }, root.value),
            'the root is the same',
          );
        }
        return tree;
      },
    }),
  },
  {
    name: 'stream-encodings',
    form: 'lines',
    allowed: [],
    maxOctets,
    budget: { ms: 500, usPerOctet: 40 },
    dictionary: [
      '=',
      '=\r\n',
      '=3D',
      '= \r\n',
      ' \r\n',
      '\t',
      'From ',
      '\xfc',
      '\r',
      '\n',
      '==',
      'QQ==',
      '\0',
    ],
    prepare: () => ({
      seeds: [...mails, encodeBase64(Buffer.alloc(200, 9))],
      async run(input) {
        const rows: [string, (octets: Buffer) => Buffer, () => OctetTransform][] = [
          ['base64 encoder', encodeBase64, () => new Base64Encoder()],
          ['base64 decoder', decodeBase64, () => new Base64Decoder()],
          [
            'text encoder',
            (octets) => encodeQuotedPrintable(octets, 'text'),
            () => new QuotedPrintableEncoder('text'),
          ],
          [
            'binary encoder',
            (octets) => encodeQuotedPrintable(octets, 'binary'),
            () => new QuotedPrintableEncoder('binary'),
          ],
          ['quoted-printable decoder', decodeQuotedPrintable, () => new QuotedPrintableDecoder()],
          ['canonical lines', canonicalLines, () => new CanonicalLines()],
        ];
        const answers: unknown[] = [];
        for (const [what, whole, begin] of rows) {
          answers.push(
            await same(
              () => Buffer.from(whole(input)),
              async () => inPiecesBy(begin(), input),
              what,
            ),
          );
        }
        const search = new HazardSearch();
        for (const chunk of chunksOf(input)) search.update(chunk);
        holds(isDeepStrictEqual(search.finish(), surveyHazards(input)), 'the same hazards');
        return answers;
      },
    }),
  },
  {
    name: 'stream-seven-bit-safe',
    form: 'lines',
    allowed: [],
    maxOctets,
    budget: { ms: 500, usPerOctet: 40 },
    dictionary: mailDictionary,
    prepare: () => ({
      seeds: mails,
      run: (input) =>
        same(
          () => sevenBitSafe(input),
          async () => {
            const safe = await sevenBitSafeFrom(inPieces(input));
            const octets = await gathered(safe);
            holds(octets.length === safe.length, 'the length was told in front');
            return octets;
          },
          'the safe form',
        ),
    }),
  },
  {
    name: 'stream-signed',
    form: 'tlv',
    allowed: [],
    maxOctets,
    budget: { ms: 500, usPerOctet: 40 },
    caches: 8 * 1024 * 1024,
    prepare: async () => {
      const people = new Correspondents();
      const own = [people.alice, people.bob].map(({ certificate }) => certificate);
      return {
        seeds: await people.signed(content),
        close: () => people.remove(),
        async run(input) {
          const spool = new WatchedSpool();
          await same(
            () => readContentInfo(input).contentType,
            () => peekContentType(inPieces(input)),
            'the type of the content',
          ).catch(() => null);
          const answer = await same(
            () => {
              const read = readSignedData(input);
              const reports = read.signerInfos.slice(0, 3).map((info) => {
                const [certificate = own[0]] = signerCandidates(info, own);
                if (certificate === undefined) throw new Error('no certificate');
                return verifySignature(read, info, read.content ?? content, certificate);
              });
              return { ...withoutFunctions(read), content: read.content, reports };
            },
            async () => {
              const read = await readSignedStream(inPieces(input), spool);
              const octets = read.content === null ? null : await gathered(read.content);
              const digested = new DigestedOctets(read.content ?? inPieces(content), read.digests);
              const reports = [];
              for (const info of read.signerInfos.slice(0, 3)) {
                const [certificate = own[0]] = signerCandidates(info, own);
                if (certificate === undefined) throw new Error('no certificate');
                reports.push(await verifySignatureOfStream(read, info, digested, certificate));
              }
              await read.content?.discard();
              const { digests: _, ...rest } = read;
              return { ...withoutFunctions(rest), content: octets, reports };
            },
            'SignedData',
          );
          spool.checkLeft(0);
          return answer;
        },
      };
    },
  },
  {
    name: 'stream-decrypt',
    form: 'tlv',
    allowed: [],
    maxOctets,
    budget: { ms: 3_000, usPerOctet: 10 },
    prepare: async () => {
      const people = new Correspondents();
      const secrets = {
        sharedKeys: [{ identifier: Buffer.from('kek'), key: Buffer.alloc(16, 7) }],
        passwords: [Buffer.from('password')],
      };
      return {
        seeds: await people.encrypted(content),
        close: () => people.remove(),
        async run(input) {
          const spool = new WatchedSpool();
          const opened = await same(
            async () => {
              const found = await decrypt(input, people.keys, secrets);
              return found.outcome === 'opened' ? { ...found, content: Buffer.from(found.content) } : found;
            },
            async () => {
              const found = await decryptStream(inPieces(input), people.keys, spool, secrets);
              // Whatever failed on the way has left nothing behind.
              spool.checkLeft(found.outcome === 'opened' ? 1 : 0);
              if (found.outcome !== 'opened') return found;
              const octets = await gathered(found.content);
              await found.content.discard();
              return { ...found, content: octets };
            },
            'decryption',
          );
          spool.checkLeft(0);
          return opened;
        },
      };
    },
  },
  {
    name: 'stream-compressed',
    form: 'tlv',
    allowed: [],
    maxOctets,
    budget: { ms: 200, usPerOctet: 10 },
    prepare: () => ({
      seeds: [compressed(content), compressed(Buffer.alloc(20_000, 'abc'))],
      async run(input) {
        const spool = new WatchedSpool();
        const answer = await same(
          () => decompress(input, 100_000),
          async () => {
            const found = await decompressStream(inPieces(input), spool, 100_000);
            spool.checkLeft(found.outcome === 'opened' ? 1 : 0);
            if (found.outcome !== 'opened') return found;
            const octets = await gathered(found.content);
            await found.content.discard();
            return { ...found, content: octets };
          },
          'decompression',
        );
        spool.checkLeft(0);
        return answer;
      },
    }),
  },
  {
    name: 'stream-open',
    form: 'mail',
    allowed: [],
    maxOctets,
    budget: { ms: 1_500, usPerOctet: 60 },
    caches: 24 * 1024 * 1024,
    dictionary: smimeDictionary,
    prepare: async () => {
      const people = new Correspondents();
      const context = {
        at: new Date('2026-12-01T00:00:00Z'),
        anchors: [people.folder.authority.certificate],
        pool: [people.alice.certificate, people.bob.certificate],
      };
      return {
        seeds: await smimeMessages(people),
        close: () => people.remove(),
        async run(input) {
          const spool = new WatchedSpool();
          const { entity, ...whole } = await openMessage(input, people.keys, context);
          const opening = await openMessageStream(inPieces(input), people.keys, context, spool);
          const { entity: streamed, discard, ...pieces } = opening;
          const octets = await gathered(streamed);
          await discard();
          holds(octets.equals(entity), 'the same is shown');
          // A stream learns of a damaged transfer encoding only behind what it has understood by then.
          const isOpen = [whole, pieces].some(({ outcome }) => outcome === 'opened' || outcome === 'no-key');
          if (isOpen) holds(isDeepStrictEqual(pieces, whole), 'the same report');
          holds(isVouchedFor(whole) === isVouchedFor(pieces), 'the same trust');
          const answer = [whole, entity];
          spool.checkLeft(0);
          return answer;
        },
      };
    },
  },
];

function isVouchedFor({ report }: Pick<MessageOpening, 'report'>): boolean {
  return report.layers.some(
    (layer) => layer.kind === 'signed' && layer.signatures.some(({ signature }) => signature === 'good'),
  );
}

/** Closures are never the same. */
function withoutFunctions<
  T extends { signerInfos: readonly { signedAttributes: { list: unknown } | null }[] },
>(read: T) {
  return {
    ...read,
    signerInfos: read.signerInfos.map((info) => ({
      ...info,
      signedAttributes: info.signedAttributes?.list ?? null,
    })),
  };
}
