import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runProgram } from '../../src/evaluation/run-program.ts';
import { ImapClient } from '../conformance/support/imap-client.ts';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import { services } from '../support/services/services.ts';

/** `sealgate reading new-epoch` with a running gateway, Dovecot, and clients that keep what they have fetched. */
describe('a new epoch', () => {
  let system: MailSystem;

  beforeAll(async () => {
    system = await startMailSystem({ users: ['alice', 'bob'], pinned: ['bob'] });
    for (const subject of ['one', 'two', 'three'])
      await system.send('alice', { to: addressOf('bob'), subject, text: `words of ${subject}` });
  });
  afterAll(() => system?.stop());

  async function newEpoch(...more: string[]): Promise<string> {
    const command = [
      'reading',
      'new-epoch',
      '--config',
      system.configFile,
      '--login',
      addressOf('bob'),
      ...more,
    ];
    const { stdout } = await runProgram(process.execPath, [resolve('src/main.ts'), ...command]);
    return stdout.toString();
  }

  async function client(): Promise<ImapClient> {
    const opened = await ImapClient.open(system.imapPort, system.pki.ca.certificate);
    await opened.login(system.user('bob').login, system.user('bob').password);
    return opened;
  }

  /** All that is answered. */
  async function said(session: ImapClient, command: string): Promise<string> {
    const { untagged, text } = await session.ok(command);
    return [...untagged.map((each) => inspect(each, { depth: 9 })), text].join('\n');
  }

  const validity = (said: string, name = 'UIDVALIDITY'): number =>
    Number(new RegExp(`${name} ([0-9]+)`).exec(said)?.[1]);

  test('is told wherever Dovecot says UIDVALIDITY, from the next SELECT on', async () => {
    const one = await client();
    const first = validity(await said(one, 'SELECT INBOX'));
    const view = await one.item(1, 'BODY.PEEK[]');
    expect(await newEpoch('--mailbox', 'inbox')).toContain('downloads the mailbox INBOX again');
    expect(validity(await said(one, 'STATUS INBOX (UIDVALIDITY)'))).toBe(first);
    const two = await client();
    await two.ok('ENABLE QRESYNC');
    const selected = await said(two, `SELECT INBOX (QRESYNC (${first} 1 1:9))`);
    const told = validity(selected);
    expect(told).toBeGreaterThan(first);
    expect(selected).not.toMatch(/VANISHED|FETCH/);
    expect(await said(two, `SELECT INBOX (QRESYNC (${told} 1 1:9))`)).toMatch(/VANISHED|FETCH/);
    expect(validity(await said(two, 'STATUS INBOX (UIDVALIDITY)'))).toBe(told);
    expect(validity(await said(two, 'LIST "" INBOX RETURN (STATUS (UIDVALIDITY))'))).toBe(told);
    expect(validity(await said(two, 'UID COPY 1 INBOX'), 'COPYUID')).toBe(told);
    expect((await two.item(1, 'BODY.PEEK[]')).toString()).toContain('words of one');
    // The former one is still what the first session has selected.
    expect(await one.item(1, 'BODY.PEEK[]')).toEqual(view);
    expect(validity(await said(one, 'SELECT INBOX'))).toBe(told);
    await one.ok('UID STORE 4 +FLAGS (\\Deleted)');
    await one.ok('UID EXPUNGE 4');
    one.close();
    two.close();
  });

  test('mbsync loses nothing and has nothing twice, here or there', async () => {
    const mbsync = await services.mbsync({
      ...{ port: system.imapPort, ...system.user('bob'), tls: 'implicit' },
      caFile: system.pki.ca.certificateFile,
    });
    try {
      expect((await mbsync.sync()).succeeded).toBe(true);
      const far = digests(await system.stored('bob'));
      const near = await mails(mbsync.inbox);
      expect(near).toHaveLength(3);
      const said = JSON.parse(await newEpoch('--json')) as object;
      expect(said).toMatchObject({
        login: addressOf('bob'),
        mailbox: null,
        servers: [{ known: expect.any(Number) }],
      });
      for (let run = 0; run < 2; run++) {
        const { succeeded, transcript } = await mbsync.sync();
        expect(succeeded, transcript).toBe(true);
        expect(digests(await system.stored('bob'))).toEqual(far);
        expect(digests(await mails(mbsync.inbox))).toEqual(digests(near));
      }
      await system.send('alice', { to: addressOf('bob'), subject: 'four', text: 'words of four' });
      expect((await mbsync.sync()).succeeded).toBe(true);
      expect(await mails(mbsync.inbox)).toHaveLength(4);
      expect(await system.stored('bob')).toHaveLength(4);
    } finally {
      await mbsync.stop();
    }
  });
});

async function mails(inbox: string): Promise<Buffer[]> {
  const found: Buffer[] = [];
  for (const folder of ['cur', 'new'])
    for (const file of await readdir(join(inbox, folder)))
      found.push(await readFile(join(inbox, folder, file)));
  return found;
}

function digests(all: readonly Buffer[]): string[] {
  return all.map((octets) => createHash('sha256').update(octets).digest('hex')).sort();
}
