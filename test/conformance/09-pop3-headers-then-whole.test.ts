import { afterAll, beforeAll, expect, test } from 'vitest';
import { Conversation } from '../pop3-proxy/support/conversation.ts';
import { type SeededMailbox, seededMailbox } from './support/seeded-mailbox.ts';

/** Thunderbird's two ways to fetch only the headers first: an account that says so, and a largest size. */

let mailbox: SeededMailbox;
beforeAll(async () => {
  mailbox = await seededMailbox();
});
afterAll(() => mailbox?.stop());

/** What Thunderbird says first, whatever it wants. */
async function session(): Promise<{ pop3: Conversation; sizes: number[]; ids: string[] }> {
  const { system } = mailbox;
  const pop3 = await Conversation.loginTls(system.pop3Port, system.pki.ca.certificate, system.user('bob'));
  const capabilities = (await pop3.fetch('CAPA')).toString();
  for (const needed of ['TOP', 'UIDL', 'USER', 'SASL PLAIN', 'RESP-CODES'])
    expect(capabilities).toContain(needed);
  expect(await pop3.ask('STAT')).toMatch(/^\+OK \d+ \d+$/);
  const second = (lines: Buffer): string[] =>
    lines
      .toString('latin1')
      .trim()
      .split('\r\n')
      .map((line) => line.slice(line.indexOf(' ') + 1));
  const sizes = second(await pop3.fetch('LIST')).map(Number);
  const ids = second(await pop3.fetch('UIDL'));
  expect(await pop3.ask('XTND XLST Message-Id')).toMatch(/^-ERR/);
  return { pop3, sizes, ids };
}

const headerOf = (octets: Buffer): string => octets.toString('latin1').replace(/\r\n\r\n[\s\S]*$/, '\r\n');

/** Fields that the shell has in the place of the stored ones are left out. */
function fieldsOf(header: string): string[] {
  const fields = header.replace(/\r\n[ \t]/g, ' ').split('\r\n');
  return fields.filter((field) => field !== '' && !/^(?:content-|mime-version)/i.test(field));
}

test('9: headers only, then the whole: TOP 0 uses no key, and RETR in another session gives the same message', async () => {
  const first = await session();
  const before = mailbox.keyUses();
  const headers: string[] = [];
  for (const [i, message] of mailbox.messages.entries()) {
    const header = (await first.pop3.fetch(`TOP ${i + 1} 0`)).toString('latin1');
    headers.push(header);
    expect(fieldsOf(header), message.name).toEqual(fieldsOf(headerOf(message.octets)));
    if (message.shown === 'view') expect(header).toMatch(/^Content-Type: multipart\/mixed; boundary="/m);
    else expect(header).toBe(`${headerOf(message.octets)}\r\n`);
  }
  expect(mailbox.keyUses()).toBe(before);
  expect(await first.pop3.ask('QUIT')).toMatch(/^\+OK/);

  const second = await session();
  expect([second.ids, second.sizes]).toEqual([first.ids, first.sizes]);
  for (const [i, message] of mailbox.messages.entries()) {
    const whole = await second.pop3.fetch(`RETR ${i + 1}`);
    expect([message.name, whole.length]).toEqual([message.name, second.sizes[i]]);
    const boundary = /boundary="(=_sealgate[^"]*)"/.exec(headers[i] ?? '')?.[1];
    const opened = message.shown === 'view' && !whole.equals(message.octets);
    if (opened) expect(whole.toString('latin1'), message.name).toContain(`\r\n--${boundary}--\r\n`);
  }
  expect(mailbox.keyUses()).toBeGreaterThan(before);
  second.pop3.close();
});

test('9: a largest size: the first 20 lines of what is larger, of the view, then the whole', async () => {
  const { pop3, sizes } = await session();
  for (const [i, message] of mailbox.messages.entries()) {
    if ((sizes[i] ?? 0) < 4_000) continue;
    const begun = await pop3.fetch(`TOP ${i + 1} 20`);
    const whole = await pop3.fetch(`RETR ${i + 1}`);
    expect(whole.subarray(0, begun.length).equals(begun), message.name).toBe(true);
    expect(
      begun
        .toString('latin1')
        .slice(headerOf(begun).length + 2)
        .split('\r\n'),
    ).toHaveLength(21);
  }
  expect(await pop3.ask('QUIT')).toMatch(/^\+OK/);
});
