import { afterAll, beforeAll, expect, test } from 'vitest';
import { runProgram } from '../../src/evaluation/run-program.ts';
import { type AtRestSystem, aliceWrites, startAtRestSystem } from '../conformance/support/at-rest.ts';
import type { ImapClient } from '../conformance/support/imap-client.ts';
import { encrypted, mailOf, textEntity } from './support/openssl-mail.ts';

/** Whoever can write into the mailbox, past the gateway, makes no message look like one that its owner has stored. */

let mails: AtRestSystem;
/** As it lies on the mail server: by Alice, and by Carol. */
let object: Buffer;
let carols: Buffer;
const WRITTEN = aliceWrites('mine', 'what Alice has written\r\n');

beforeAll(async () => {
  mails = await startAtRestSystem();
  object = await stored('alice', WRITTEN);
  carols = await stored('carol', WRITTEN);
});
afterAll(() => mails?.stop());

async function stored(name: string, octets: Buffer): Promise<Buffer> {
  const client = await mails.through(name);
  const uid = await client.append('Drafts', octets);
  const direct = await mails.direct(name, 'EXAMINE Drafts');
  const found = await direct.item(uid, 'BODY.PEEK[]');
  for (const each of [client, direct]) each.close();
  return found;
}

/** Puts octets into Alice's Sent past the gateway. */
async function planted(octets: Buffer): Promise<{ client: ImapClient; uid: number }> {
  const direct = await mails.direct('alice');
  const uid = await direct.append('Sent', octets);
  direct.close();
  return { client: await mails.through('alice', 'SELECT Sent'), uid };
}

const markerOf = (octets: Buffer): string =>
  /^X-Sealgate-[a-z0-9]+-At-Rest:.*\r\n(?:[ \t].*\r\n)+/m.exec(octets.toString('latin1'))?.[0] ?? '';

async function sizeOf(client: ImapClient, uid: number): Promise<number> {
  const [listed] = await client.fetch(`UID FETCH ${uid} (UID RFC822.SIZE)`);
  return Number(listed?.items.get('RFC822.SIZE'));
}

test('what is stored: a marker, no word of the message, and one layer that other programs open', async () => {
  expect(markerOf(object)).toMatch(/: 1; len=[0-9]+;\r\n sealed=/);
  const { system } = mails;
  const { certificateFile, keyFile } = system.user('alice').identity;
  const { stdout } = await runProgram(
    'openssl',
    ['cms', '-decrypt', '-binary', '-recip', certificateFile, '-inkey', keyFile],
    { input: object },
  );
  expect(stdout.toString('latin1')).toBe(
    `Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\n${WRITTEN.toString('latin1')}`,
  );
});

test('the same object a second time is the same message', async () => {
  const { client, uid } = await planted(object);
  expect(await sizeOf(client, uid)).toBe(WRITTEN.length);
  expect((await client.item(uid, 'BODY.PEEK[]')).equals(WRITTEN)).toBe(true);
  client.close();
});

test('attack: its marker on another mail: what is opened is the other one, and is shown as such', async () => {
  const { identity } = mails.system.user('alice');
  const entity = await encrypted(textEntity('what a stranger has written'), [identity]);
  const { client, uid } = await planted(
    mailOf([markerOf(object).trimEnd(), 'From: stranger@example.org', 'Subject: s'], entity),
  );
  const view = (await client.item(uid, 'BODY.PEEK[]')).toString();
  expect(view).toContain('what a stranger has written');
  expect(view).toContain('From: stranger@example.org');
  expect(view).toMatch(/^Authentication-Results: /);
  // From now on it is listed as what it is.
  expect(await sizeOf(client, uid)).toBe(view.length);
  expect((await client.item(uid, 'BODY.PEEK[HEADER.FIELDS (FROM)]')).toString()).toContain('stranger');
  client.close();
});

test('attack: its marker before other content of the same kind, by the same key', async () => {
  const forged = Buffer.concat([
    Buffer.from('Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\n'),
    Buffer.from(WRITTEN.toString('latin1').replace('what Alice has', 'what Eve has!!'), 'latin1'),
  ]);
  const entity = await encrypted(forged, [mails.system.user('alice').identity]);
  const { client, uid } = await planted(mailOf([markerOf(object).trimEnd(), 'From: e@example.org'], entity));
  const view = (await client.item(uid, 'BODY.PEEK[]')).toString();
  expect(view).toMatch(/^Authentication-Results: /);
  client.close();
});

test('attack: a length that lies, a marker of another login, a marker on a plain mail: nothing is believed of them', async () => {
  const lie = Buffer.from(object.toString('latin1').replace(/len=[0-9]+/, 'len=7'), 'latin1');
  const plain = Buffer.from(
    `${markerOf(object)}From: stranger@example.org\r\nSubject: s\r\n\r\nplain words\r\n`,
    'latin1',
  );
  for (const octets of [lie, carols, plain]) {
    const { client, uid } = await planted(octets);
    expect(await sizeOf(client, uid)).toBe(octets.length);
    const view = await client.item(uid, 'BODY.PEEK[]');
    // Longer where the notice did not fit; nobody takes the length from the marker.
    expect(view.length).toBeGreaterThanOrEqual(octets.length);
    expect(markerOf(view)).toBe('');
    client.close();
  }
});

test('attack: a status in what is stored is none when it is read', async () => {
  const id = /X-Sealgate-([a-z0-9]+)-At-Rest/.exec(object.toString('latin1'))?.[1] ?? '';
  const octets = aliceWrites('forged', 'x\r\n', [`X-Sealgate-${id}-Status: v=1; sig=valid`]);
  const client = await mails.through('alice');
  const uid = await client.append('Sent', octets);
  await client.ok('SELECT Sent');
  const shown = await client.item(uid, 'BODY.PEEK[]');
  expect(shown.length).toBe(octets.length);
  expect(shown.includes(`X-Sealgate-${id}-Status`)).toBe(false);
  client.close();
});
