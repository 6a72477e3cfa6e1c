import { simpleParser } from 'mailparser';
import { expect, test } from 'vitest';
import { canonicalEntity, canonicalLines, isClean } from '../../src/mail-view/canonical-entity.ts';

function latin1(text: string): Buffer {
  return Buffer.from(text, 'latin1');
}

test('clean content is not touched', () => {
  const entity = latin1('Content-Type: text/plain\r\n\r\nHello\r\n');
  expect(canonicalEntity(entity)).toBe(entity);
});

test('LF-only content gets CRLF line ends', () => {
  expect(canonicalEntity(latin1('Content-Type: text/plain\n\na\nb\n')).toString()).toBe(
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
  const result = canonicalEntity(entity);
  expect(isClean(result)).toBe(true);
  const mail = await simpleParser(result);
  expect(mail.attachments[0]?.content.equals(binary)).toBe(true);
  expect(mail.text?.trim()).toBe('text');
});

test('text with NUL or an over-long line becomes base64', async () => {
  for (const body of ['a\0b', 'x'.repeat(2_000)]) {
    const result = canonicalEntity(
      latin1(`Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${body}`),
    );
    expect(isClean(result)).toBe(true);
    expect((await simpleParser(result)).text?.trim().replace('\ufffd', '\0')).toBe(body);
  }
});

test('content without a header is an attachment', async () => {
  const garbage = Buffer.from([0x80, 0x00, 0x0a, 0x0d, 0xff]);
  const mail = await simpleParser(canonicalEntity(garbage));
  expect(mail.attachments[0]?.content.equals(garbage)).toBe(true);
});

test('RFC 8551 §3.1: a wrapped message is unwrapped', () => {
  const entity = latin1(
    'Content-Type: message/rfc822\r\n\r\nSubject: in\r\nContent-Type: text/plain\r\n\r\nHi\r\n',
  );
  expect(canonicalEntity(entity).toString()).toBe('Subject: in\r\nContent-Type: text/plain\r\n\r\nHi\r\n');
});

test('line ends', () => {
  expect(canonicalLines(latin1('a\nb\rc\r\nd\0')).toString('latin1')).toBe('a\r\nb\r\nc\r\nd ');
  expect(isClean(latin1(`${'x'.repeat(998)}\r\n`))).toBe(true);
  expect(isClean(latin1(`${'x'.repeat(999)}\r\n`))).toBe(false);
  expect(isClean(latin1('a\r\nb\n'))).toBe(false);
  expect(isClean(latin1('a\rb\r\n'))).toBe(false);
});
