import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { AtRestMarks } from '../../src/mail-view/at-rest-marker.ts';
import { atRestOuterHeader } from '../../src/mail-view/at-rest-object.ts';
import { viewNames } from '../../src/mail-view/view-names.ts';

const SECRET = Buffer.alloc(32, 7);
const NAMES = viewNames('7f3a9c2e', 'gw.example.net');
const marks = new AtRestMarks(SECRET, NAMES, 'alice@example.org');
const HEADER = Buffer.from('From: a@example.org\r\nSubject: words\r\n\r\n');
const mark = { length: 1_234, header: HEADER, digest: marks.digest().update('x').digest() };

test('what was written is read, in the middle of other fields, folded or unfolded', () => {
  const field = marks.write(mark);
  expect(marks.read(Buffer.from(`X-A: b\r\n${field}X-C: d\r\n\r\n`))).toEqual(mark);
  const unfolded = `${field.replace(/\r\n(?= )/g, '').trimEnd()}\r\n\r\n`;
  expect(marks.read(Buffer.from(unfolded))).toEqual(mark);
  for (const line of field.split('\r\n')) expect(line.length).toBeLessThanOrEqual(78);
  expect(field).not.toMatch(/words|example/);
});

test('whatever its length is, and wherever it is folded', () => {
  for (let octets = 0; octets < 300; octets++) {
    const header = Buffer.concat([randomBytes(octets), Buffer.from('\r\n\r\n')]);
    const field = marks.write({ ...mark, header });
    expect([octets, marks.read(Buffer.from(`${field}\r\n`))?.header.equals(header)]).toEqual([octets, true]);
  }
});

test('attack: a length, an octet, a login, an installation or a secret that is another one: no marker', () => {
  const field = marks.write(mark);
  const read = (text: string, by = marks) => by.read(Buffer.from(`${text}\r\n`));
  expect(read(field)).not.toBeNull();
  expect(read(field.replace('len=1234', 'len=1235'))).toBeNull();
  expect(read(field.replace('len=1234', 'len=01234'))).toBeNull();
  expect(read(field.replace(': 1;', ': 2;'))).toBeNull();
  for (let at = field.indexOf('sealed=') + 7; at < field.length; at += 11) {
    if (!/[A-Za-z0-9]/.test(field.charAt(at))) continue;
    const other = field.charAt(at) === 'A' ? 'B' : 'A';
    expect([at, read(field.slice(0, at) + other + field.slice(at + 1))]).toEqual([at, null]);
  }
  expect(read(field, new AtRestMarks(SECRET, NAMES, 'bob@example.org'))).toBeNull();
  expect(read(field, new AtRestMarks(randomBytes(32), NAMES, 'alice@example.org'))).toBeNull();
  expect(read(field, new AtRestMarks(SECRET, viewNames('0000', 'x'), 'alice@example.org'))).toBeNull();
});

test('attack: a marker twice is none; neither are pieces of one', () => {
  const field = marks.write(mark);
  expect(marks.read(Buffer.from(`${field}${marks.write(mark)}\r\n`))).toBeNull();
  expect(marks.read(Buffer.from(`${field}${marks.name}: 1; len=1; sealed=AAAA\r\n\r\n`))).toBeNull();
  for (let end = 0; end < field.length - 3; end += 7)
    expect(marks.read(Buffer.from(field.slice(0, end)))).toBeNull();
});

test('a header that does not fit is no marker that could be read', () => {
  const header = Buffer.from(`X: ${'y'.repeat(70_000)}\r\n\r\n`);
  expect(marks.read(Buffer.from(`${marks.write({ ...mark, header })}\r\n`))).toBeNull();
});

test('the outer header has what servers and clients look for, and nothing else', () => {
  const header = Buffer.from(
    'From: a@example.org\r\nBCC: hidden@example.org\r\nSubject: words\r\nno field\r\nX-TUID: abc\r\n' +
      'Content-Type: text/plain\r\nX-Mozilla-Status: 1\r\nX-OfflineIMAP: 1\r\nX-Other: 2\r\n' +
      'References: <a@b>\n <c@d>\r\nTo: b\rX-Injected: 1\r\n\r\n',
  );
  expect(atRestOuterHeader(header, 'protect').toString()).toBe(
    'From: a@example.org\r\nSubject: [...]\r\nX-TUID: abc\r\nX-Mozilla-Status: 1\r\nX-OfflineIMAP: 1\r\n' +
      'References: <a@b>\r\n <c@d>\r\nTo: b X-Injected: 1\r\n',
  );
  expect(atRestOuterHeader(header, 'keep').toString()).toContain('Subject: words\r\n');
});
