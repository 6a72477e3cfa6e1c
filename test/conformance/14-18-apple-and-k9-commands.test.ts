import { afterAll, beforeAll, expect, test } from 'vitest';
import { sealedOfSize } from './support/exact-size.ts';
import { octetsOf, type Value } from './support/imap-response.ts';
import { appendAll, smallMail } from './support/many-messages.ts';
import { type SeededMailbox, seededMailbox } from './support/seeded-mailbox.ts';

let mailbox: SeededMailbox;
beforeAll(async () => {
  mailbox = await seededMailbox();
});
afterAll(() => mailbox?.stop());

test('14: Apple’s window of 50 structures with 10 sealed messages that nobody has opened: all answered, one OK', async () => {
  const sealed = mailbox.messages.filter(({ shown, longer }) => shown === 'view' && longer !== true);
  const mails = Array.from({ length: 50 }, (_, index) =>
    index % 5 === 2
      ? (sealed[(index - 2) / 5] ?? mailbox.message('opaque-signed')).octets
      : smallMail(`mail ${index}`),
  );
  const direct = await mailbox.direct();
  await direct.create('Window');
  await appendAll(direct, 'Window', mails);
  const client = await mailbox.through('SELECT Window');
  const tag = client.send(
    'UID FETCH 1:50 (INTERNALDATE UID RFC822.SIZE FLAGS BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (date subject from to cc message-id in-reply-to references x-priority content-type)])',
  );
  const next = client.send('NOOP');
  const { status, untagged } = await client.answer(tag);
  expect(status).toBe('OK');
  expect((await client.answer(next)).status).toBe('OK');
  const answers = await client.fetch('UID FETCH 1:50 (UID BODYSTRUCTURE)');
  expect(answers.length).toBe(50);
  const numbers = untagged.flatMap(({ text }) => /^([0-9]+) FETCH/.exec(text)?.[1] ?? []);
  expect(new Set(numbers).size).toBe(50);
  for (const { items } of answers) {
    const structure = JSON.stringify(items.get('BODYSTRUCTURE'));
    expect(structure.toLowerCase()).not.toContain('pkcs7-mime');
  }
  direct.close();
  client.close();
});

test('15: Apple’s pieces of parts are slices of the parts', async () => {
  const client = await mailbox.through('SELECT INBOX');
  for (const { uid, shown, longer } of mailbox.messages) {
    if (shown !== 'view' || longer === true) continue;
    const whole = await client.item(uid, 'BODY.PEEK[]');
    const first = await client.item(uid, 'BODY.PEEK[1]<0.393216>');
    const mime = await client.item(uid, 'BODY.PEEK[1.MIME]');
    expect(whole.includes(Buffer.concat([mime, first]))).toBe(true);
    expect((await client.item(uid, 'BODY.PEEK[1]<10.20>')).equals(first.subarray(10, 30))).toBe(true);
  }
  client.close();
});

test.each([131_071, 131_072, 131_073, 200_000])(
  '18: K-9 with %d octets: whole up to 128 KiB, beyond that the structure and its parts',
  async (size) => {
    const direct = await mailbox.direct();
    const uid = await direct.append('INBOX', await sealedOfSize(size, mailbox.people.bob));
    const client = await mailbox.through('SELECT INBOX');
    const [listed] = await client.fetch(
      `UID FETCH ${uid} (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (date subject from content-type to cc reply-to message-id references in-reply-to X-K9mail-Identity Chat-Version)])`,
    );
    expect(listed?.items.get('RFC822.SIZE')).toBe(String(size));
    const beginning = await client.item(uid, 'BODY.PEEK[]<0.131072>');
    expect(beginning.length).toBe(Math.min(size, 131_072));
    expect(beginning.toString('latin1')).toContain('exact size');
    const [answer] = await client.fetch(`UID FETCH ${uid} (BODYSTRUCTURE)`);
    const structure = answer?.items.get('BODYSTRUCTURE') as Value[];
    const [part] = structure as [Value[]];
    expect(octetsOf(part[1]).toString().toLowerCase()).toBe('plain');
    const text = await client.item(uid, 'BODY.PEEK[1]');
    expect(text.length).toBe(Number(part[6]));
    expect(text.toString('latin1')).toMatch(/^exact size\r\n/);
    direct.close();
    client.close();
  },
);

test('18: no view is wrapped in message/rfc822, which K-9’s parser throws on', async () => {
  const client = await mailbox.through('SELECT INBOX');
  for (const { uid, name, shown } of mailbox.messages) {
    if (shown !== 'view' || name === 'message in a message') continue;
    const [answer] = await client.fetch(`UID FETCH ${uid} (BODYSTRUCTURE)`);
    expect([name, hasMessage(answer?.items.get('BODYSTRUCTURE') ?? null)]).toEqual([name, false]);
  }
  const [forward] = await client.fetch(
    `UID FETCH ${mailbox.message('message in a message').uid} (BODYSTRUCTURE)`,
  );
  expect(hasMessage(forward?.items.get('BODYSTRUCTURE') ?? null)).toBe(true);
  client.close();
});

function hasMessage(structure: Value): boolean {
  if (!Array.isArray(structure)) return false;
  const [type, subtype] = structure;
  if (Buffer.isBuffer(type) && Buffer.isBuffer(subtype))
    return /^message\/rfc822$/i.test(`${type.toString()}/${subtype.toString()}`);
  return structure.some(hasMessage);
}
