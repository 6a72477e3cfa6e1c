import { expect, test } from 'vitest';
import { readAnswer } from '../../src/holding/answer-text.ts';

const mail = (body: string, header = 'Content-Type: text/plain; charset=utf-8') =>
  Buffer.from(`From: alice@example.org\r\n${header}\r\n\r\n${body.replace(/\r?\n/g, '\r\n')}\r\n`);
const word = (octets: Buffer) => {
  const read = readAnswer(octets);
  return read.kind === 'word' ? read.word : read.kind;
};

test.each<[string, string, string]>([
  ['the word alone', 'send', 'send'],
  ['with more behind it', 'Discard it, thanks!\n-- \nAlice', 'discard'],
  ['in quotes', '“wait”', 'wait'],
  ['behind blank lines', '\n\n   wait\n', 'wait'],
  ['below what it answers', 'On Friday the gateway\n<gateway@example.org> wrote:\n> send\n>\n\nwait', 'wait'],
  ['below a quotation without a line above', '> discard\n> send\n\nwait', 'wait'],
  ['above a quotation', 'send\n\nOn Friday x wrote:\n> wait', 'send'],
  ['a line that ends with a colon and quotes nothing', 'wait:\nsend', 'wait'],
  ['another word first', 'Please send', 'unclear'],
  ['part of a word', 'sending', 'unclear'],
  ['a word with an apostrophe', "wait's over", 'unclear'],
  ['quotations alone', '> send', 'unclear'],
  ['letters that only look like it', 'ѕend', 'unclear'],
])('%s', (_, body, expected) => {
  expect(word(mail(body))).toBe(expected);
});

test('in the text part of what mail programs make of an answer, signed too', () => {
  const alternative = [
    'Content-Type: multipart/alternative; boundary=b\r\n',
    ...['--b', 'Content-Type: text/plain; charset=utf-8', 'Content-Transfer-Encoding: base64', ''],
    Buffer.from('discard\r\n').toString('base64'),
    ...['--b', 'Content-Type: text/html', '', '<p>send</p>', '--b--', ''],
  ].join('\r\n');
  expect(word(Buffer.from(alternative))).toBe('discard');
  const signed = `Content-Type: multipart/signed; boundary=s; micalg=sha-256; protocol="application/pkcs7-signature"\r\n\r\n--s\r\n${alternative}\r\n--s\r\nContent-Type: application/pkcs7-signature\r\n\r\nAAAA\r\n--s--\r\n`;
  expect(word(Buffer.from(signed))).toBe('discard');
});

test('an attachment is not what somebody says', () => {
  const mixed = [
    'Content-Type: multipart/mixed; boundary=b\r\n',
    ...['--b', 'Content-Type: text/plain', 'Content-Disposition: attachment; filename=x.txt', '', 'send'],
    ...['--b', 'Content-Type: text/plain', '', 'wait', '--b--', ''],
  ].join('\r\n');
  expect(word(Buffer.from(mixed))).toBe('wait');
});

test.each([
  ['encrypted', 'Content-Type: application/pkcs7-mime; smime-type=enveloped-data'],
  ['HTML alone', 'Content-Type: text/html'],
  ['an unknown transfer encoding', 'Content-Type: text/plain\r\nContent-Transfer-Encoding: x-other'],
  ['a program’s', 'Content-Type: text/plain\r\nAuto-Submitted: auto-replied'],
])('%s is not read', (_, header) => {
  expect(word(mail('send', header))).toBe('unclear');
});

test('a word far down, or in text that never ends, is not looked for', () => {
  expect(word(mail(`${'>\n'.repeat(200_000)}send`))).toBe('unclear');
  expect(word(mail(`${'a'.repeat(500_000)} send`))).toBe('unclear');
});
