import { simpleParser } from 'mailparser';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ImapClient } from './support/imap-client.ts';
import { octetsOf } from './support/imap-response.ts';
import { appendAll, smallMail } from './support/many-messages.ts';
import { type SeededMailbox, seededMailbox } from './support/seeded-mailbox.ts';

/** The shapes of Outlook's commands: whole messages in one FETCH, no pieces, no macros; moving is copying and expunging. */

let mailbox: SeededMailbox;
beforeAll(async () => {
  mailbox = await seededMailbox();
});
afterAll(() => mailbox?.stop());

test('10: 200 mixed messages, each downloaded whole: as long as announced, readable, with their attachments', async () => {
  const mails = Array.from({ length: 200 }, (_, index) => {
    const message = mailbox.messages[index % (2 * mailbox.messages.length)];
    return (
      message ?? { octets: smallMail(`mail ${index}`), name: 'small', longer: undefined, words: 'Hello.' }
    );
  });
  const direct = await mailbox.direct();
  await direct.create('Mixed');
  await appendAll(
    direct,
    'Mixed',
    mails.map(({ octets }) => octets),
  );
  const client = await mailbox.through('SELECT Mixed');
  const announced = new Map<number, number>();
  for (const { items } of await client.fetch('UID FETCH 1:* (UID RFC822.SIZE FLAGS INTERNALDATE)'))
    announced.set(Number(items.get('UID')), Number(items.get('RFC822.SIZE')));
  let attachments = 0;
  for (let first = 1; first <= 200; first += 25) {
    const command = `UID FETCH ${first}:${first + 24} (UID FLAGS RFC822.SIZE BODY.PEEK[])`;
    const answers = await client.fetch(command);
    expect(answers.length).toBe(25);
    for (const { items } of answers) {
      const uid = Number(items.get('UID'));
      const octets = octetsOf(items.get('BODY[]'));
      const mail = mails[uid - 1];
      expect(items.get('RFC822.SIZE')).toBe(String(announced.get(uid)));
      if (mail?.longer !== true)
        expect([mail?.name, octets.length]).toEqual([mail?.name, announced.get(uid)]);
      if (mail !== undefined && uid <= mailbox.messages.length) {
        const parsed = await simpleParser(octets);
        attachments += parsed.attachments.filter(({ filename }) => filename === 'Rechnung.pdf').length;
        expect(parsed.from?.value[0]?.address).toBe('alice@sealgate.test');
      }
    }
  }
  // Plain, clear-signed, opaque, CBC, GCM, signed and encrypted, triple wrapped, with thousands of fields.
  expect(attachments).toBe(8);
  direct.close();
  client.close();
});

test('11: Sent and Drafts are filed and read back; from Junk to INBOX a sealed mail stays what it is', async () => {
  const client = await mailbox.through();
  for (const name of ['Sent', 'Junk']) await client.create(name);
  const sent = smallMail('sent by outlook');
  await client.append('Sent', sent, '\\Seen');
  const sealed = mailbox.message('signed and encrypted');
  const direct = await mailbox.direct();
  await direct.append('Junk', sealed.octets, '\\Seen');
  await client.ok('SELECT Junk');
  const junk = await client.item(1, 'BODY.PEEK[]');
  const { text } = await client.ok('UID COPY 1 INBOX');
  const uid = Number(/\[COPYUID [0-9]+ 1 ([0-9]+)\]/.exec(text)?.[1]);
  await client.ok('UID STORE 1 +FLAGS.SILENT (\\Deleted)');
  await client.ok('EXPUNGE');
  await client.ok('SELECT INBOX');
  const inbox = await client.item(uid, 'BODY.PEEK[]');
  expect(inbox.length).toBe(junk.length);
  // Another UID has another boundary, and nothing else.
  const anonymous = (octets: Buffer): string =>
    octets.toString('latin1').replace(/=_sealgate_[a-z2-7]{26}/g, 'boundary');
  expect(anonymous(inbox)).toBe(anonymous(junk));
  await direct.ok('EXAMINE INBOX');
  expect((await direct.item(uid, 'BODY.PEEK[]')).equals(sealed.octets)).toBe(true);
  await client.ok('SELECT Sent');
  expect((await client.item(1, 'BODY.PEEK[]')).equals(sent)).toBe(true);
  direct.close();
  client.close();
});

test('11: what was moved by APPEND of what the client has read is a plain mail that claims nothing', async () => {
  const client = await mailbox.through('EXAMINE INBOX');
  const view = await client.item(mailbox.message('signed and encrypted').uid, 'BODY.PEEK[]');
  await client.create('Dragged');
  const uid = await client.append('Dragged', view);
  await client.ok('EXAMINE Dragged');
  const dragged = await client.item(uid, 'BODY.PEEK[]');
  expect(dragged.length).toBe(view.length);
  const status = /^(X-Sealgate-[0-9a-z]{12}-Status): /m.exec(view.toString('latin1'))?.[1];
  expect(status).toBeDefined();
  expect(dragged.toString('latin1')).not.toContain(status);
  expect(dragged.toString('latin1')).toContain('words of signed and encrypted.');
  client.close();
});

test('10: a second connection meanwhile sees the same octets', async () => {
  const { system } = mailbox;
  const { login, password } = system.user('bob');
  const clients = await Promise.all(
    [1, 2, 3, 4].map(async () => {
      const client = await ImapClient.open(system.imapPort, system.pki.ca.certificate);
      await client.login(login, password);
      await client.ok('SELECT INBOX');
      return client;
    }),
  );
  const all = await Promise.all(
    clients.map(async (client) =>
      (await client.fetch('UID FETCH 1:* (UID BODY.PEEK[])')).map(({ items }) =>
        octetsOf(items.get('BODY[]')).toString('latin1'),
      ),
    ),
  );
  for (const one of all) expect(one).toEqual(all[0]);
  for (const client of clients) client.close();
});
