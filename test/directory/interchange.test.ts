import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Item } from '../../src/directory/interchange/item.ts';
import { type FileKind, kindOfFile, readItems } from '../../src/directory/interchange/read-items.ts';
import { EXPORT_HEADS, type ExportFormat, writeItem } from '../../src/directory/interchange/write-items.ts';
import { limits } from '../../src/limits.ts';
import { writePem } from '../../src/pki/pem.ts';
import { BOB, correspondent } from './correspondent.ts';

const bob = correspondent();
const carol = correspondent({ key: 'carol', mailboxes: ['carol@partner.example'], serial: 7 });
const base64 = bob.der.toString('base64');

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'sealgate-interchange-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function read(text: string | Buffer, kind?: FileKind, size = 1 << 16): Promise<Item[]> {
  const octets = Buffer.from(text);
  const chunks = Array.from({ length: Math.ceil(octets.length / size) }, (_, i) =>
    octets.subarray(i * size, (i + 1) * size),
  );
  const found: Item[] = [];
  const as = kind ?? kindOfFile(octets);
  if (as === null) throw new Error('no kind');
  for await (const item of readItems(chunks, as)) found.push(item);
  return found;
}

const brief = (items: readonly Item[]) =>
  items.map((item) =>
    item.kind === 'certificate' ? item.certificate.fingerprint : `${item.place}: ${item.why}`,
  );

const fold = (line: string, width = 76) => line.replace(new RegExp(`(.{${width}})(?=.)`, 'g'), '$1\n ');

describe('LDIF', () => {
  const entry = (...lines: string[]) => ['version: 1', '', 'dn: cn=Bob,o=Partner', ...lines, ''].join('\n');

  test.each<[string, string]>([
    ['userCertificate;binary', entry(fold(`userCertificate;binary:: ${base64}`))],
    ['userSMIMECertificate;binary', entry(fold(`userSMIMECertificate;binary:: ${base64}`))],
    ['without the option', entry(fold(`usercertificate:: ${base64}`))],
    ['in one line', entry(`userCertificate;binary:: ${base64}`)],
    ['in lines of one character', entry(fold(`userCertificate;binary:: ${base64}`, 1))],
    ['with CRLF', entry(fold(`userCertificate;binary:: ${base64}`)).replaceAll('\n', '\r\n')],
    [
      'after a comment that is folded',
      `# a comment\n  that goes on\n${entry(`userCertificate;binary:: ${base64}`)}`,
    ],
    ['that adds entries', entry('changetype: add', `userCertificate;binary:: ${base64}`)],
    [
      'with a name in base64',
      `dn:: ${Buffer.from('cn=Bücher').toString('base64')}\nuserCertificate;binary:: ${base64}\n`,
    ],
  ])('%s', async (_, text) => {
    expect(brief(await read(text))).toEqual([bob.fingerprint]);
    for (const size of [1, 7, 64]) expect(brief(await read(text, 'ldif', size))).toEqual([bob.fingerprint]);
  });

  test('takes a certs-only PKCS #7 object with its chain', async () => {
    const files = [bob, carol].map(({ der }, i) => {
      const file = join(folder, `p7-${i}.pem`);
      writeFileSync(file, writePem('CERTIFICATE', der));
      return ['-certfile', file];
    });
    const der = execFileSync('openssl', ['crl2pkcs7', '-nocrl', '-outform', 'DER', ...files.flat()]);
    const text = entry(fold(`userSMIMECertificate;binary:: ${der.toString('base64')}`));
    expect(brief(await read(text)).sort()).toEqual([bob.fingerprint, carol.fingerprint].sort());
    expect(brief(await read(der)).sort()).toEqual([bob.fingerprint, carol.fingerprint].sort());
  });

  test.each<[string, string, RegExp]>([
    [
      'a value that a URL names',
      entry('userCertificate;binary:< file:///etc/passwd'),
      /line 4 \(cn=Bob.*not fetched/,
    ],
    ['a certificate that is no base64', entry('userCertificate;binary: abc'), /two colons/],
    ['damaged base64', entry(`userCertificate;binary:: ${base64}=A`), /base64 is damaged/],
    ['base64 with stray bits', entry('userCertificate;binary:: MAB='), /base64 is damaged/],
    ['octets that are no certificate', entry('userCertificate;binary:: MAA='), /line 4/],
    ['a change', entry('changetype: modify', 'replace: userCertificate'), /Changes of entries/],
    ['another version', 'version: 2\n\ndn: x\n', /version 1/],
    ['no colon', entry('nonsense'), /no line of LDIF/],
    ['an attribute before its entry', 'version: 1\ncn: x\n', /begins with dn/],
    ['an unknown option', entry(`userCertificate;lang-de:: ${base64}`), /lang-de/],
    ['a continuation of nothing', ' x\ndn: y\n', /no line before/],
  ])('names %s with its line', async (_, text, why) => {
    const items = await read(text, 'ldif');
    expect(items).toHaveLength(1);
    expect(brief(items)[0]).toMatch(why);
  });

  test('goes on after what it could not read', async () => {
    const text = `${entry('userCertificate;binary:: MAA=')}\ndn: cn=Carol\nuserCertificate;binary:: ${base64}\n`;
    expect(brief(await read(text)).at(-1)).toBe(bob.fingerprint);
  });

  test('bounds lines and values, and goes on', async () => {
    const long = `x: ${'a'.repeat(limits.directory.importLineOctets)}`;
    const many = `userCertificate;binary:: AAAA\n${` ${'A'.repeat(1000)}\n`.repeat(1100)}`;
    const text = entry(long, `${many}userCertificate;binary:: ${base64}`);
    expect(brief(await read(text, 'ldif'))).toEqual([
      'line 4: The line is too long.',
      'line 5 (cn=Bob,o=Partner): The value is too long.',
      bob.fingerprint,
    ]);
  });
});

describe('vCard', () => {
  const card = (...lines: string[]) => ['BEGIN:VCARD', 'FN:Bob', ...lines, 'END:VCARD', ''].join('\r\n');
  const foldCard = (line: string) => line.replace(/(.{74})(?=.)/g, '$1\r\n ');

  test.each<[string, string]>([
    ['4.0, data: URI', card('VERSION:4.0', foldCard(`KEY:data:application/pkix-cert;base64,${base64}`))],
    ['4.0, escaped', card('VERSION:4.0', `KEY:data:application/pkix-cert\\;base64\\,${base64}`)],
    [
      '4.0, percent-encoded',
      card(`KEY;VALUE=uri:data:application/pkix-cert;base64,${base64.replace(/[+]/g, '%2B')}`),
    ],
    ['4.0, with a group and a type', card(`work.KEY;TYPE=work:data:application/pkix-cert;base64,${base64}`)],
    ['3.0', card('VERSION:3.0', foldCard(`KEY;TYPE=X509;ENCODING=b:${base64}`))],
    ['2.1', card('VERSION:2.1', `KEY;X509;ENCODING=BASE64:${base64}`)],
    ['lower case', card(`key;encoding=B:${base64}`)],
  ])('%s', async (_, text) => {
    expect(brief(await read(text))).toEqual([bob.fingerprint]);
    expect(brief(await read(text, 'vcard', 5))).toEqual([bob.fingerprint]);
  });

  test.each<[string, string, RegExp]>([
    ['a key of OpenPGP', card(`KEY;TYPE=PGP;ENCODING=b:${base64}`), /line 3 \(Bob\): It is a key of OpenPGP/],
    ['a key of OpenPGP in a data: URI', card(`KEY:data:application/pgp-keys;base64,${base64}`), /OpenPGP/],
    ['an address', card('KEY:http://example.org/bob.cer'), /not fetched/],
    ['another media type', card(`KEY:data:text/plain;base64,${base64}`), /media type/],
    ['another encoding', card('KEY:data:application/pkix-cert,abc'), /not in base64/],
    ['no encoding', card('KEY:abc'), /neither a data: URI/],
    ['damaged base64', card('KEY;ENCODING=b:a-b'), /base64 is damaged/],
    ['a missing end', `BEGIN:VCARD\r\nFN:Bob\r\n`, /END line is missing/],
    ['a key outside of cards', `BEGIN:VCARD\r\nEND:VCARD\r\nKEY;ENCODING=b:${base64}\r\n`, /no vCard/],
  ])('names %s as not taken', async (_, text, why) => {
    const items = await read(text, 'vcard');
    expect(brief(items)).toEqual([expect.stringMatching(why)]);
  });
});

describe('PEM', () => {
  test('takes what is good and names what is not, each with its line', async () => {
    const text = [
      'subject=Bob',
      writePem('CERTIFICATE', bob.der),
      writePem('PRIVATE KEY', Buffer.from('not read')),
      '-----BEGIN CERTIFICATE-----\nAAA!\n-----END CERTIFICATE-----',
      writePem('CERTIFICATE', Buffer.from([0x30, 0])),
      `-----BEGIN CERTIFICATE-----\nAAAA\n${writePem('CERTIFICATE', carol.der)}-----BEGIN CERTIFICATE-----`,
    ].join('\n');
    const found = brief(await read(text));
    expect(found).toEqual([
      bob.fingerprint,
      expect.stringMatching(/^line \d+: Its base64 is damaged/),
      expect.stringMatching(/^line \d+: /),
      expect.stringMatching(/^line \d+: Its END line is missing/),
      carol.fingerprint,
      expect.stringMatching(/^line \d+: Its END line is missing/),
    ]);
  });
});

describe('what is exported', () => {
  const entries = [
    { address: BOB, certificate: bob },
    { address: 'c,a\\"r;o=l <x>@partner.example', certificate: carol },
    { address: 'bøb@xn--bcher-kva.example', certificate: bob },
  ];

  test.each<ExportFormat>(['pem', 'ldif', 'vcard'])('as %s is read again, whole', async (format) => {
    const text = EXPORT_HEADS[format] + entries.map((one) => writeItem(one, format)).join('');
    expect(brief(await read(text))).toEqual([bob.fingerprint, carol.fingerprint, bob.fingerprint]);
    if (format === 'pem') return;
    for (const line of text.split('\n')) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(76);
  });

  test('as PEM is read by OpenSSL', () => {
    const file = join(folder, 'export.pem');
    writeFileSync(file, entries.map((one) => writeItem(one, 'pem')).join(''));
    const out = execFileSync('openssl', ['crl2pkcs7', '-nocrl', '-certfile', file, '-outform', 'DER']);
    expect(out.includes(bob.der) && out.includes(carol.der)).toBe(true);
    expect(readFileSync(file, 'utf8').match(/BEGIN/g)).toHaveLength(3);
  });
});

test('no octets make a reader throw, and pieces change nothing', async () => {
  const words = [
    'dn: x\n',
    'userCertificate;binary:: ',
    ' ',
    '\r\n',
    'KEY:data:;base64,',
    'BEGIN:VCARD\r\n',
    base64,
    '-----BEGIN CERTIFICATE-----\n',
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.constantFrom(...words), fc.string()), { maxLength: 20 }),
      fc.constantFrom<FileKind>('pem', 'ldif', 'vcard', 'binary'),
      fc.integer({ min: 1, max: 40 }),
      async (parts, kind, size) => {
        const text = parts.join('');
        expect(brief(await read(text, kind, size))).toEqual(brief(await read(text, kind)));
      },
    ),
    { numRuns: 300 },
  );
});
