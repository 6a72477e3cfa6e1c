import fc from 'fast-check';
import { simpleParser } from 'mailparser';
import { expect, test } from 'vitest';
import { canonicalEntity } from '../../src/mail-view/canonical-entity.ts';
import { CleanLineCheck, cleanLines } from '../../src/mail-view/clean-lines.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { collect } from '../../src/octets/collect.ts';
import { encryptedSpool } from '../../src/octets/encrypted-spool.ts';
import type { OctetSource } from '../../src/octets/source.ts';
import { inPieces } from './support/pieces.ts';

const FORBIDDEN = Buffer.from('--forbidden');

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

async function canonical(content: Buffer | OctetSource): Promise<Buffer> {
  const source = Buffer.isBuffer(content) ? bufferSource(content) : content;
  const { octets, discard } = await canonicalEntity(source, FORBIDDEN, encryptedSpool());
  const result = await collect(octets.read());
  await discard();
  return result;
}

function clean(octets: Buffer): Promise<boolean> {
  return isClean(bufferSource(octets));
}

async function isClean(octets: OctetSource): Promise<boolean> {
  const lines = new CleanLineCheck();
  for await (const chunk of octets.read()) lines.update(chunk);
  return lines.finish();
}

test('clean content is not touched', async () => {
  const entity = bufferSource(latin1('Content-Type: text/plain\r\n\r\nHello\r\n'));
  expect((await canonicalEntity(entity, FORBIDDEN, encryptedSpool())).octets).toBe(entity);
});

test('LF-only content gets CRLF line ends', async () => {
  expect((await canonical(latin1('Content-Type: text/plain\n\na\nb\n'))).toString()).toBe(
    'Content-Type: text/plain\r\n\r\na\r\nb\r\n',
  );
});

test('a binary leaf becomes base64 and keeps its octets; its neighbours stay', async () => {
  const binary = Buffer.from(Array.from({ length: 2_000 }, (_, i) => (i * 7) % 256));
  const entity = Buffer.concat([
    latin1('Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n'),
    latin1('Content-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: binary\r\n\r\n'),
    binary,
    latin1('\r\n--b--\r\n'),
  ]);
  const result = await canonical(entity);
  expect(await clean(result)).toBe(true);
  const mail = await simpleParser(result);
  expect(mail.attachments[0]?.content.equals(binary)).toBe(true);
  expect(mail.text?.trim()).toBe('text');
});

test('text with NUL or an over-long line becomes base64', async () => {
  for (const body of ['a\0b', 'x'.repeat(2_000)]) {
    const result = await canonical(
      latin1(`Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${body}`),
    );
    expect(await clean(result)).toBe(true);
    expect((await simpleParser(result)).text?.trim().replace('\ufffd', '\0')).toBe(body);
  }
});

test('content without a header is an attachment', async () => {
  const garbage = Buffer.from([0x80, 0x00, 0x0a, 0x0d, 0xff]);
  const mail = await simpleParser(await canonical(garbage));
  expect(mail.attachments[0]?.content.equals(garbage)).toBe(true);
});

test('RFC 8551 §3.1: a wrapped message is unwrapped', async () => {
  const entity = latin1(
    'Content-Type: message/rfc822\r\n\r\nSubject: in\r\nContent-Type: text/plain\r\n\r\nHi\r\n',
  );
  expect((await canonical(entity)).toString()).toBe('Subject: in\r\nContent-Type: text/plain\r\n\r\nHi\r\n');
});

test('line ends', async () => {
  expect(cleanLines(latin1('a\nb\rc\r\nd\0')).toString('latin1')).toBe('a\r\nb\r\nc\r\nd ');
  expect(await clean(latin1(`${'x'.repeat(998)}\r\n`))).toBe(true);
  expect(await clean(latin1(`${'x'.repeat(999)}\r\n`))).toBe(false);
  expect(await clean(latin1('a\r\nb\n'))).toBe(false);
  expect(await clean(latin1('a\rb\r\n'))).toBe(false);
});

test('octets that must not be in it are found, also in what was made anew', async () => {
  for (const text of ['x\r\n--forbidden\r\n', 'x\n--forbidden\n', 'x\r\n']) {
    const content = latin1(`Content-Type: text/plain\r\n\r\n${text}`);
    for (const source of [bufferSource(content), inPieces(content, 3)]) {
      const found = await canonicalEntity(source, FORBIDDEN, encryptedSpool());
      expect(found.holdsForbidden).toBe(text.includes('forbidden'));
    }
  }
});

test('parts nested as deep as is read at all leave no room for the shell', async () => {
  const nested = (depth: number): string =>
    depth === 0
      ? 'Content-Type: text/plain\r\n\r\nHi\r\n'
      : `Content-Type: multipart/mixed; boundary=b${depth}x\r\n\r\n--b${depth}x\r\n${nested(depth - 1)}\r\n--b${depth}x--\r\n`;
  await expect(canonical(latin1(nested(99)))).resolves.toBeDefined();
  await expect(canonical(latin1(nested(100)))).rejects.toMatchObject({ code: 'mail.too-complex' });
});

const PIECES = [
  ...[
    '\r\n',
    '\n',
    '\r',
    '\0',
    'a',
    ' ',
    ':',
    'b',
    '--b',
    '--b--',
    '\r\n--b\r\n',
    '\r\n--b--\r\n',
    '--forbidden',
  ],
  ...['Content-Type: text/plain\r\n', 'Content-Type: multipart/mixed; boundary=b\r\n', 'x'.repeat(600)],
  ...[
    'Content-Type: message/rfc822\r\n',
    'Content-Type: image/png\r\n',
    'Content-Transfer-Encoding: binary\r\n',
  ],
  ...['Content-Transfer-Encoding: base64\r\n', '\r\n\r\n', '\xff'.repeat(58)],
];

test('content in any pieces becomes what content in memory becomes', async () => {
  const content = fc
    .array(fc.constantFrom(...PIECES), { maxLength: 60 })
    .map((parts) => latin1(parts.join('')));
  await fc.assert(
    fc.asyncProperty(content, fc.integer({ min: 1, max: 700 }), async (octets, size) => {
      const whole = await canonical(octets);
      expect((await canonical(inPieces(octets, size))).equals(whole)).toBe(true);
      expect(await isClean(inPieces(octets, size))).toBe(await clean(octets));
      expect(/\0|\r(?!\n)|(?<!\r)\n/.test(whole.toString('latin1'))).toBe(false);
    }),
    { numRuns: 300 },
  );
});

test('attack: as text only, HTML behind a boundary line that begins with a lone CR is a file too', async () => {
  const content = latin1(
    'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nwords\r--b\r\nContent-Type: text/html\r\n\r\n<img src=x>\r\n--b--\r\n',
  );
  const { octets, root, discard } = await canonicalEntity(
    bufferSource(content),
    FORBIDDEN,
    encryptedSpool(),
    true,
  );
  expect(root.parts.map(({ mediaType: { type, subtype } }) => `${type}/${subtype}`)).toEqual([
    'text/plain',
    'application/octet-stream',
  ]);
  const made = (await collect(octets.read())).toString('latin1');
  expect(made).not.toContain('text/html');
  expect(made).toContain('message.html.txt');
  await discard();
});
