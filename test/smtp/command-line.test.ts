import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Command, readCommand } from '../../src/smtp/command-line.ts';
import { writeParameters } from '../../src/smtp/parameters.ts';
import { writePath } from '../../src/smtp/path.ts';

const read = (line: string): Command => readCommand(Buffer.from(line, 'utf8'));

/** In one word, for tables: the command written anew, or the code it is refused with. */
function told(line: string | Buffer): string {
  const command = readCommand(Buffer.from(line as string));
  switch (command.verb) {
    case 'MAIL':
      return `MAIL FROM:${writePath(command.reversePath)}${writeParameters(command.parameters)}`;
    case 'RCPT':
      return `RCPT TO:${writePath(command.mailbox)}${writeParameters(command.parameters)}`;
    case 'EHLO':
    case 'HELO':
      return `${command.verb} ${command.domain}`;
    case 'AUTH':
      return `AUTH ${command.mechanism} ${command.initialResponse?.toString() ?? '-'}`;
    case 'malformed':
      return String(command.reply.code);
    case 'fatal':
      return `fatal ${command.reply.code}`;
    default:
      return command.verb;
  }
}

test.each([
  ['MAIL FROM:<a@example.org>', 'MAIL FROM:<a@example.org>'],
  ['mail from:<a@example.org>', 'MAIL FROM:<a@example.org>'],
  ['MAIL FROM:<>', 'MAIL FROM:<>'],
  ['MAIL FROM: <a@example.org>', 'MAIL FROM:<a@example.org>'],
  ['MAIL FROM:<a@example.org>  ', 'MAIL FROM:<a@example.org>'],
  ['MAIL FROM:<"a b"@example.org>', 'MAIL FROM:<"a b"@example.org>'],
  ['MAIL FROM:<"a\\"b>"@example.org>', 'MAIL FROM:<"a\\"b>"@example.org>'],
  ['MAIL FROM:<""@example.org>', 'MAIL FROM:<""@example.org>'],
  ['MAIL FROM:<a@[192.0.2.1]>', 'MAIL FROM:<a@[192.0.2.1]>'],
  ['MAIL FROM:<a@[IPv6:2001:db8::1]>', 'MAIL FROM:<a@[IPv6:2001:db8::1]>'],
  ['MAIL FROM:<jürgen@bücher.example> SMTPUTF8', 'MAIL FROM:<jürgen@bücher.example> SMTPUTF8'],
  ["MAIL FROM:<a+b=c/d!#$%&'*?^_`{|}~@example.org>", "MAIL FROM:<a+b=c/d!#$%&'*?^_`{|}~@example.org>"],
  ['MAIL FROM:<a@example.org> size=5 body=8bitmime', 'MAIL FROM:<a@example.org> SIZE=5 BODY=8bitmime'],
  ['MAIL FROM:<a@under_score.example.org>', 'MAIL FROM:<a@under_score.example.org>'],
  ['RCPT TO:<b@example.org>', 'RCPT TO:<b@example.org>'],
  ['RCPT TO:<Postmaster>', 'RCPT TO:<Postmaster>'],
  [
    'RCPT TO:<b@example.org> NOTIFY=NEVER ORCPT=rfc822;b@x',
    'RCPT TO:<b@example.org> NOTIFY=NEVER ORCPT=rfc822;b@x',
  ],
  ['EHLO client.example', 'EHLO client.example'],
  ['EHLO [192.0.2.1]', 'EHLO [192.0.2.1]'],
  ['HELO my_pc', 'HELO my_pc'],
  ['DATA', 'DATA'],
  ['data ', 'DATA'],
  ['NOOP whatever', 'NOOP'],
  ['VRFY x', 'VRFY'],
  ['EXPN x', 'EXPN'],
  ['HELP', 'HELP'],
  ['AUTH PLAIN AGEAYg==', 'AUTH PLAIN AGEAYg=='],
  ['auth login', 'AUTH LOGIN -'],
  ['AUTH XOAUTH2 =', 'AUTH XOAUTH2 ='],
])('%j is understood', (line, expected) => {
  expect(told(line)).toBe(expected);
});

test.each([
  // Paths.
  ['MAIL FROM:a@example.org', '501'],
  ['MAIL FROM:<a@example.org', '501'],
  ['MAIL FROM:a@example.org>', '501'],
  ['MAIL FROM:<a@example.org>>', '501'],
  ['MAIL FROM:<<a@example.org>>', '501'],
  ['MAIL FROM:  <a@example.org>', '501'],
  ['MAIL FROM:<@relay.example:a@example.org>', '501'],
  ['MAIL FROM:<a>', '501'],
  ['MAIL FROM:<@example.org>', '501'],
  ['MAIL FROM:<a@>', '501'],
  ['MAIL FROM:<a..b@example.org>', '501'],
  ['MAIL FROM:<.a@example.org>', '501'],
  ['MAIL FROM:<a.@example.org>', '501'],
  ['MAIL FROM:<a@example..org>', '501'],
  ['MAIL FROM:<a@-example.org>', '501'],
  ['MAIL FROM:<a@example.org.>', '501'],
  ['MAIL FROM:<a b@example.org>', '501'],
  ['MAIL FROM:<a@b@example.org>', '501'],
  ['MAIL FROM:<"a@example.org>', '501'],
  ['MAIL FROM:<a"b"@example.org>', '501'],
  ['MAIL FROM:<a@[192.0.2.256]>', '501'],
  ['MAIL FROM:<a@[IPv6:::g]>', '501'],
  ['MAIL FROM:<a@[IPv6:fe80::1%eth0]>', '501'],
  ['MAIL FROM:<a@[x]>', '501'],
  [`MAIL FROM:<a@${'x'.repeat(64)}.org>`, '501'],
  [`MAIL FROM:<a@${'x.'.repeat(130)}org>`, '501'],
  ['MAIL', '501'],
  ['MAIL FROM', '501'],
  ['MAIL FROM:', '501'],
  ['MAIL TO:<a@example.org>', '501'],
  ['RCPT TO:<>', '501'],
  ['RCPT TO:<root>', '501'],
  ['RCPT FROM:<a@example.org>', '501'],
  // Parameters.
  ['MAIL FROM:<a@example.org>SIZE=5', '501'],
  ['MAIL FROM:<a@example.org>  SIZE=5', '501'],
  ['MAIL FROM:<a@example.org> SIZE=5 SIZE=6', '501'],
  ['MAIL FROM:<a@example.org> size=5 SIZE=6', '501'],
  ['MAIL FROM:<a@example.org> SIZE=', '501'],
  ['MAIL FROM:<a@example.org> =5', '501'],
  ['MAIL FROM:<a@example.org> X=a=b', '501'],
  ['MAIL FROM:<a@example.org> -X', '501'],
  // Verbs.
  ['', '500'],
  [' MAIL FROM:<a@example.org>', '500'],
  ['MAILFROM:<a@example.org>', '500'],
  ['XCLIENT ADDR=1.2.3.4 ADDR=1.2.3.5', '501'],
  ['DATA now', '501'],
  ['RSET x', '501'],
  ['QUIT x', '501'],
  ['STARTTLS x', '501'],
  ['EHLO', '501'],
  ['EHLO two words', '501'],
  ['VRFY', '501'],
  ['AUTH', '501'],
  ['AUTH  PLAIN', '501'],
  ['AUTH PLAIN a b', '501'],
  [`AUTH ${'X'.repeat(21)}`, '501'],
  // Octets.
  ['NOOP \0', '500'],
  ['MAIL FROM:<a\tb@example.org>', '500'],
  ['MAIL FROM:<a@example.org> X=\x7f', '500'],
  [`NOOP ${'x'.repeat(2_048)}`, '500'],
])('%j is refused', (line, code) => {
  expect(told(line)).toBe(code);
});

test('what is not UTF-8 is refused', () => {
  const command = readCommand(Buffer.from('MAIL FROM:<\xfc@example.org>', 'latin1'));
  expect(command.verb).toBe('malformed');
  // Overlong "/" and a surrogate: UTF-8 of others, not of RFC 3629.
  for (const bad of ['\xc0\xaf', '\xed\xa0\x80']) {
    expect(readCommand(Buffer.from(`RCPT TO:<${bad}@example.org>`, 'latin1')).verb).toBe('malformed');
  }
});

test.each(['GET / HTTP/1.1', 'POST / HTTP/1.1', 'CONNECT x:25 HTTP/1.1', 'BURL imap://x'])(
  'cross-protocol attack: %j ends the session',
  (line) => {
    expect(told(line)).toBe('fatal 502');
  },
);

test('BDAT says how many octets follow; one that is malformed is the end, since nobody knows', () => {
  expect(readCommand(Buffer.from('BDAT 86'))).toEqual({ verb: 'BDAT', octets: 86, last: false });
  expect(readCommand(Buffer.from('bdat 0 last  '))).toEqual({ verb: 'BDAT', octets: 0, last: true });
  const malformed = [
    'BDAT',
    'BDAT ',
    'BDAT x',
    'BDAT -1',
    'BDAT +1',
    'BDAT 1 FIRST',
    'BDAT 1  LAST',
    'BDAT  1',
  ];
  const odd = [
    'BDAT\t1',
    'BDAT 0x10',
    'BDAT 1e3',
    'BDAT 1 LAST x',
    `BDAT ${'9'.repeat(16)}`,
    'BDAT 1 LAST\0',
    'BDAT\0',
  ];
  for (const line of [...malformed, ...odd, `BDAT 1${' '.repeat(70)}LAST`, `BDAT ${'1'.repeat(3_000)}`]) {
    expect(told(line), line).toBe('fatal 501');
  }
  expect(readCommand(Buffer.from('BDAT 1\xff', 'latin1'))).toMatchObject({ verb: 'fatal' });
  expect(told('BDATA 1')).toBe('500');
});

test('AUTH keeps its secret in the octets of the line, so that it can be wiped', () => {
  const line = Buffer.from('AUTH PLAIN AGEAYg==');
  const command = readCommand(line);
  if (command.verb !== 'AUTH' || command.initialResponse === null) throw new Error('not understood');
  command.initialResponse.fill(0);
  expect(line.toString()).toBe(`AUTH PLAIN ${'\0'.repeat(8)}`);
});

test('property: no octets crash the parser, and what is understood is written as one line that is understood the same', () => {
  const word = fc.constantFrom(
    'MAIL FROM:',
    'RCPT TO:',
    '<',
    '>',
    '@',
    'a',
    '"',
    '\\',
    '.',
    ' ',
    'SIZE=1',
    '[',
    ']',
    'ü',
    '\0',
    ':',
    'IPv6:',
  );
  const line = fc.oneof(
    fc.array(word, { maxLength: 16 }).map((words) => Buffer.from(words.join(''))),
    fc.uint8Array({ maxLength: 80 }).map((octets) => Buffer.from(octets)),
  );
  fc.assert(
    fc.property(line, (octets) => {
      const command = readCommand(octets);
      if (command.verb !== 'MAIL' && command.verb !== 'RCPT') return;
      const again = told(octets);
      expect(again).not.toMatch(/[\r\n\0]/);
      expect(read(again)).toEqual(command);
    }),
    { numRuns: 3_000 },
  );
});

test('a long run of anything is read in linear time', () => {
  // 2,048 octets of what makes careless patterns go back and forth; the answer is what matters, a hang would be noticed.
  for (const run of ['a', 'a.', '-', '"', '\\', '@', 'a@', '[', ' ']) {
    const text = `MAIL FROM:<${run.repeat(Math.floor(2_000 / run.length))}`;
    expect(told(text)).toBe('501');
  }
});
