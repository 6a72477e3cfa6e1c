import { deflateSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { explicit, integer, octetString, oid, sequence, set } from '../../src/asn1/writer.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import { bulkCommand, plant, shownOf, strangerAt, through } from './support/mailbox.ts';
import { cmsOf, crlf, encrypted, mailOf, signed, textEntity, withCms } from './support/openssl-mail.ts';

/**
 * Mails made to crash, hang or fill the gateway: each is asked for in every way, the session goes on after it, other
 * users are served, and the process lives in bounded memory.
 */

let system: MailSystem;
const HEADER = [`From: ${addressOf('alice')}`, `To: ${addressOf('bob')}`, 'Subject: hostile'];
const MIB = 1024 * 1024;

beforeAll(async () => {
  system = await startMailSystem({ users: ['alice', 'bob'] });
});
afterAll(() => system?.stop());

const bob = () => system.user('bob').identity;
const alice = () => system.user('alice').identity;
const sealed = (entity: Buffer): Promise<Buffer> => encrypted(entity, [bob()]);

function pkcs7(cms: Buffer, smimeType = 'enveloped-data'): Buffer {
  return withCms(
    crlf(
      `Content-Type: application/pkcs7-mime; smime-type=${smimeType}; name=smime.p7m\nContent-Transfer-Encoding: base64\n\n`,
    ),
    cms,
  );
}

/** Tag and length in front, as often as asked, from the inside out. */
function nested(tag: number, depth: number): Buffer {
  const heads: Buffer[] = [];
  let length = 0;
  for (let i = 0; i < depth; i++) {
    const head = Buffer.from([tag, 0x84, 0, 0, 0, 0]);
    head.writeUInt32BE(length, 2);
    heads.push(head);
    length += head.length;
  }
  return Buffer.concat(heads.reverse());
}

function indefinite(depth: number): Buffer {
  return Buffer.concat([Buffer.alloc(depth * 2, Buffer.from('3080', 'hex')), Buffer.alloc(depth * 2)]);
}

const contentInfo = (type: string, content: Buffer): Buffer => sequence(oid(type), explicit(0, content));

/** RFC 3274: CompressedData. */
function compressed(octets: number): Buffer {
  const data = deflateSync(Buffer.alloc(octets, 'A'), { level: 9 });
  return contentInfo(
    '1.2.840.113549.1.9.16.1.9',
    sequence(
      integer(0),
      sequence(oid('1.2.840.113549.1.9.16.3.8')),
      sequence(oid('1.2.840.113549.1.7.1'), explicit(0, octetString(data))),
    ),
  );
}

/** A SignedData with its SignerInfo `times` times over. */
function repeatSigner(cms: Buffer, times: number): Buffer {
  const [, explicitContent = Buffer.alloc(0)] = childrenOf(cms);
  const [signedData = Buffer.alloc(0)] = childrenOf(explicitContent);
  const fields = childrenOf(signedData);
  const [signerInfo = Buffer.alloc(0)] = childrenOf(fields.at(-1) ?? Buffer.alloc(0));
  const signers = set(...Array.from({ length: times }, () => signerInfo));
  return contentInfo('1.2.840.113549.1.7.2', sequence(...fields.slice(0, -1), signers));
}

/** The elements inside a constructed element of definite length. */
function childrenOf(element: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = contentAt(element, 0); at < element.length; ) {
    const end = contentAt(element, at) + contentLength(element, at);
    found.push(element.subarray(at, end));
    at = end;
  }
  return found;
}

function contentAt(octets: Buffer, at: number): number {
  const first = octets[at + 1] ?? 0;
  return at + 2 + (first < 0x80 ? 0 : first & 0x7f);
}

function contentLength(octets: Buffer, at: number): number {
  const first = octets[at + 1] ?? 0;
  return first < 0x80 ? first : octets.readUIntBE(at + 2, first & 0x7f);
}

function deepMime(depth: number): Buffer {
  let text = '';
  for (let i = 0; i < depth; i++) text += `Content-Type: multipart/mixed; boundary=b${i}\n\n--b${i}\n`;
  return crlf(`${text}Content-Type: text/plain\n\ndeep\n`);
}

function deepMessages(depth: number): Buffer {
  return crlf(`${'Content-Type: message/rfc822\n\n'.repeat(depth)}Content-Type: text/plain\n\ndeep\n`);
}

const repeated = (text: string, octets: number): string => text.repeat(Math.ceil(octets / text.length));

/** Tells what a mail is made of, and how to make it. */
const ENTITIES: [string, () => Buffer | Promise<Buffer>][] = [
  ['MIME 5,000 deep', () => deepMime(5_000)],
  ['MIME 5,000 deep, encrypted', () => sealed(deepMime(5_000))],
  ['messages 5,000 deep, encrypted', () => sealed(deepMessages(5_000))],
  [
    '300,000 parts, encrypted',
    () => sealed(crlf(`Content-Type: multipart/mixed; boundary=b\n\n${'--b\n\nx\n'.repeat(300_000)}--b--\n`)),
  ],
  [
    'lines that nearly are boundaries, encrypted',
    () =>
      sealed(crlf(`Content-Type: multipart/mixed; boundary=b\n\n${repeated('--bb\n', 4 * MIB)}\n--b--\n`)),
  ],
  [
    'a header of 10 MiB inside, encrypted',
    () => sealed(crlf(`X-Long: ${'x'.repeat(10 * MIB)}\nContent-Type: text/plain\n\nhi\n`)),
  ],
  [
    '200,000 header fields inside, encrypted',
    () => sealed(crlf(`${'X: y\n'.repeat(200_000)}Content-Type: text/plain\n\nhi\n`)),
  ],
  [
    'one line of 10 MiB, encrypted',
    () => sealed(crlf(`Content-Type: text/plain\n\n${'x'.repeat(10 * MIB)}\n`)),
  ],
  [
    '10 MiB of bare LF, encrypted',
    () => sealed(Buffer.concat([crlf('Content-Type: text/plain\n\n'), Buffer.alloc(10 * MIB, '\n')])),
  ],
  [
    '10 MiB of bare CR, encrypted',
    () => sealed(Buffer.concat([crlf('Content-Type: text/plain\n\n'), Buffer.alloc(10 * MIB, '\r')])),
  ],
  [
    '10 MiB of NUL, encrypted',
    () => sealed(Buffer.concat([crlf('Content-Type: text/plain\n\n'), Buffer.alloc(10 * MIB)])),
  ],
  [
    'a Content-Type with 50,000 parameters, encrypted',
    () => sealed(crlf(`Content-Type: text/plain${repeated(';\n a=b', 300_000)}\n\nhi\n`)),
  ],
  [
    'a name in 20,000 continuations, encrypted',
    () =>
      sealed(
        crlf(
          `Content-Type: text/plain${Array.from({ length: 20_000 }, (_, i) => `;\n name*${i}=x`).join('')}\n\nhi\n`,
        ),
      ),
  ],
  [
    'comments 100,000 deep, encrypted',
    () => sealed(crlf(`Content-Type: text/plain ${'('.repeat(100_000)}\n\nhi\n`)),
  ],
  ['DER 100,000 deep', () => pkcs7(nested(0x30, 100_000))],
  ['BER of indefinite length 500,000 deep', () => pkcs7(indefinite(500_000))],
  ['a million empty elements', () => pkcs7(sequence(Buffer.alloc(2 * MIB, Buffer.from('0500', 'hex'))))],
  [
    'an encrypted content of a million pieces',
    async () => {
      const cms = cmsOf(await sealed(textEntity('hi')));
      const pieces = Buffer.alloc(3 * MIB, Buffer.from('040178', 'hex'));
      return pkcs7(
        Buffer.concat([cms.subarray(0, -40), Buffer.from('a080', 'hex'), pieces, Buffer.alloc(8)]),
      );
    },
  ],
  [
    'an object identifier of 1 MiB',
    () =>
      pkcs7(
        sequence(
          Buffer.concat([Buffer.from('06840010000081', 'hex').subarray(0, 6), Buffer.alloc(MIB, 0x81)]),
        ),
      ),
  ],
  ['a length of 4 GiB', () => pkcs7(Buffer.from('3084ffffffff06092a864886f70d010703', 'hex'))],
  ['compressed data of 500 MiB', () => pkcs7(compressed(500 * MIB), 'compressed-data')],
  ['compressed data of 500 MiB, called encrypted', () => pkcs7(compressed(500 * MIB))],
  ['compressed data of 500 MiB, encrypted', () => sealed(pkcs7(compressed(500 * MIB), 'compressed-data'))],
  [
    '3,000 recipients, all of them bob, with a wrong key each',
    async () => {
      const entity = await encrypted(
        textEntity('hi'),
        Array.from({ length: 3_000 }, () => bob()),
      );
      // Everything behind the middle of the CMS is shifted: most of its recipients no longer fit.
      const cms = cmsOf(entity);
      for (let at = 300; at < cms.length - 200; at += 97) cms[at] = (cms[at] ?? 0) ^ 1;
      return withCms(entity, cms);
    },
  ],
  [
    '3,000 recipients',
    () =>
      encrypted(
        textEntity('hi'),
        Array.from({ length: 3_000 }, () => alice()),
      ),
  ],
  [
    '3,000 signers',
    async () => {
      const cms = cmsOf(await signed(textEntity('hi'), alice(), { form: 'opaque' }));
      // The only SignerInfo is what stands behind the issuer's certificate: it is repeated, lengths and all.
      return pkcs7(repeatSigner(cms, 3_000), 'signed-data');
    },
  ],
  [
    'dates that are none, in the signature and in its certificate',
    async () => {
      const entity = await signed(textEntity('hi'), alice(), { form: 'opaque' });
      const text = cmsOf(entity).toString('latin1');
      return withCms(entity, Buffer.from(text.replace(/[0-9]{12}Z/g, '99991399\xff9\x009Z'), 'latin1'));
    },
  ],
  [
    'encrypted 12 times over',
    async () => {
      let entity = textEntity('hi');
      for (let i = 0; i < 12; i++) entity = await sealed(entity);
      return entity;
    },
  ],
  [
    'a body that is no Base64',
    () =>
      crlf(
        `Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\n${repeated('=*=', MIB)}`,
      ),
  ],
  [
    'an empty body',
    () => crlf('Content-Type: application/pkcs7-mime\nContent-Transfer-Encoding: base64\n\n'),
  ],
  ['no body at all', () => crlf('Content-Type: application/pkcs7-mime; smime-type=enveloped-data\n')],
];

const ITEMS = [
  'BODY.PEEK[]',
  'BODYSTRUCTURE',
  'BODY.PEEK[HEADER]',
  'BODY.PEEK[1]',
  'BODY.PEEK[1.1.1.1]',
  'BODY.PEEK[]<100.1000>',
];

/** Asks for the message in every way, whole answers only; then the session must still work. */
async function survives(mail: Buffer): Promise<void> {
  const uid = await plant(system, 'bob', mail);
  for (const item of ITEMS) {
    const client = await through(system, 'bob');
    await client.command('EXAMINE INBOX');
    const { end } = await bulkCommand(client, `UID FETCH ${uid} (${item})`);
    expect([item, end]).toEqual([item, expect.stringMatching(/^b1 (?:OK|NO) /)]);
    expect(await client.command('NOOP')).toMatch(/c3 OK/);
    client.close();
  }
}

describe('a mail is answered, and the gateway lives on', () => {
  it.each(ENTITIES)('%s', async (_, make) => {
    await survives(mailOf(HEADER, await make()));
    expect(system.events.filter((event) => event.event === 'gateway.defect')).toEqual([]);
  });

  it.each<[string, string[]]>([
    ['10 MiB in one field', [`X-Long: ${'x'.repeat(10 * MIB)}`]],
    ['10 MiB of fields', [repeated('X-Many: abc\n', 10 * MIB).trimEnd()]],
    ['a From of 200 KB of comments', [`From: ${'('.repeat(100_000)}${')'.repeat(100_000)} a@b.test`]],
    ['a From of 100,000 addresses', [`From: ${repeated('a@b.test, ', 1_000_000)}c@d.test`]],
    ['200,000 Received', [repeated('Received: x\n', 2_400_000).trimEnd()]],
  ])('a header of %s before encrypted mail', async (_, fields) => {
    await survives(mailOf([...HEADER, ...fields], await sealed(textEntity('hi'))));
    expect(system.events.filter((event) => event.event === 'gateway.defect')).toEqual([]);
  });
});

describe('afterwards', () => {
  it('others are served, and memory is bounded', async () => {
    const mail = mailOf(HEADER, await encrypted(textEntity('still here'), [alice()]));
    expect((await shownOf(system, 'alice', mail)).octets).toContain('still here');
    // The tests' own copies of all these mails are in it as well.
    expect(process.memoryUsage().rss).toBeLessThan(2_000 * MIB);
  });

  it('a stranger who sends no login but 70,000 octets, or none at all, is closed without harm', async () => {
    const client = await strangerAt(system);
    client.send(`a LOGIN ${'x'.repeat(70_000)}`);
    expect(await client.rest()).toMatch(/BYE/);
  });
});
