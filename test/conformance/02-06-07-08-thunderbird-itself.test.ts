import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deliverByLmtp } from '../../src/evaluation/lmtp-delivery.ts';
import { encrypted } from '../attacks/support/openssl-mail.ts';
import { addressOf } from '../support/mail-system.ts';
import type { Started } from '../support/services/disposable.ts';
import type { Thunderbird } from '../support/services/thunderbird/thunderbird.ts';
import { thunderbird } from '../support/services/thunderbird/thunderbird.ts';
import { sealedOfSize } from './support/exact-size.ts';
import { octetsOf } from './support/imap-response.ts';
import { outerFields, richEntity } from './support/message-classes.ts';
import { type SeededMailbox, seededMailbox } from './support/seeded-mailbox.ts';

/** Thunderbird fetches what is larger than 96 KiB in pieces of 64 KiB, and throws away what ends before RFC822.SIZE. */
const SIZES = [
  96 * 1024 - 1,
  96 * 1024,
  96 * 1024 + 1,
  128 * 1024 - 1,
  128 * 1024,
  128 * 1024 + 1,
  192 * 1024,
];

let mailbox: SeededMailbox;
let client: Started<Thunderbird>;
let before: string[];
const sized: { uid: number; size: number }[] = [];

beforeAll(async () => {
  mailbox = await seededMailbox();
  const { system, people } = mailbox;
  const direct = await mailbox.direct();
  for (const size of SIZES) {
    const uid = await direct.append('INBOX', await sealedOfSize(size, people.bob));
    sized.push({ uid, size });
  }
  for (const name of ['Sent', 'Drafts']) await direct.create(name);
  direct.close();
  before = await mailbox.originals();
  const { login, password } = system.user('bob');
  client = await thunderbird({ port: system.imapPort, login, password, ca: system.pki.ca.certificate });
});
afterAll(async () => {
  await client?.stop();
  await mailbox?.stop();
});

test('1: it lists the mailbox with sizes, and no key is used', async () => {
  const listed = await client.show(mailbox.messages.length + sized.length);
  expect(listed.map(({ uid, size }) => [uid, size])).toEqual([
    ...mailbox.messages.map(({ uid, octets }) => [uid, octets.length]),
    ...sized.map(({ uid, size }) => [uid, size]),
  ]);
  expect(mailbox.keyUses()).toBe(0);
});

test('2, 8: it opens every class, keeps the octets that everybody else reads, and judges clear signatures itself', async () => {
  const other = await mailbox.through('EXAMINE INBOX');
  for (const message of mailbox.messages) {
    const opened = await client.open(message.uid, message.name === 'clear-signed');
    if (message.words !== null) expect(opened.text, message.name).toContain(message.words);
    const whole = await other.item(message.uid, 'BODY.PEEK[]');
    expect([message.name, (await client.stored(message.uid)).equals(whole)]).toEqual([message.name, true]);
    if (message.name === 'clear-signed') expect(opened.signed).toMatch(/-signed-ok-/);
    else expect([message.name, opened.signed]).toEqual([message.name, null]);
  }
  other.close();
});

test('6: in IDLE it is told of a new encrypted mail', async () => {
  const listed = await client.listed();
  await deliverByLmtp(mailbox.system.dovecot.lmtpPort, {
    reversePath: addressOf('alice'),
    recipients: [addressOf('bob')],
    octets: Buffer.concat([
      Buffer.from(`${outerFields('just arrived').join('\r\n')}\r\nMIME-Version: 1.0\r\n`),
      await encrypted(richEntity('words that have just arrived'), [mailbox.people.bob]),
    ]),
  });
  const told = await client.told(listed.length + 1);
  const { uid } = told.at(-1) ?? { uid: 0 };
  expect((await client.open(uid)).text).toContain('words that have just arrived');
});

test('2: sizes on both sides of its pieces: whole in its store, and opened again without the network', async () => {
  const other = await mailbox.through('EXAMINE INBOX');
  for (const { uid, size } of sized) {
    const { text } = await client.open(uid);
    expect(text).toContain('exact size');
    const stored = await client.stored(uid);
    expect(stored.length).toBe(size);
    expect(stored.equals(await other.item(uid, 'BODY.PEEK[]'))).toBe(true);
  }
  other.close();
  const uses = mailbox.keyUses();
  await client.offline(true);
  for (const { uid } of sized) expect((await client.open(uid)).text).toContain('exact size');
  await client.offline(false);
  expect(mailbox.keyUses()).toBe(uses);
});

test('7: it files a sent mail of 20 MB, and a draft in the place of another', async () => {
  const mail = (subject: string, octets: number): Buffer =>
    Buffer.from(
      `${outerFields(subject).join('\r\n')}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n${randomBytes(
        octets / 2,
      )
        .toString('hex')
        .replace(/.{70}/g, '$&\r\n')}\r\n`,
    );
  const sent = mail('sent', 20_000_000);
  await client.file('Sent', sent);
  const drafts = [mail('draft', 1_000), mail('draft', 2_000)] as const;
  const first = await client.file('Drafts', drafts[0]);
  await client.file('Drafts', drafts[1], first);
  for (const [name, expected] of [
    ['Sent', sent],
    ['Drafts', drafts[1]],
  ] as const) {
    const direct = await mailbox.direct(`EXAMINE ${name}`);
    const there = await direct.fetch('UID FETCH 1:* (FLAGS BODY.PEEK[])');
    const left = there.filter(({ items }) => !String(items.get('FLAGS')).includes('\\Deleted'));
    expect(left.map(({ items }) => octetsOf(items.get('BODY[]')).equals(expected))).toEqual([true]);
    direct.close();
  }
});

test('25: the stored originals are what they were', async () => {
  const after = await mailbox.originals();
  expect(before.filter((digest) => !after.includes(digest))).toEqual([]);
});
