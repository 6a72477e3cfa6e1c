import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Mbsync, mbsync } from '../support/services/mbsync.ts';
import type { Answer } from './support/imap-client.ts';
import { octetsOf } from './support/imap-response.ts';
import { layInto, smallMail } from './support/many-messages.ts';
import { type SeededMailbox, seededMailbox, sha256 } from './support/seeded-mailbox.ts';

const MANY = 10_000;

let mailbox: SeededMailbox;
beforeAll(async () => {
  mailbox = await seededMailbox();
  const direct = await mailbox.direct();
  await direct.create('Many');
  const { octets } = mailbox.message('enveloped by GCM');
  const mails = Array.from({ length: MANY }, (_, index) =>
    index % 500 === 7 ? octets : smallMail(`mail ${index}`),
  );
  await layInto(join(mailbox.system.dovecot.mailFolder(mailbox.system.user('bob').login), '.Many'), mails);
  direct.close();
});
afterAll(() => mailbox?.stop());

const account = () => ({
  port: mailbox.system.imapPort,
  ...mailbox.system.user('bob'),
  tls: 'implicit' as const,
  caFile: mailbox.system.pki.ca.certificateFile,
});

test.each([1, 50])(
  '21: pulls every class with %d commands under way; the second run changes nothing, near or far',
  async (pipelineDepth) => {
    const before = await mailbox.originals();
    await using client = await mbsync({ ...account(), patterns: 'INBOX', pipelineDepth });
    const first = await client.sync();
    expect(first.succeeded, first.transcript).toBe(true);
    const pulled = await mirrored(client);
    expect(pulled.length).toBe(mailbox.messages.length);
    const reader = await mailbox.through('EXAMINE INBOX');
    for (const { uid } of mailbox.messages) {
      const view = (await reader.item(uid, 'BODY.PEEK[]')).toString('latin1').replace(/\r\n/g, '\n');
      expect(pulled.some((mail) => withoutTuid(mail) === view)).toBe(true);
    }
    reader.close();
    await expectIdle(client);
    expect(await mailbox.originals()).toEqual(before);
  },
);

test(`21: ${MANY} messages, then nothing`, async () => {
  await using client = await mbsync({ ...account(), patterns: 'Many', pipelineDepth: 50 });
  const first = await client.sync();
  expect(first.succeeded, first.transcript.slice(-500)).toBe(true);
  const names = await fileNames(join(client.folder, 'Many'));
  expect(names.length).toBe(MANY);
  const second = await client.sync();
  expect(second.succeeded, second.transcript.slice(-500)).toBe(true);
  expect(await fileNames(join(client.folder, 'Many'))).toEqual(names);
});

test('21: MaxSize at the size that the mail server tells: the mail comes; one octet less, and only a placeholder does', async () => {
  const { octets } = mailbox.message('triple wrapped');
  for (const [maxSize, comes] of [
    [octets.length, true],
    [octets.length - 1, false],
  ] as const) {
    await using client = await mbsync({ ...account(), patterns: 'INBOX', maxSize });
    const { succeeded, transcript } = await client.sync();
    expect(succeeded, transcript).toBe(true);
    const found = (await mirrored(client)).some((mail) => mail.includes('words of triple wrapped.'));
    expect(found).toBe(comes);
  }
});

test('22: pushes what was written near; it is found again by its X-TUID, and not pushed or pulled twice', async () => {
  await using client = await mbsync({ ...account(), patterns: 'INBOX' });
  await client.sync();
  await expectPush(client, () => mailbox.originals());
});

test('22: where no UID is told, the mark is found among the newest messages, as mbsync looks for it', async () => {
  const client = await mailbox.through('SELECT INBOX');
  const uid = await client.append(
    'INBOX',
    Buffer.from('X-TUID: abcdefghijkl\r\nSubject: marked\r\n\r\nx\r\n'),
  );
  // A sealed mail that arrives behind it is listed without its key.
  const sealed = await client.append('INBOX', mailbox.message('enveloped by GCM').octets);
  const uses = mailbox.keyUses();
  const found = await client.fetch(`UID FETCH ${uid}:* (UID BODY.PEEK[HEADER.FIELDS (X-TUID)])`);
  expect(
    found.map(({ items }) => [
      Number(items.get('UID')),
      octetsOf(items.get('BODY[HEADER.FIELDS (X-TUID)]')).toString(),
    ]),
  ).toEqual([
    [uid, 'X-TUID: abcdefghijkl\r\n\r\n'],
    [sealed, '\r\n'],
  ]);
  expect(mailbox.keyUses()).toBe(uses);
  client.close();
});

test('23: UID FETCH of n:* beyond the last UID, and of what is expunged, is answered as the mail server does', async () => {
  const clients = [await mailbox.through('SELECT Many'), await mailbox.direct('SELECT Many')] as const;
  for (const command of [
    `UID FETCH ${MANY + 100}:* (UID FLAGS)`,
    `UID FETCH ${MANY + 100}:* (UID FLAGS RFC822.SIZE BODY.PEEK[HEADER.FIELDS (X-TUID MESSAGE-ID)])`,
    `UID FETCH ${MANY + 100} (BODY.PEEK[])`,
    `UID FETCH ${MANY + 100}:${MANY + 200} (BODYSTRUCTURE)`,
  ]) {
    const [through, direct] = await Promise.all(clients.map((client) => client.command(command)));
    expect([command, through?.status, textsOf(through)]).toEqual([command, direct?.status, textsOf(direct)]);
  }
  const [through, direct] = clients;
  // Expunged by somebody else, while this session has not been told.
  await direct.ok('UID STORE 8 +FLAGS.SILENT (\\Deleted)');
  await direct.ok('UID EXPUNGE 8');
  const { status, untagged } = await through.command('UID FETCH 8 (UID BODY.PEEK[])');
  expect(['OK', 'NO']).toContain(status);
  expect(untagged.filter(({ text }) => / FETCH .*BODY\[\] \{/.test(text))).toEqual([]);
  expect((await through.ok('NOOP')).status).toBe('OK');
  for (const client of clients) client.close();
});

/** Without the flag that only one session has. */
function textsOf(answer: Answer | undefined): string[] {
  return (answer?.untagged ?? []).map(({ text }) => text.replace(/\\Recent ?/, ''));
}

async function expectPush(client: Mbsync, far: () => Promise<string[]>): Promise<void> {
  const before = await far();
  const mail = smallMail(`written near, at ${Date.now()}`).toString('latin1').replace(/\r\n/g, '\n');
  await writeFile(join(client.inbox, 'new', '1700000000.1_1.here'), mail);
  const pushed = await client.sync();
  expect(pushed.succeeded, pushed.transcript).toBe(true);
  const after = await far();
  expect(after.length).toBe(before.length + 1);
  expect(before.filter((digest) => !after.includes(digest))).toEqual([]);
  await expectIdle(client);
  expect(await far()).toEqual(after);
}

/** A run that finds nothing to do. */
async function expectIdle(client: Mbsync): Promise<void> {
  const before = (await mirrored(client)).map(sha256);
  const { succeeded, transcript } = await client.sync();
  expect(succeeded, transcript).toBe(true);
  expect(transcript).not.toMatch(/error|warning/i);
  expect((await mirrored(client)).map(sha256)).toEqual(before);
}

async function mirrored({ inbox }: Mbsync): Promise<Buffer[]> {
  const names = await fileNames(inbox);
  return Promise.all(names.map((name) => readFile(join(inbox, name))));
}

async function fileNames(maildir: string): Promise<string[]> {
  const parts = await Promise.all(
    ['new', 'cur'].map(async (part) => (await readdir(join(maildir, part))).map((name) => join(part, name))),
  );
  return parts.flat().sort();
}

/** mbsync marks what it pulls with a field of its own. */
function withoutTuid(mail: Buffer): string {
  return mail.toString('latin1').replace(/^X-TUID: .*\n/m, '');
}
