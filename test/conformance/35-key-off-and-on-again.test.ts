import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ALICE, type CardDesk, cardDesk, type DeskGateway } from '../workflows/support/card-desk.ts';
import { ImapClient } from './support/imap-client.ts';
import { octetsOf } from './support/imap-response.ts';
import { digestsOf, sha256 } from './support/seeded-mailbox.ts';

let desk: CardDesk;
let gateway: DeskGateway;

beforeAll(async () => {
  desk = await cardDesk();
  for (const words of ['the first secret', 'the second secret']) await desk.sendEncrypted(words);
  const file = join(desk.system.folder, 'card.pin');
  await writeFile(file, desk.card.pin, { mode: 0o600 });
  gateway = await desk.serve('off-and-on', { token: ALICE, pin: { file } });
  await gateway.event('key.process-started');
});
afterAll(() => desk?.stop());

async function client(): Promise<ImapClient> {
  const opened = await ImapClient.open(gateway.port('imaps'), desk.system.pki.ca.certificate);
  await opened.login(ALICE, desk.system.user('alice').password);
  await opened.ok('EXAMINE INBOX');
  return opened;
}

const LISTED =
  'UID FETCH 1:* (UID FLAGS RFC822.SIZE ENVELOPE BODY.PEEK[HEADER.FIELDS (Subject Content-Type)])';

async function listed(): Promise<string[]> {
  const one = await client();
  const { untagged } = await one.ok(LISTED);
  one.close();
  return untagged.map(({ octets }) => octets.toString('latin1'));
}

async function views(): Promise<string[]> {
  const one = await client();
  const answers = await one.fetch('UID FETCH 1:* (BODY.PEEK[])');
  one.close();
  return answers.map(({ items }) => sha256(octetsOf(items.get('BODY[]'))));
}

test('35: the key is off: listings as ever, opening is refused for now and nothing stands in its place; on again: the same octets', async () => {
  const before = await digestsOf(desk.system.dovecot.mailFolder(ALICE));
  const list = await listed();
  // Uid 1 is opened while the key is there, uid 2 is not.
  const early = await client();
  const first = await early.item(1, 'BODY.PEEK[]');
  expect(first.toString('latin1')).toContain('the first secret');
  await desk.reader.remove();
  await gateway.event('key.token-removed');
  expect(await listed()).toEqual(list);
  const without = await client();
  for (const item of [
    'BODY.PEEK[]',
    'BODYSTRUCTURE',
    'BODY.PEEK[1]',
    'BODY.PEEK[]<0.65536>',
    'RFC822.TEXT',
  ]) {
    const one = await client();
    const { status, text, untagged } = await one.command(`UID FETCH 2 (${item})`);
    expect([item, status, text]).toEqual([item, 'NO', expect.stringContaining('[UNAVAILABLE]')]);
    expect(untagged.filter((each) => / FETCH .*(?:BODY|RFC822)/.test(each.text))).toEqual([]);
    one.close();
  }
  // What a session has in its memory goes with the card, too.
  const held = await early.command('UID FETCH 1 (BODY.PEEK[])');
  expect([held.status, held.text]).toEqual(['NO', expect.stringContaining('[UNAVAILABLE]')]);
  expect(held.untagged.filter((each) => / FETCH .*BODY/.test(each.text))).toEqual([]);
  await desk.reader.insert();
  await gateway.event('key.process-started');
  expect((await early.item(1, 'BODY.PEEK[]')).equals(first)).toBe(true);
  const again = await views();
  expect(again[0]).toBe(sha256(first));
  expect((await without.item(2, 'BODY.PEEK[]')).toString('latin1')).toContain('the second secret');
  expect(await listed()).toEqual(list);
  expect(await views()).toEqual(again);
  expect(await digestsOf(desk.system.dovecot.mailFolder(ALICE))).toEqual(before);
  for (const one of [early, without]) one.close();
});
