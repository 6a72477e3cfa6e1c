import { simpleParser } from 'mailparser';
import { expect, test } from 'vitest';
import { textMessage } from '../../src/mail/text-message.ts';

const base = {
  from: 'gateway@example.org',
  to: ['alice@example.org'],
  subject: 'Your mail waits',
  date: new Date('2026-03-01T12:00:00Z'),
  messageId: '<1@gateway.example.org>',
  lines: ['One line.', '', 'Another one.'],
};

test('a plain mail is plain', () => {
  expect(textMessage({ ...base, autoSubmitted: 'auto-generated' }).toString('latin1')).toBe(
    [
      'Date: Sun, 01 Mar 2026 12:00:00 +0000',
      'From: <gateway@example.org>',
      'To: <alice@example.org>',
      'Subject: Your mail waits',
      'Message-ID: <1@gateway.example.org>',
      'Auto-Submitted: auto-generated',
      'MIME-Version: 1.0',
      'Content-Type: text/plain; charset=us-ascii',
      'Content-Transfer-Encoding: 7bit',
      '',
      'One line.',
      '',
      'Another one.',
      '',
    ].join('\r\n'),
  );
});

test.each([
  [
    'Grüße aus Zürich',
    ['Straße', 'From the beginning', 'blanks at the end  ', '.', `${'long '.repeat(40)}end`],
  ],
  ['=?utf-8?B?YQ==?=', ['=20 is no blank']],
  ['ü'.repeat(300), ['x'.repeat(2_000)]],
])('another program reads what was written: %s', async (subject, lines) => {
  const octets = textMessage({
    ...base,
    subject,
    lines,
    name: 'Grüße, "Gateway"',
    replyTo: 'a+b@example.org',
  });
  for (const line of octets.toString('latin1').split('\r\n'))
    expect(line).toMatch(/^[\x09\x20-\x7e]{0,998}$/);
  const read = await simpleParser(octets);
  expect(read.subject).toBe(subject);
  expect(read.text?.replace(/\n$/, '')).toBe(lines.join('\n'));
  expect(read.from?.value).toEqual([{ name: 'Grüße, "Gateway"', address: 'gateway@example.org' }]);
  expect(read.replyTo?.value[0]?.address).toBe('a+b@example.org');
});

test('no text that somebody else chose begins a field or a line', async () => {
  const octets = textMessage({
    ...base,
    subject: 'a\r\nBcc: eve@example.org\r\n\r\nb',
    lines: ['one\r\n.\r\nMAIL FROM:<>', 'two\x00\x1b[2J'],
  });
  const read = await simpleParser(octets);
  expect(read.headers.has('bcc')).toBe(false);
  expect(read.subject).toBe('a Bcc: eve@example.org b');
  expect(read.text).toBe('one . MAIL FROM:<>\ntwo [2J\n');
  expect(() => textMessage({ ...base, to: ['a@b\r\nBcc: eve@example.org'] })).toThrow();
});
