import { deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as der from '../../src/asn1/writer.ts';
import { contentInfo } from '../../src/cms/content-info.ts';
import type { DecryptionKey } from '../../src/cms/keys.ts';
import { contentTypes } from '../../src/cms/oids.ts';
import { SealgateError } from '../../src/errors.ts';
import { encodeBase64 } from '../../src/mail/base64.ts';
import { readMessage } from '../../src/mail/entity-tree.ts';
import type { HeaderProtection } from '../../src/mail/header-protection.ts';
import { decodeBody } from '../../src/mail/transfer-encoding.ts';
import { encryptedSpool } from '../../src/octets/encrypted-spool.ts';
import type { OctetSource } from '../../src/octets/source.ts';
import { encryptMessage } from '../../src/smime/encrypt.ts';
import { encryptMessageStream } from '../../src/smime/encrypt-stream.ts';
import type { MessageOpening } from '../../src/smime/open.ts';
import { openMessageStream } from '../../src/smime/open-stream.ts';
import { signMessage } from '../../src/smime/sign.ts';
import { signMessageStream } from '../../src/smime/sign-stream.ts';
import { collect, inChunks, mailOctets } from '../mail/support/streams.ts';
import { crlf, People } from './support/people.ts';

/** Messages of any size are handled as messages in memory are: the same octets, the same report. */

let people: People;
beforeAll(() => {
  people = new People();
});
afterAll(() => people.remove());

/** After the certificates are made, whenever that is. */
const AT = new Date(Date.now() + 60_000);
const sizes = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 4 });
const HEADER = 'From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: Hello\r\n';
const mails = fc
  .tuple(fc.constantFrom(HEADER, HEADER, ''), mailOctets)
  .map(([header, octets]) => Buffer.concat([Buffer.from(header), octets]));

const PROTECTIONS: readonly (HeaderProtection | null)[] = [null, { kind: 'clear' }];

async function outcomeOf(run: () => Promise<Buffer>): Promise<string> {
  try {
    return (await run()).toString('latin1');
  } catch (error) {
    if (error instanceof SealgateError) return error.code;
    throw error;
  }
}

/** Opens in memory and as a stream; both have to say the same. */
async function openBoth(
  octets: Buffer,
  keys: readonly DecryptionKey[] = [],
  chunks: readonly number[] = [65_536],
): Promise<MessageOpening> {
  const { certificate } = people.folder.authority;
  const context = { at: new Date(), anchors: [certificate], pool: [] };
  const whole = await people.open(octets, keys, context.at);
  const spool = encryptedSpool({ memoryOctets: 1_000_000 });
  const { entity, discard, ...streamed } = await openMessageStream(
    inChunks(octets, chunks),
    keys,
    context,
    spool,
  );
  expect({ ...streamed, entity: (await collect(entity.read())).toString('latin1') }).toEqual({
    ...whole,
    entity: whole.entity.toString('latin1'),
  });
  expect(entity.length).toBe(whole.entity.length);
  await discard();
  return whole;
}

describe('signing', () => {
  it('makes the same octets as in memory, each time, whatever the message and its chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        mails,
        sizes,
        fc.constantFrom('clear' as const, 'opaque' as const),
        fc.constantFrom('rsa' as const, 'ed25519' as const),
        fc.constantFrom(...PROTECTIONS),
        async (octets, chunks, form, kind, headerProtection) => {
          const signer = people.signer('alice', kind);
          const options = { form, at: AT, boundary: 'fixed', headerProtection };
          let source: OctetSource | null = null;
          const streamed = await outcomeOf(async () => {
            source = await signMessageStream(inChunks(octets, chunks), signer, options);
            return collect(source.read());
          });
          expect(streamed).toBe(await outcomeOf(() => signMessage(octets, signer, options)));
          if (source !== null) {
            const again: OctetSource = source;
            expect(again.length).toBe(streamed.length);
            expect((await collect(again.read(10, 200))).toString('latin1')).toBe(streamed.slice(10, 200));
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('encrypting', () => {
  it('says how long the message is, encrypts what memory would and opens the same', async () => {
    await fc.assert(
      fc.asyncProperty(
        mails,
        sizes,
        fc.constantFrom('aes256-cbc' as const, 'aes256-gcm' as const),
        fc.constantFrom<HeaderProtection | null>(null, { kind: 'cipher', confidentiality: 'baseline' }),
        async (octets, chunks, algorithm, headerProtection) => {
          const recipients = [people.identity('bob')];
          const options = { headerProtection };
          const whole = await outcomeOf(() => encryptMessage(octets, recipients, algorithm, options));
          let length = -1;
          const streamed = await outcomeOf(async () => {
            const message = await encryptMessageStream(
              inChunks(octets, chunks),
              recipients,
              algorithm,
              options,
            );
            length = message.length;
            return collect(message.octets);
          });
          expect(streamed.length).toBe(whole.length);
          if (length === -1) {
            expect(streamed).toBe(whole);
            return;
          }
          expect(length).toBe(streamed.length);
          const keys = [people.key('bob')];
          const one = await openBoth(Buffer.from(streamed, 'latin1'), keys, chunks);
          const other = await people.open(Buffer.from(whole, 'latin1'), keys);
          expect(one.entity.toString('latin1')).toBe(other.entity.toString('latin1'));
          expect(one.outcome).toBe('opened');
        },
      ),
      { numRuns: 100 },
    );
  });

  it('signs and encrypts without a place for plaintext in between', async () => {
    const octets = crlf(`${HEADER}Content-Type: text/plain; charset=utf-8\n\nGrüße\n`);
    const signed = await signMessageStream(inChunks(octets, [9]), people.signer('alice'), {
      form: 'clear',
      at: AT,
    });
    const { octets: stream } = await encryptMessageStream(signed, [people.identity('bob')], 'aes256-gcm');
    const opening = await openBoth(await collect(stream), [people.key('bob')]);
    expect(opening.report.layers.map(({ kind }) => kind)).toEqual(['encrypted', 'signed']);
    expect(opening.outcome).toBe('opened');
  });
});

describe('opening', () => {
  it('gives the same report and entity for signed mail that was changed anywhere, and for any other', async () => {
    await fc.assert(
      fc.asyncProperty(
        mails,
        sizes,
        fc.constantFrom('clear' as const, 'opaque' as const, 'none' as const),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 }),
        fc.boolean(),
        async (mail, chunks, form, changes, asLf) => {
          let octets: Buffer = mail;
          try {
            if (form !== 'none') octets = await signMessage(mail, people.signer('alice'), { form, at: AT });
          } catch (error) {
            expect(error).toBeInstanceOf(SealgateError);
            return;
          }
          if (asLf) octets = Buffer.from(octets.toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
          octets = Buffer.concat([octets]);
          for (const [at, octet] of changes) octets[at % octets.length] = octet;
          await openBoth(octets, [], chunks);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('says the same of layers that were damaged or cut off anywhere', async () => {
    const mail = crlf(`${HEADER}Content-Type: text/plain\n\nHello\n`);
    const signed = await signMessage(mail, people.signer('alice'), { form: 'opaque', at: AT });
    const bob = [people.identity('bob')];
    const layered = {
      cbc: await encryptMessage(mail, bob, 'aes256-cbc'),
      gcm: await encryptMessage(signed, bob, 'aes256-gcm'),
      signed,
      compressed: compressed(mail),
    };
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...Object.values(layered)),
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 }),
        fc.option(fc.nat()),
        sizes,
        async (whole, changes, cut, chunks) => {
          const message = readMessage(whole);
          const start = message.root.body.start;
          const cms = Buffer.concat([decodeBody(whole, message.root)]);
          for (const [at, octet] of changes) cms[at % cms.length] = octet;
          const kept = cut === null ? cms : cms.subarray(0, cut % cms.length);
          const damaged = Buffer.concat([whole.subarray(0, start), encodeBase64(kept)]);
          await openBoth(damaged, [people.key('bob')], chunks);
        },
      ),
      { numRuns: 400 },
    );
  });

  it('says the same of a header that is protected in a signature, an encryption or both', async () => {
    const mail = crlf(
      `${HEADER}Content-Type: multipart/alternative; boundary=b\n\n--b\n\nHello\n--b\nContent-Type: text/html\n\n<p>Hello</p>\n--b--\n`,
    );
    const cipher = { kind: 'cipher', confidentiality: 'baseline' } as const;
    const alice = people.signer('alice');
    const bob = [people.identity('bob')];
    for (const form of ['clear', 'opaque'] as const) {
      const options = { form, at: AT, boundary: 'x' };
      const clear = await signMessage(mail, alice, { ...options, headerProtection: { kind: 'clear' } });
      const hidden = await signMessage(mail, alice, { ...options, headerProtection: cipher });
      for (const octets of [clear, await encryptMessage(hidden, bob, 'aes256-gcm')]) {
        const opening = await openBoth(octets, [people.key('bob')], [333]);
        expect(opening.report.headerProtection).toMatchObject({ scheme: 'rfc9788', signed: true });
      }
    }
    const alone = await encryptMessage(mail, bob, 'aes256-cbc', { headerProtection: cipher });
    const opening = await openBoth(alone, [people.key('bob')]);
    expect(opening.header?.toString()).toContain('Subject: Hello');
    expect(opening.entity.toString()).not.toContain('Subject: Hello');
  });
});

/** RFC 3274 in a mail. */
function compressed(entity: Buffer): Buffer {
  const data = der.sequence(
    der.oid(contentTypes.data),
    der.explicit(0, der.octetString(deflateSync(entity))),
  );
  const algorithm = der.sequence(der.oid('1.2.840.113549.1.9.16.3.8'));
  const cms = contentInfo(contentTypes.compressedData, der.sequence(der.integer(0), algorithm, data));
  const header = 'Content-Type: application/pkcs7-mime; smime-type=compressed-data\r\n';
  return Buffer.concat([
    Buffer.from(`${HEADER}${header}Content-Transfer-Encoding: base64\r\n\r\n`),
    encodeBase64(cms),
  ]);
}
