import { expect, test } from 'vitest';
import type { MailId } from '../../src/ids.ts';
import { formatReply, reply } from '../../src/smtp/reply.ts';
import { withMailId } from '../../src/smtp-in/mail-id.ts';

const ID = '01m82ay275s1rvwjbzxk' as MailId;

test.each([
  ['one line', [`2.0.0 Ok: queued as 4XYZ`], [`2.0.0 Ok: queued as 4XYZ [${ID}]`]],
  ['several lines', ['2.0.0 Ok', '2.0.0 queued'], ['2.0.0 Ok', `2.0.0 queued [${ID}]`]],
  ['no words', [''], [`[${ID}]`]],
  ['no lines', [], [`[${ID}]`]],
  ['the id already', [`2.0.0 Kept (mail ${ID})`], [`2.0.0 Kept (mail ${ID})`]],
])('the id of a mail stands at the end of a reply of %s', (_, lines, expected) => {
  expect(withMailId({ code: 250, lines }, ID)).toEqual({ code: 250, lines: expected });
});

test('RFC 5321 §4.5.3.1.5: no line grows beyond 512 octets, and no word of the mail server is lost', () => {
  for (let length = 470; length < 520; length++) {
    // Two octets in UTF-8.
    for (const letter of ['x', 'ü']) {
      const text = `4.2.0 ${letter.repeat(Math.floor(length / Buffer.byteLength(letter)))}`;
      const named = withMailId(reply(450, null, text), ID);
      const written = formatReply(named).split(/(?<=\r\n)/);
      expect(named.lines.join(' ')).toContain(text);
      expect(written.at(-1)).toContain(`[${ID}]\r\n`);
      for (const line of written) {
        if (line.includes(ID)) expect(Buffer.byteLength(line)).toBeLessThanOrEqual(512);
      }
      if (named.lines.length === 2) expect(named.lines[1]).toBe(`4.2.0 [${ID}]`);
    }
  }
});
