import { afterAll, beforeAll, expect, test } from 'vitest';
import { Conversation } from '../pop3-proxy/support/conversation.ts';
import { type SeededMailbox, seededMailbox } from './support/seeded-mailbox.ts';

let mailbox: SeededMailbox;
beforeAll(async () => {
  mailbox = await seededMailbox();
});
afterAll(() => mailbox?.stop());

async function client(box = mailbox): Promise<Conversation> {
  const { system } = box;
  return Conversation.loginTls(system.pop3Port, system.pki.ca.certificate, system.user('bob'));
}

/** `number size` or `number id`, line by line. */
async function listing(pop3: Conversation, command: string): Promise<string[]> {
  const lines = (await pop3.fetch(command)).toString('latin1').trim().split('\r\n');
  return lines.map((line) => line.slice(line.indexOf(' ') + 1));
}

/** The header, the empty line and so many lines. */
function top(octets: Buffer, lines: number): Buffer {
  const text = octets.toString('latin1');
  let end = text.indexOf('\r\n\r\n') + 4;
  for (let left = lines; left > 0 && end < text.length; left--) end = text.indexOf('\r\n', end) + 2;
  return octets.subarray(0, end);
}

test('41: of every class, LIST and STAT say as many octets as RETR gives, and TOP gives its beginning', async () => {
  const before = await mailbox.originals();
  const pop3 = await client();
  const sizes = (await listing(pop3, 'LIST')).map(Number);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  expect(await pop3.ask('STAT')).toBe(`+OK ${sizes.length} ${total}`);
  expect(sizes).toHaveLength(mailbox.messages.length);
  for (const [i, { name, octets, shown, words, longer }] of mailbox.messages.entries()) {
    const early = [...(await Promise.all([3].map((lines) => pop3.fetch(`TOP ${i + 1} ${lines}`))))];
    const whole = await pop3.fetch(`RETR ${i + 1}`);
    expect([name, whole.length]).toEqual([name, sizes[i]]);
    expect([name, whole.length]).toEqual([name, octets.length]);
    // What cannot be opened for good is shown as it is stored: a client may delete what it was given.
    const verbatim = shown === 'as-stored' || longer === true || name === 'corrupt';
    expect([name, whole.equals(octets)]).toEqual([name, verbatim]);
    if (words !== null) expect(whole.toString('latin1'), name).toContain(words);
    expect(early[0]?.equals(top(whole, 3)), name).toBe(true);
    for (const lines of [0, 1, 10, 100_000]) {
      const shownTop = await pop3.fetch(`TOP ${i + 1} ${lines}`);
      expect(shownTop.equals(top(whole, lines)), `TOP ${lines} of ${name}`).toBe(true);
    }
  }
  expect(await pop3.ask('QUIT')).toMatch(/^\+OK/);
  expect(await mailbox.originals()).toEqual(before);
});

test('41: everything in one go: PIPELINING, with lines that begin with dots', async () => {
  const first = await client();
  expect((await first.fetch('CAPA')).toString()).toContain('PIPELINING\r\n');
  const wholes: Buffer[] = [];
  for (const [i] of mailbox.messages.entries()) wholes.push(await first.fetch(`RETR ${i + 1}`));
  first.send('QUIT\r\n');
  expect(wholes.some((whole) => /\r\n\.\.and one with two\r\n/.test(whole.toString('latin1')))).toBe(true);
  const second = await client();
  const commands = mailbox.messages.map(
    (_message, i) => `RETR ${i + 1}\r\nTOP ${i + 1} 5\r\nUIDL ${i + 1}\r\n`,
  );
  second.send(`${commands.join('')}NOOP\r\n`);
  for (const [i, whole] of wholes.entries()) {
    expect(await second.line()).toMatch(/^\+OK/);
    expect((await second.message()).equals(whole)).toBe(true);
    expect(await second.line()).toMatch(/^\+OK/);
    expect((await second.message()).equals(top(whole, 5))).toBe(true);
    expect(await second.line()).toMatch(new RegExp(`^\\+OK ${i + 1} `));
  }
  expect(await second.line()).toMatch(/^\+OK/);
  second.close();
});

test('41: what was refused is not deleted, also by clients that do not wait for the answer', async () => {
  // One use of the key in a minute: the second message has to wait.
  const box = await seededMailbox({
    async keys({ users }) {
      const { certificateFile, keyFile } = users.get('bob')?.identity ?? { certificateFile: '', keyFile: '' };
      return [{ name: 'bob', kind: 'pem', certificate: certificateFile, key: keyFile, usesPerMinute: 1 }];
    },
    withoutKeys: ['alice', 'carol'],
    furtherKeys: () => [],
  });
  try {
    const number = (name: string): number => box.messages.findIndex((message) => message.name === name) + 1;
    const [opened, refused] = [number('enveloped by GCM'), number('signed and encrypted')];
    const ids = await listing(await client(box), 'UIDL');
    const pop3 = await client(box);
    pop3.send(`RETR ${opened}\r\nDELE ${opened}\r\nRETR ${refused}\r\nDELE ${refused}\r\nQUIT\r\n`);
    expect(await pop3.line()).toMatch(/^\+OK/);
    expect((await pop3.message()).toString('latin1')).toContain('words of enveloped by GCM.');
    expect(await pop3.line()).toMatch(/^\+OK/);
    expect(await pop3.line()).toMatch(/^-ERR \[SYS\/TEMP\] /);
    expect(await pop3.line()).toMatch(/^-ERR \[SYS\/TEMP\] Not deleted/);
    expect(await pop3.rest()).toMatch(/^\+OK[^\r\n]*\r\n$/);
    const left = await listing(await client(box), 'UIDL');
    expect(left).toEqual(ids.filter((_id, i) => i !== opened - 1));
  } finally {
    await box.stop();
  }
});
