import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readMessage } from '../../src/mail/entity-tree.ts';
import { decodeBody, encodeBase64 } from '../../src/mail/transfer-encoding.ts';
import { encryptMessage } from '../../src/smime/encrypt.ts';
import { openMessage } from '../../src/smime/open.ts';
import { signMessage } from '../../src/smime/sign.ts';
import { crlf, isVouchedFor, People, signaturesOf } from './support/people.ts';

let people: People;
let clear: Buffer;
let opaque: Buffer;
let encrypted: Buffer;

beforeAll(async () => {
  people = new People();
  const message = crlf(
    'From: alice@example.org\nContent-Type: text/plain\n\nHello, this is what is signed.\n',
  );
  const signer = people.signer('alice', 'P-256');
  clear = await signMessage(message, signer, { form: 'clear', at: new Date(), boundary: 'bb' });
  opaque = await signMessage(message, signer, { form: 'opaque', at: new Date() });
  encrypted = await encryptMessage(clear, [people.identity('bob', 'P-256')], 'aes128-gcm');
});
afterAll(() => people.remove());

type Damage = { at: number; remove: number; insert: Uint8Array };

const damage: fc.Arbitrary<Damage> = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  remove: fc.integer({ min: 0, max: 20 }),
  insert: fc.oneof(
    fc.uint8Array({ maxLength: 8 }),
    fc
      .constantFrom('--bb\r\n', '--bb--\r\n', '\r\n', '\n', '\r', 'From: x@y.test\r\n', '=', ' ')
      .map((text) => Buffer.from(text)),
  ),
});

function apply(octets: Buffer, { at, remove, insert }: Damage): Buffer {
  const from = Math.floor(at * octets.length);
  return Buffer.concat([octets.subarray(0, from), insert, octets.subarray(from + remove)]);
}

/** The signed octets that a mail client would show, by the plainest of readers. */
function signedText(octets: Buffer): string {
  return octets.toString('latin1').replaceAll('\r\n', '\n').split('\n--bb\n')[1] ?? '';
}

it('reports no signature good over octets that were not signed', async () => {
  const original = signedText(clear).trim();
  await fc.assert(
    fc.asyncProperty(damage, async (change) => {
      const octets = apply(clear, change);
      const opening = await people.open(octets);
      expect(opening.entity).toBe(octets);
      if (signaturesOf(opening).some(({ signature }) => signature === 'good')) {
        const { root } = readMessage(octets);
        const [content] = root.parts;
        const signed =
          content === undefined ? '' : octets.toString('latin1', content.range.start, content.range.end);
        expect(signed.replaceAll('\r\n', '\n').trim()).toBe(original);
        expect(signedText(octets).trim()).toBe(original);
      }
    }),
    { numRuns: 400 },
  );
});

it('gives out nothing but the signed content of an opaque signature that is good', async () => {
  const { entity } = await people.open(opaque);
  await fc.assert(
    fc.asyncProperty(damage, async (change) => {
      const { octets, root } = readMessage(opaque);
      const cms = apply(Buffer.from(decodeBody(octets, root)), change);
      const opening = await people.open(
        Buffer.concat([octets.subarray(0, root.body.start), encodeBase64(cms)]),
      );
      if (isVouchedFor(opening)) expect(opening.entity.toString('latin1')).toBe(entity.toString('latin1'));
    }),
    { numRuns: 400 },
  );
});

it('opens authenticated encryption whole or not at all', async () => {
  const key = people.key('bob', 'P-256');
  const { entity } = await people.open(encrypted, [key]);
  await fc.assert(
    fc.asyncProperty(damage, async (change) => {
      const { octets, root } = readMessage(encrypted);
      const cms = apply(Buffer.from(decodeBody(octets, root)), change);
      const message = Buffer.concat([octets.subarray(0, root.body.start), encodeBase64(cms)]);
      const opening = await people.open(message, [key]);
      if (opening.outcome === 'opened') expect(opening.entity.equals(entity)).toBe(true);
      else expect(opening.entity).toBe(message);
    }),
    { numRuns: 300 },
  );
});

it('answers whatever octets come', async () => {
  const piece = fc.constantFrom(
    'Content-Type: application/pkcs7-mime\r\n',
    'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=bb\r\n',
    'Content-Type: application/pkcs7-signature\r\n',
    'Content-Transfer-Encoding: base64\r\n',
    'From: alice@example.org\r\n',
    '--bb\r\n',
    '--bb--\r\n',
    '\r\n',
    'MIAGCSqGSIb3DQEHAqCAMIACAQExADCABgkqhkiG9w0BBwEAADEAAAAAAAAA\r\n',
    '0\x80\x06\x09',
  );
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.array(piece, { maxLength: 15 }).map((all) => all.join('')),
        fc.string(),
      ),
      async (text) => {
        const octets = Buffer.from(text, 'latin1');
        const opening = await openMessage(octets, [people.key('bob', 'P-256')], {
          at: new Date(),
          anchors: [],
          pool: [],
        });
        expect(isVouchedFor(opening)).toBe(false);
        expect(['as-is', 'opened', 'no-key', 'failed']).toContain(opening.outcome);
      },
    ),
    { numRuns: 1_000 },
  );
});
