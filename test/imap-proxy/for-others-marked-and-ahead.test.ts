import { afterAll, beforeAll, expect, test } from 'vitest';
import { deliverByLmtp } from '../../src/evaluation/lmtp-delivery.ts';
import { encrypted, mailOf, signed, textEntity } from '../attacks/support/openssl-mail.ts';
import { ImapClient } from '../conformance/support/imap-client.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';

/** A mailbox with mail for somebody else in it, of which a list shows what was found, and whose mail is opened ahead. */

let system: MailSystem;
beforeAll(async () => {
  system = await startMailSystem({
    users: ['alice', 'bob'],
    reading: { foreign: 'peek-first', keywords: { warning: '$Doubtful' } },
    imap: { warmUp: 5 },
  });
  const alice = system.user('alice').identity;
  const bob = system.user('bob').identity;
  const words = (text: string) => textEntity(`words of: ${text}`);
  await deliver('trusted', await encrypted(await signed(words('trusted'), bob), [alice]));
  await deliver('doubtful', await encrypted(words('doubtful'), [alice]));
  await deliver('for others', await encrypted(words('for others'), [bob]));
});
afterAll(async () => {
  await system?.stop();
});

async function deliver(subject: string, entity: Buffer): Promise<void> {
  await deliverByLmtp(system.dovecot.lmtpPort, {
    reversePath: addressOf('bob'),
    recipients: [addressOf('alice')],
    octets: mailOf([`From: ${addressOf('bob')}`, `Subject: ${subject}`], entity),
    eightBit: false,
    smtpUtf8: false,
  });
}

async function client(port: number, tls = true): Promise<ImapClient> {
  const opened = await ImapClient.open(port, tls ? system.pki.ca.certificate : undefined);
  await opened.login(system.user('alice').login, system.user('alice').password);
  await opened.ok('SELECT INBOX');
  return opened;
}

const opened = () => system.events.filter(({ event }) => event === 'mail.opened').length;

test('mail for others is what is stored; the rest is there before anybody asks, and has its keyword once somebody has', async () => {
  const direct = await client(system.dovecot.imapPort, false);
  const reader = await client(system.imapPort);
  const LISTING = 'UID FETCH 1:* (UID RFC822.SIZE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE)])';
  const types = await reader.fetch('UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE)])');
  expect(
    types.map(({ items }) => /multipart/.test(String(items.get('BODY[HEADER.FIELDS (CONTENT-TYPE)]')))),
  ).toEqual([true, true, false]);
  expect(opened()).toBe(0);
  const tag = reader.send('IDLE');
  while (opened() < 2) await new Promise((resolve) => setImmediate(resolve));
  reader.socket.write('DONE\r\n');
  expect((await reader.answer(tag)).status).toBe('OK');
  reader.close();

  const later = await client(system.imapPort);
  const third = async (from: ImapClient) =>
    (await from.fetch(LISTING)).filter(({ items }) => Number(items.get('UID')) === 3);
  expect(await third(direct)).toHaveLength(1);
  expect(await third(later)).toEqual(await third(direct));
  expect(await later.item(3, 'BODY.PEEK[]')).toEqual(await direct.item(3, 'BODY.PEEK[]'));
  expect((await later.item(1, 'BODY.PEEK[]')).toString()).toContain('words of: trusted');
  expect((await later.item(2, 'BODY.PEEK[]')).toString()).toContain('words of: doubtful');
  await later.ok('NOOP');
  await direct.ok('NOOP');
  const flags = await direct.fetch('UID FETCH 1:* (UID FLAGS)');
  expect(
    flags.map(({ items }) => (items.get('FLAGS') as string[]).filter((flag) => !flag.startsWith('\\'))),
  ).toEqual([['$SmimeValid'], ['$Doubtful'], []]);
  later.close();
  direct.close();
});
