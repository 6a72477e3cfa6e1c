import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as der from '../../src/asn1/writer.ts';
import { contentInfo } from '../../src/cms/content-info.ts';
import { contentTypes } from '../../src/cms/oids.ts';
import { SealgateError } from '../../src/errors.ts';
import { encodeBase64 } from '../../src/mail/base64.ts';
import { encryptedSpool } from '../../src/octets/encrypted-spool.ts';
import { encryptMessage } from '../../src/smime/encrypt.ts';
import { openMessage } from '../../src/smime/open.ts';
import { openMessageStream } from '../../src/smime/open-stream.ts';
import { signMessage } from '../../src/smime/sign.ts';
import { collect, inChunks } from '../mail/support/streams.ts';
import { crlf, People } from './support/people.ts';

/** A message in memory and the same as a stream lead to the same outcome, the same report and the same octets. */

let people: People;
beforeAll(() => {
  people = new People();
});
afterAll(() => people.remove());

/** After the certificates are made, whenever that is. */
const AT = new Date(Date.now() + 60_000);
const RUNS = Number(process.env.SEALGATE_RUNS ?? 250);
const OUTSIDE = 'From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: Hello\r\n';

const INNERMOST: readonly Buffer[] = [
  'Content-Type: text/plain\n\nHello\n',
  'Content-Type: text/plain; hp="clear"\nFrom: Alice <alice@example.org>\nSubject: Inside\n\nHello\n',
  'Content-Type: text/plain; hp="cipher"; hp-legacy-display="1"\nHP-Outer: Subject: Hello\nFrom: mallory@example.org\nSubject: Inside\n\nSubject: Inside\n\nHello\n',
  'Content-Type: message/rfc822\n\nFrom: alice@example.org\nSubject: Wrapped\nContent-Type: text/plain\n\nHello\n',
  'Content-Type: message/rfc822; forwarded=no\n\nFrom: mallory@example.org\nSubject: Wrapped\n\nHello\n',
  'Content-Type: multipart/mixed; boundary=b\n\n--b\n\nOne\n--b\nContent-Type: text/html\n\n<p>Two</p>\n--b--\n',
  'Content-Type: application/octet-stream; name=x.p7m\nContent-Transfer-Encoding: base64\n\nAAAA\n',
].map(crlf);

const LAYERS = ['clear', 'opaque', 'cbc', 'gcm', 'compressed', 'compressed-more'] as const;
type LayerName = (typeof LAYERS)[number];

const PIECES = [
  ...[
    '\r\n',
    '\n',
    '\r',
    '=',
    '=\r\n',
    '-',
    '--',
    '\0',
    ' ',
    '\xff',
    'AAAA',
    'From: mallory@example.org\r\n',
  ],
  ...['Content-Type: text/plain\r\n', 'Content-Transfer-Encoding: x\r\n', '\x30\x80', '\0\0', '\x24\x80'],
  ...['Content-Transfer-Encoding: base64\r\n', 'Content-Transfer-Encoding: quoted-printable\r\n', 'a=20b'],
];

type Change =
  | { kind: 'octet'; at: number; value: number }
  | { kind: 'insert'; at: number; piece: string }
  | { kind: 'remove'; at: number; octets: number }
  | { kind: 'repeat'; at: number; octets: number }
  | { kind: 'cut'; at: number };

const change: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ kind: fc.constant('octet' as const), at: fc.nat(), value: fc.nat(255) }),
  fc.record({ kind: fc.constant('insert' as const), at: fc.nat(), piece: fc.constantFrom(...PIECES) }),
  fc.record({ kind: fc.constant('remove' as const), at: fc.nat(), octets: fc.nat(80) }),
  fc.record({ kind: fc.constant('repeat' as const), at: fc.nat(), octets: fc.nat(80) }),
  fc.record({ kind: fc.constant('cut' as const), at: fc.nat() }),
);

function changed(octets: Buffer, change: Change): Buffer {
  const at = octets.length === 0 ? 0 : change.at % octets.length;
  const [before, after] = [octets.subarray(0, at), octets.subarray(at)];
  switch (change.kind) {
    case 'octet':
      return Buffer.concat([before, Buffer.of(change.value), after.subarray(1)]);
    case 'insert':
      return Buffer.concat([before, Buffer.from(change.piece, 'latin1'), after]);
    case 'remove':
      return Buffer.concat([before, after.subarray(change.octets)]);
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, change.octets), after]);
    case 'cut':
      return before;
  }
}

/** Changes go into the CMS object, or into the entity that carries it: `none` of them, or some. */
type Wrapping = { layer: LayerName; inCms: readonly Change[]; inEntity: readonly Change[] };

const changes = fc.oneof(
  { weight: 3, arbitrary: fc.constant<readonly Change[]>([]) },
  { weight: 2, arbitrary: fc.array(change, { minLength: 1, maxLength: 2 }) },
);
const wrappings = fc.array(
  fc.record({ layer: fc.constantFrom(...LAYERS), inCms: changes, inEntity: changes }),
  { minLength: 1, maxLength: 3 },
);

const PKCS7 =
  'Content-Type: application/pkcs7-mime; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n';

async function wrapped(entity: Buffer, { layer, inCms, inEntity }: Wrapping): Promise<Buffer> {
  const whole = await around(entity, layer);
  const start = whole.indexOf('\r\n\r\n') + 4;
  const damaged =
    layer === 'clear' || inCms.length === 0
      ? whole
      : Buffer.concat([
          whole.subarray(0, start),
          encodeBase64(inCms.reduce(changed, Buffer.from(whole.toString('latin1', start), 'base64'))),
        ]);
  return inEntity.reduce(changed, damaged);
}

async function around(entity: Buffer, layer: LayerName): Promise<Buffer> {
  const bob = [people.identity('bob')];
  switch (layer) {
    case 'clear':
    case 'opaque':
      return signMessage(entity, people.signer('alice'), {
        form: layer,
        at: AT,
        boundary: `s${entity.length}`,
      });
    case 'cbc':
    case 'gcm':
      return encryptMessage(entity, bob, `aes256-${layer}`);
    case 'compressed':
      return Buffer.concat([Buffer.from(PKCS7), encodeBase64(compressed(deflateSync(entity)))]);
    case 'compressed-more': {
      const more = Buffer.concat([deflateSync(entity), Buffer.from('what follows it')]);
      return Buffer.concat([Buffer.from(PKCS7), encodeBase64(compressed(more))]);
    }
  }
}

/** RFC 3274. */
function compressed(octets: Buffer): Buffer {
  const data = der.sequence(der.oid(contentTypes.data), der.explicit(0, der.octetString(octets)));
  const algorithm = der.sequence(der.oid('1.2.840.113549.1.9.16.3.8'));
  return contentInfo(contentTypes.compressedData, der.sequence(der.integer(0), algorithm, data));
}

const sizes = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 4 });

describe('a message in memory and as a stream', () => {
  it('are one and the same, whatever its layers and wherever any of them was changed', async () => {
    const seen = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...INNERMOST),
        wrappings,
        sizes,
        fc.boolean(),
        async (inside, layers, chunks, asLf) => {
          let octets: Buffer = inside;
          try {
            for (const layer of layers) octets = await wrapped(octets, layer);
          } catch (error) {
            // What was changed can no longer be wrapped.
            expect(error).toBeInstanceOf(SealgateError);
            return;
          }
          octets = Buffer.concat([Buffer.from(OUTSIDE), octets]);
          if (asLf) octets = Buffer.from(octets.toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
          const outcome = await openBoth(octets, chunks);
          seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
        },
      ),
      { numRuns: RUNS },
    );
    // A property over messages of one kind would say little.
    expect([...seen.keys()].sort()).toEqual(expect.arrayContaining(['as-is', 'failed', 'opened']));
  });

  it('are damaged alike where the transfer encoding is damaged behind what can be told before', async () => {
    const inside = INNERMOST[0] ?? Buffer.alloc(0);
    const unknown = contentInfo('1.2.3.4', der.sequence(der.octetString(inside)));
    const broken = contentInfo(contentTypes.envelopedData, der.sequence(der.octetString(inside)));
    for (const cms of [unknown, broken]) {
      const octets = Buffer.concat([Buffer.from(OUTSIDE + PKCS7), encodeBase64(cms), Buffer.from('=?!')]);
      expect(await openBoth(octets, [50])).toBe('failed');
    }
  });
});

async function openBoth(octets: Buffer, chunks: readonly number[]): Promise<string> {
  const context = { at: new Date(), anchors: [people.folder.authority.certificate], pool: [] };
  const keys = [people.key('bob')];
  const { entity: inMemory, ...whole } = await openMessage(octets, keys, context);
  const spool = encryptedSpool({ memoryOctets: 1000 });
  const { entity, discard, ...streamed } = await openMessageStream(
    inChunks(octets, chunks),
    keys,
    context,
    spool,
  );
  const read = await collect(entity.read());
  expect(entity.length).toBe(read.length);
  await discard();
  expect({ ...streamed, entity: read.toString('latin1') }).toEqual({
    ...whole,
    entity: inMemory.toString('latin1'),
  });
  return whole.outcome;
}
