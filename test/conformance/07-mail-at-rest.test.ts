import { randomBytes } from 'node:crypto';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { ImapFlow } from 'imapflow';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encrypted, mailOf, textEntity } from '../attacks/support/openssl-mail.ts';
import { type AtRestSystem, aliceWrites, startAtRestSystem } from './support/at-rest.ts';
import type { Fetched } from './support/imap-response.ts';

/** Sent mail and drafts that the gateway encrypts to their own login (APPEND), and what clients get back of them. */

const LISTED =
  'From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To';

let mails: AtRestSystem;
beforeAll(async () => {
  mails = await startAtRestSystem();
});
afterAll(() => mails?.stop());

function itemsOf(fetched: readonly Fetched[]): unknown[] {
  const inOrder = fetched.toSorted((one, other) => one.msn - other.msn);
  return inOrder.map(({ items }) => Object.fromEntries([...items].filter(([name]) => name !== 'FLAGS')));
}

test('7: a copy of 20 MB for Sent goes up encrypted and comes back octet by octet, whole and in Thunderbird’s pieces', async () => {
  const client = await mails.through('alice');
  const body = Buffer.from(randomBytes(15_000_000).toString('base64').replace(/.{76}/g, '$&\r\n'));
  const octets = aliceWrites(
    'the large one',
    Buffer.concat([body, Buffer.from('words of the large one\r\n')]),
  );
  const { text } = await client.ok('APPEND "Sent" (\\Seen $Forwarded) "02-Jan-2026 03:04:05 +0000" ', octets);
  expect(text).toMatch(/\[APPENDUID \d+ \d+\]/);
  await client.ok('SELECT Sent');
  const uses = mails.keyUses();
  const [listed] = await client.fetch(
    `UID FETCH 1:* (UID RFC822.SIZE FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (${LISTED})])`,
  );
  expect(Number(listed?.items.get('RFC822.SIZE'))).toBe(octets.length);
  expect(listed?.items.get('FLAGS')).toEqual(expect.arrayContaining(['\\Seen', '$Forwarded']));
  expect(String(listed?.items.get('INTERNALDATE'))).toContain('02-Jan-2026 03:04:05');
  const uid = Number(listed?.items.get('UID'));
  const header = (await client.item(uid, `BODY.PEEK[HEADER.FIELDS (${LISTED})]`)).toString();
  for (const field of [
    'Subject: the large one',
    'Bcc: hidden@',
    'Content-Type: multipart/mixed',
    'X-Priority: 1',
  ])
    expect(header).toContain(field);
  expect(mails.keyUses()).toBe(uses);
  expect((await client.item(uid, 'BODY.PEEK[]')).equals(octets)).toBe(true);
  const pieces: Buffer[] = [];
  for (let at = 0; at < octets.length; at += 4_000_000)
    pieces.push(await client.item(uid, `BODY.PEEK[]<${at}.4000000>`));
  expect(Buffer.concat(pieces).equals(octets)).toBe(true);
  client.close();
  const stored = await mails.kept('alice');
  for (const secret of [
    'words of the large',
    'the large one',
    'hidden@example.org',
    body.toString('latin1', 0, 76),
  ])
    expect([secret, stored.includes(secret)]).toEqual([secret, false]);
});

test('7: while it comes, it lies nowhere in the clear', async () => {
  const client = await mails.through('alice');
  const body = Buffer.alloc(4_000_000, 'these words are nowhere to be found. ');
  const octets = aliceWrites('half of it', body);
  client.socket.write(`h APPEND Sent {${octets.length}+}\r\n`);
  client.socket.write(octets.subarray(0, 3_500_000));
  await expect.poll(async () => (await unnamedFiles()).length).toBeGreaterThan(2_000_000);
  expect((await unnamedFiles()).includes('these words are nowhere')).toBe(false);
  expect((await mails.kept('alice')).includes('these words')).toBe(false);
  client.socket.write(octets.subarray(3_500_000));
  client.socket.write('\r\n');
  expect((await client.answer('h')).status).toBe('OK');
  client.close();
});

test('7: a draft that is written, and written anew: APPEND, UID STORE, EXPUNGE', async () => {
  const [client, other] = [
    await mails.through('alice', 'SELECT Drafts'),
    await mails.through('alice', 'SELECT Drafts'),
  ];
  const [first, second] = [aliceWrites('a draft', 'one\r\n'), aliceWrites('a draft', 'one and two\r\n')];
  const uid = await client.append('Drafts', first);
  expect((await client.item(uid, 'BODY.PEEK[]')).equals(first)).toBe(true);
  const next = await client.append('Drafts', second);
  await client.ok(`UID STORE ${uid} +FLAGS (\\Deleted)`);
  await client.ok('EXPUNGE');
  await other.ok('NOOP');
  for (const reader of [client, other]) {
    const [listed, ...more] = await reader.fetch('FETCH 1:* (RFC822.SIZE)');
    expect([Number(listed?.items.get('RFC822.SIZE')), more.length]).toEqual([second.length, 0]);
    expect((await reader.item(next, 'BODY.PEEK[]')).equals(second)).toBe(true);
    reader.close();
  }
});

test('7: every item says of it what it says of the same mail stored in the clear', async () => {
  const [client, direct] = [await mails.through('alice'), await mails.direct('alice')];
  for (const name of ['Safe', 'Clear']) await client.create(name);
  const written = [
    aliceWrites('one', 'some words\r\n.\r\n{5}\r\n'),
    aliceWrites('=?utf-8?q?zwei_=C3=A4?=', 'Grüße\r\n'),
    Buffer.from('Subject: no body at all\r\n\r\n'),
  ];
  for (const octets of written) {
    await client.ok('APPEND Safe "02-Jan-2026 03:04:05 +0000" ', octets);
    await client.ok('APPEND Clear "02-Jan-2026 03:04:05 +0000" ', octets);
  }
  await client.ok('EXAMINE Safe');
  await direct.ok('EXAMINE Clear');
  const uses = mails.keyUses();
  const listings = [
    'FETCH 1:* (RFC822.SIZE)',
    'FETCH 1:* ALL',
    'FETCH 1:* FAST',
    'UID FETCH 1:* (UID RFC822.SIZE INTERNALDATE ENVELOPE)',
    'FETCH 2 ENVELOPE',
    'FETCH 1:* (BODY.PEEK[HEADER.FIELDS (X-TUID MESSAGE-ID)] UID)',
    'FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS.NOT (TO)])',
    'UID FETCH 1:* (BODY.PEEK[HEADER] RFC822.HEADER)',
    'UID FETCH 1:* (BODY.PEEK[HEADER]<20.50>)',
  ];
  for (const command of listings)
    expect([command, itemsOf(await client.fetch(command))]).toEqual([
      command,
      itemsOf(await direct.fetch(command)),
    ]);
  expect(mails.keyUses()).toBe(uses);
  const opening = [
    'FETCH 1:* FULL',
    'FETCH 1:* (RFC822 RFC822.SIZE)',
    'UID FETCH 1:* (BODY.PEEK[] BODY.PEEK[TEXT])',
    'UID FETCH 1:2 (BODY.PEEK[1] BODY.PEEK[2.MIME] BODY.PEEK[1]<3.4>)',
  ];
  for (const command of opening)
    expect([command, itemsOf(await client.fetch(command))]).toEqual([
      command,
      itemsOf(await direct.fetch(command)),
    ]);
  client.close();
  direct.close();
});

test('7: whatever a client stores, however odd, comes back in every way of reading, in the next session too', async () => {
  const odd = [
    'a',
    '\r\n',
    'Subject: x',
    'Subject: x\nTo: a@b\n\nbody\nline',
    'Subject: x\r\n\r\nno end',
    'Subject: \xe4\r\n\r\n\0\x01\xff\r',
    'Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b',
    'Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx',
    `A: ${'x'.repeat(60_000)}\r\n\r\nbody\r\n`,
    ' folded first\r\nSubject: y\r\n\r\nz',
    '\r\rSubject: a\r\n\r\nb',
  ].map((text) => Buffer.from(text, 'latin1'));
  const writer = await mails.through('alice');
  await writer.create('SafeOdd');
  const uids: number[] = [];
  for (const octets of odd) uids.push(await writer.append('SafeOdd', octets));
  writer.close();
  for (const _ of ['once', 'again']) {
    const client = await mails.through('alice', 'SELECT SafeOdd');
    for (const [at, octets] of odd.entries()) {
      const uid = uids[at] ?? 0;
      const piece = await client.item(uid, 'BODY.PEEK[]<1.9>');
      const [whole, header, text] = [
        await client.item(uid, 'BODY.PEEK[]'),
        await client.item(uid, 'BODY.PEEK[HEADER]'),
        await client.item(uid, 'BODY.PEEK[TEXT]'),
      ];
      expect([at, piece.equals(octets.subarray(1, 10))]).toEqual([at, true]);
      expect([at, whole.equals(octets), Buffer.concat([header, text]).equals(octets)]).toEqual([
        at,
        true,
        true,
      ]);
      const [listed] = await client.fetch(`UID FETCH ${uid} (RFC822.SIZE ENVELOPE BODYSTRUCTURE)`);
      expect([at, Number(listed?.items.get('RFC822.SIZE'))]).toEqual([at, octets.length]);
      expect(listed?.items.has('BODYSTRUCTURE')).toBe(true);
    }
    client.close();
  }
});

test('7: moved elsewhere it stays what it is, in the session and in the next one', async () => {
  const client = await mails.through('alice');
  await client.create('Elsewhere');
  const octets = aliceWrites('to be moved', 'words\r\n');
  await client.append('Sent', octets);
  await client.ok('SELECT Sent');
  const [last] = (await client.fetch('UID FETCH 1:* (UID RFC822.SIZE)')).slice(-1);
  await client.ok(`UID MOVE ${last?.items.get('UID')} Elsewhere`);
  for (const reader of [client, await mails.through('alice')]) {
    await reader.ok('SELECT Elsewhere');
    const [moved] = await reader.fetch('FETCH 1 (UID RFC822.SIZE BODY.PEEK[])');
    expect(Number(moved?.items.get('RFC822.SIZE'))).toBe(octets.length);
    expect((await reader.item(Number(moved?.items.get('UID')), 'BODY.PEEK[]')).equals(octets)).toBe(true);
    reader.close();
  }
});

test('7: a mailbox that is renamed, and what is below it, shows the same as before', async () => {
  const client = await mails.through('alice');
  const octets = aliceWrites('to be renamed', 'words\r\n');
  for (const name of ['SafeHere', 'SafeHere.Below']) {
    await client.create(name);
    await client.append(name, octets);
  }
  await client.ok('RENAME SafeHere Now');
  for (const name of ['Now', 'Now.Below']) {
    await client.ok(`SELECT ${name}`);
    const [listed] = await client.fetch('FETCH 1 (UID RFC822.SIZE)');
    expect([name, Number(listed?.items.get('RFC822.SIZE'))]).toEqual([name, octets.length]);
    expect((await client.item(1, 'BODY.PEEK[]')).equals(octets)).toBe(true);
  }
  await client.ok('CLOSE');
  expect((await client.command('RENAME Nowhere Somewhere')).status).toBe('NO');
  await client.ok('DELETE Now.Below');
  client.close();
});

test('7: imapflow stores and fetches', async () => {
  const { system } = mails;
  const { login, password } = system.user('alice');
  const client = new ImapFlow({
    ...{ host: 'localhost', port: system.imapPort, secure: true, logger: false },
    tls: { ca: system.pki.ca.certificate },
    auth: { user: login, pass: password },
  });
  await client.connect();
  const octets = aliceWrites('by imapflow', 'words\r\n');
  const stored = await client.append('Sent', octets, ['\\Seen'], new Date('2026-01-02T03:04:05Z'));
  if (stored === false || stored.uid === undefined) throw new Error('not stored');
  const lock = await client.getMailboxLock('Sent');
  const query = {
    source: true,
    size: true,
    envelope: true,
    flags: true,
    internalDate: true,
    bodyStructure: true,
  };
  const found = await client.fetchOne(String(stored.uid), query, { uid: true });
  if (found === false || found === undefined) throw new Error('not there');
  expect(found.source?.equals(octets)).toBe(true);
  expect(found.size).toBe(octets.length);
  expect(found.envelope?.subject).toBe('by imapflow');
  expect(found.flags?.has('\\Seen')).toBe(true);
  expect(new Date(found.internalDate ?? 0).toISOString()).toBe('2026-01-02T03:04:05.000Z');
  expect(found.bodyStructure?.childNodes?.map(({ type }) => type)).toEqual([
    'text/plain',
    'application/octet-stream',
  ]);
  lock.release();
  await client.logout();
});

test('7: whoever has no certificate is told so, keeps the mail, and nothing of it is stored', async () => {
  const client = await mails.through('bob');
  const octets = aliceWrites('for nobody', 'these must not be stored\r\n');
  const { status, text } = await client.command('APPEND Sent ', octets);
  expect([status, text]).toEqual(['NO', expect.stringMatching(/^\[CANNOT\] .*not stored.*administrator/)]);
  client.socket.write(`s APPEND Drafts {${octets.length}}\r\n`);
  expect((await client.response()).tag).toBe('+');
  client.socket.write(Buffer.concat([octets, Buffer.from('\r\n')]));
  expect((await client.answer('s')).status).toBe('NO');
  // Where no rule applies it is stored as it is.
  await client.append('INBOX', octets);
  await client.ok('SELECT Sent');
  expect(await client.fetch('FETCH 1:* (UID)').catch(() => [])).toEqual([]);
  client.close();
});

test('7: what its client has encrypted is stored as it is, and shown as other encrypted mail', async () => {
  const client = await mails.through('alice');
  const entity = await encrypted(textEntity('encrypted by the client'), [
    mails.system.user('alice').identity,
  ]);
  const octets = mailOf(['From: alice@sealgate.test', 'Subject: by the client'], entity);
  const uid = await client.append('Sent', octets);
  await client.ok('SELECT Sent');
  const direct = await mails.direct('alice', 'EXAMINE Sent');
  expect((await direct.item(uid, 'BODY.PEEK[]')).equals(octets)).toBe(true);
  const view = await client.item(uid, 'BODY.PEEK[]');
  expect(view.length).toBe(octets.length);
  expect(view.toString()).toContain('encrypted by the client');
  client.close();
  direct.close();
});

test('7: several messages at once, and messages made of others, are refused whole', async () => {
  const client = await mails.through('alice', 'SELECT Safe');
  const before = (await client.fetch('FETCH 1:* (UID)')).length;
  const [one, two] = [aliceWrites('m1', 'x\r\n'), aliceWrites('m2', 'y\r\n')];
  expect((await client.command('APPEND Safe ', one, ' (\\Seen) ', two)).status).toBe('BAD');
  expect((await client.command('APPEND Safe CATENATE (URL "/INBOX;UIDVALIDITY=1/;UID=1")')).status).toBe(
    'BAD',
  );
  expect((await client.ok('NOOP')).status).toBe('OK');
  expect((await client.fetch('FETCH 1:* (UID)')).length).toBe(before);
  const { untagged } = await client.ok('CAPABILITY');
  expect(untagged[0]?.text).not.toContain('MULTIAPPEND');
  client.close();
});

test('7: a mailbox that is not there is made, as the mail server says; its name may come as a literal', async () => {
  const client = await mails.through('alice');
  const octets = aliceWrites('try create', 'words\r\n');
  const { status, text } = await client.command('APPEND SafeNew ', octets);
  expect([status, text]).toEqual(['NO', expect.stringContaining('[TRYCREATE]')]);
  await client.create('SafeNew');
  await client.ok('APPEND ', Buffer.from('SafeNew'), ' (\\Draft) ', octets);
  await client.ok('SELECT SafeNew');
  expect((await client.item(1, 'BODY.PEEK[]')).equals(octets)).toBe(true);
  expect((await mails.kept('alice')).includes('try create')).toBe(false);
  client.close();
});

/** Of this process, in which the gateway runs: files without a name, where spools are. */
async function unnamedFiles(): Promise<Buffer> {
  const found: Buffer[] = [];
  for (const fd of await readdir('/proc/self/fd')) {
    const target = await readlink(`/proc/self/fd/${fd}`).catch(() => '');
    if (target.startsWith('/') && target.endsWith(' (deleted)'))
      found.push(await readFile(`/proc/self/fd/${fd}`).catch(() => Buffer.alloc(0)));
  }
  return Buffer.concat(found);
}

test('7: a mailbox that Dovecot has by further names is encrypted by each of them', async () => {
  const alias = (name: string, list: string): string =>
    `namespace ${name} {\n  prefix = ${name}.\n  separator = .\n  alias_for =\n  hidden = yes\n  list = ${list}\n}\n`;
  const other = await startAtRestSystem(undefined, `${alias('SHOWN', 'yes')}${alias('UNSHOWN', 'no')}`);
  try {
    const client = await other.through('alice');
    const words = aliceWrites('by another name', 'words by another name\r\n');
    // Dovecot makes it when it is asked for by its own name.
    await client.ok('STATUS Sent (MESSAGES)');
    await client.ok('APPEND SHOWN.Sent ', words);
    await client.ok('SELECT SHOWN.Sent');
    expect((await client.item(1, 'BODY.PEEK[]')).equals(words)).toBe(true);
    await client.ok('SELECT Sent');
    expect((await client.item(1, 'BODY.PEEK[]')).equals(words)).toBe(true);
    await client.ok('APPEND UNSHOWN.Sent ', words);
    await client.ok('NOOP');
    expect((await client.item(2, 'BODY.PEEK[]')).equals(words)).toBe(true);
    await client.create('Other');
    await client.ok('APPEND SHOWN.Other ', aliceWrites('clear', 'these may be read\r\n'));
    const { status, text } = await client.command('APPEND SHOWN.Nowhere ', words);
    expect([status, text.slice(0, 11)]).toEqual(['NO', '[TRYCREATE]']);
    client.close();
    const stored = await other.kept('alice');
    expect(stored.includes('words by another name')).toBe(false);
    expect(stored.includes('these may be read')).toBe(true);
  } finally {
    await other.stop();
  }
});
