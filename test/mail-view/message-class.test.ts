import { expect, test } from 'vitest';
import { classifyHeader } from '../../src/mail-view/message-class.ts';

const TYPE = 'Content-Type: application/pkcs7-mime;\r\n smime-type=enveloped-data; name="smime.p7m"\r\n';
/** More than one header has in memory. */
const MANY = 'X: y\r\n'.repeat(100_000);

function classOf(...lines: string[]): string {
  return classifyHeader(Buffer.from(lines.join(''), 'latin1'));
}

test('attack: with however many fields a message is what a listing says that asks for its Content-Type alone', () => {
  expect(classOf(TYPE, '\r\n')).toBe('encrypted');
  expect(classOf(MANY, TYPE, MANY, '\r\n')).toBe('encrypted');
  expect(classOf(MANY, TYPE.trimEnd())).toBe('encrypted');
  expect(classOf(MANY.replaceAll('\r', ''), TYPE.replaceAll('\r', ''), '\n')).toBe('encrypted');
  expect(classOf(TYPE, MANY, 'content-type: text/plain\r\n\r\n')).toBe('none');
  expect(classOf(TYPE, '\r\n', MANY)).toBe('encrypted');
});

test('attack: among too many fields nothing else passes for the Content-Type', () => {
  expect(classOf(MANY, 'X-Content-Type: application/pkcs7-mime\r\n\r\n')).toBe('none');
  expect(classOf(MANY, 'X: a\rContent-Type: application/pkcs7-mime\r\n\r\n')).toBe('none');
  expect(classOf(MANY, 'X: a\r\n Content-Type: application/pkcs7-mime\r\n\r\n')).toBe('none');
  expect(classOf(MANY, '\r\n', TYPE)).toBe('none');
  expect(classOf(MANY, 'Content-Type : application/pkcs7-mime\r\n\r\n')).toBe('none');
});
