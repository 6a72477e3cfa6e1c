import { afterAll, beforeAll, expect, test } from 'vitest';
import { deliverByLmtp } from '../../src/evaluation/lmtp-delivery.ts';
import { encrypted } from '../attacks/support/openssl-mail.ts';
import { addressOf } from '../support/mail-system.ts';
import { inPieces } from './support/agreement.ts';
import { sealedOfSize } from './support/exact-size.ts';
import type { ImapClient } from './support/imap-client.ts';
import { fetched, octetsOf, type Value } from './support/imap-response.ts';
import { appendAll, smallMail } from './support/many-messages.ts';
import { outerFields, richEntity } from './support/message-classes.ts';
import { type SeededMailbox, seededMailbox } from './support/seeded-mailbox.ts';

/** What Thunderbird 153 sends, said by a client whose answers can be looked at octet by octet. */

const LISTED =
  'From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To';

let mailbox: SeededMailbox;
let before: string[];
beforeAll(async () => {
  mailbox = await seededMailbox();
  before = await mailbox.originals();
});
afterAll(() => mailbox?.stop());

test('1: listing 1,000 messages of which 50 are encrypted uses no key, and differs in nothing but their Content-Type', async () => {
  const sealed = mailbox.messages.filter(({ shown }) => shown === 'view').map(({ octets }) => octets);
  const mails = Array.from({ length: 1_000 }, (_, index) =>
    index % 20 === 0 ? (sealed[(index / 20) % sealed.length] ?? sealed[0]) : smallMail(`mail ${index}`),
  ).filter((mail) => mail !== undefined);
  const setUp = await mailbox.direct();
  await setUp.create('Many');
  await appendAll(setUp, 'Many', mails);
  const uses = mailbox.keyUses();
  const [client, direct] = await both('EXAMINE Many');
  const command = `UID FETCH 1:* (UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (${LISTED})])`;
  const [through, past] = [await client.ok(command), await direct.ok(command)];
  expect(through.untagged.length).toBe(1_000);
  for (const [index, response] of through.untagged.entries()) {
    const original = past.untagged[index];
    if (index % 20 !== 0) expect(response.octets.equals(original?.octets ?? Buffer.alloc(0))).toBe(true);
    else {
      const texts = [response, original].map((each) => each?.octets.toString('latin1') ?? '');
      expect(texts[0]).toMatch(/Content-Type: multipart\/mixed; boundary="=_sealgate_[a-z2-7]{26}"\r\n/);
      const [view, stored] = texts.map((text) =>
        text.replace(/Content-Type: [^\r]*\r\n(?:[ \t][^\r]*\r\n)*/, '').replace(/ \{\d+\}/, ''),
      );
      expect(view).toBe(stored);
    }
  }
  expect(mailbox.keyUses()).toBe(uses);
  close(setUp, client, direct);
});

test('3: a piece beyond the end is empty or short, as the mail server has it', async () => {
  const [client, direct] = await both('EXAMINE INBOX');
  for (const { uid, name, octets, longer } of mailbox.messages) {
    for (const at of [octets.length - 1, octets.length, octets.length + 1, octets.length + 65_536]) {
      const item = `BODY.PEEK[]<${at}.65536>`;
      const [view, stored] = [await client.item(uid, item), await direct.item(uid, item)];
      expect([name, at, view.length > 0]).toEqual([
        name,
        at,
        stored.length > 0 || (longer === true && at < 9_000),
      ]);
    }
  }
  close(client, direct);
});

test('4: a filter’s own field, and a listing of whole headers, agree with the message', async () => {
  const [client, direct] = await both('EXAMINE INBOX');
  for (const { uid, name, shown } of mailbox.messages) {
    // A Subject that is hidden outside is listed once its message has been opened.
    const header = await client.item(uid, 'BODY.PEEK[HEADER]');
    const whole = await client.item(uid, 'BODY.PEEK[]');
    const fields = `BODY.PEEK[HEADER.FIELDS (${LISTED} Received X-Unknown)]`;
    const listed = (await client.item(uid, fields)).toString('latin1');
    expect(listed).toContain('Received: from relay.sealgate.test');
    expect([name, whole.subarray(0, header.length).equals(header)]).toEqual([name, true]);
    expect(header.toString('latin1').endsWith('\r\n\r\n')).toBe(true);
    for (const field of listed.split(/\r\n(?![ \t])/).filter((text) => text !== ''))
      expect([name, header.toString('latin1').includes(`${field}\r\n`)]).toEqual([name, true]);
    if (shown === 'as-stored') expect(header.equals(await direct.item(uid, 'BODY.PEEK[HEADER]'))).toBe(true);
  }
  close(client, direct);
});

test('5: octets beyond ASCII in a header inside are in the structure as they are in the part', async () => {
  const client = await mailbox.through('EXAMINE INBOX');
  const { uid } = mailbox.message('8bit inside');
  const [answer] = await client.fetch(`UID FETCH ${uid} (BODYSTRUCTURE)`);
  const strings: string[] = [];
  const collect = (value: Value): void => {
    if (Array.isArray(value)) value.forEach(collect);
    else if (Buffer.isBuffer(value)) strings.push(value.toString('utf8'));
  };
  collect(answer?.items.get('BODYSTRUCTURE') ?? null);
  expect(strings.filter((text) => text === 'Übersicht.bin').length).toBe(2);
  expect((await client.item(uid, 'BODY.PEEK[1.2.MIME]')).toString('utf8')).toContain('name="Übersicht.bin"');
  expect((await client.item(uid, 'BODY.PEEK[1.1]')).toString('utf8')).toContain('Grüße aus Köln');
  client.close();
});

test('6: a mail that arrives during IDLE: its preview right behind EXISTS is the beginning of its view', async () => {
  const client = await mailbox.through('SELECT INBOX');
  const idle = client.send('IDLE');
  expect((await client.response()).tag).toBe('+');
  await deliverByLmtp(mailbox.system.dovecot.lmtpPort, {
    reversePath: addressOf('alice'),
    recipients: [addressOf('bob')],
    octets: Buffer.concat([
      Buffer.from(`${outerFields('news').join('\r\n')}\r\nMIME-Version: 1.0\r\n`),
      await encrypted(richEntity('words of the news'), [mailbox.people.bob]),
    ]),
  });
  let msn = 0;
  while (msn <= mailbox.messages.length) {
    const found = /^([0-9]+) EXISTS/.exec((await client.response()).text);
    if (found !== null) msn = Number(found[1]);
  }
  client.socket.write('DONE\r\n');
  const preview = client.send(`FETCH ${msn} (UID FLAGS BODY.PEEK[TEXT]<0.2048>)`);
  await client.answer(idle);
  const { status, untagged } = await client.answer(preview);
  expect(status).toBe('OK');
  const items = untagged.map((each) => fetched(each)?.items).find((each) => each?.has('BODY[TEXT]<0>'));
  const text = octetsOf(items?.get('BODY[TEXT]<0>'));
  expect(text.length).toBe(2_048);
  expect(text.toString('latin1')).toContain('words of the news');
  expect((await client.item(Number(items?.get('UID')), 'BODY.PEEK[TEXT]')).subarray(0, 2_048)).toEqual(text);
  client.close();
});

test('7: APPEND with {n} and {n+}, and drafts that replace each other: what comes back is what went in', async () => {
  const client = await mailbox.through();
  await client.create('Papers');
  const draft = (words: string): Buffer =>
    Buffer.from(`${outerFields('a draft').join('\r\n')}\r\n\r\n${words}\r\n.\r\n* 1 EXPUNGE\r\nx {12}\r\n`);
  const large = Buffer.concat([draft('large'), Buffer.alloc(2_000_000, 'another line of it\r\n')]);
  expect(await client.append('Papers', draft('one'), '\\Draft \\Seen')).toBe(1);
  const tag = client.send(`APPEND Papers (\\Draft) {${large.length}}`);
  expect((await client.response()).tag).toBe('+');
  client.socket.write(large);
  client.socket.write('\r\n');
  expect((await client.answer(tag)).status).toBe('OK');
  await client.ok('SELECT Papers');
  await client.ok('UID STORE 1 +FLAGS.SILENT (\\Deleted)');
  const { untagged } = await client.ok('UID EXPUNGE 1');
  expect(untagged.map(({ text }) => text)).toContain('1 EXPUNGE');
  const direct = await mailbox.direct('EXAMINE Papers');
  for (const reader of [client, direct]) {
    const left = await reader.fetch('FETCH 1:* (UID RFC822.SIZE BODY.PEEK[])');
    expect(left.map(({ items }) => items.get('UID'))).toEqual(['2']);
    expect(octetsOf(left[0]?.items.get('BODY[]')).equals(large)).toBe(true);
  }
  close(client, direct);
});

test.each([64, 128, 96].flatMap((kib) => [kib * 1024 - 1, kib * 1024, kib * 1024 + 1]))(
  '2: %d octets in pieces of 64 KiB, from a session that knows nothing of it',
  async (size) => {
    const direct = await mailbox.direct();
    const uid = await direct.append('INBOX', await sealedOfSize(size, mailbox.people.bob));
    const client = await mailbox.through('EXAMINE INBOX');
    const pieces = await inPieces(client, uid, 65_536);
    expect(pieces.length).toBe(size);
    const last = await client.item(uid, `BODY.PEEK[]<${size}.65536>`);
    expect(last.length).toBe(0);
    const cold = await mailbox.through('EXAMINE INBOX');
    // From the middle, as a client that goes on where it was interrupted.
    expect((await cold.item(uid, `BODY.PEEK[]<${size - 100}.65536>`)).equals(pieces.subarray(-100))).toBe(
      true,
    );
    expect((await cold.item(uid, 'BODY.PEEK[]')).equals(pieces)).toBe(true);
    close(direct, client, cold);
  },
);

test('25: the stored originals are what they were', async () => {
  const after = await mailbox.originals();
  expect(before.filter((digest) => !after.includes(digest))).toEqual([]);
});

async function both(mailboxCommand: string): Promise<[ImapClient, ImapClient]> {
  return [await mailbox.through(mailboxCommand), await mailbox.direct(mailboxCommand)];
}

function close(...clients: readonly ImapClient[]): void {
  for (const client of clients) client.close();
}
