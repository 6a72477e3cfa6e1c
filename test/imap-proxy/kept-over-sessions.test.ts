import { execFile } from 'node:child_process';
import { access, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { type Gateway, startGateway } from '../../src/gateway.ts';
import { readSearchResponse } from '../../src/imap-proxy/search/search-response.ts';
import type { Event } from '../../src/log/events.ts';
import type { ImapClient } from '../conformance/support/imap-client.ts';
import { octetsOf } from '../conformance/support/imap-response.ts';
import { loggedIn, type SeededMailbox, seededMailbox } from '../conformance/support/seeded-mailbox.ts';

/** `reading.store`: with real servers, real keys and every class of message, over restarts. */

let mailbox: SeededMailbox;
let running: { gateway: Gateway; events: Event[] };
beforeAll(async () => {
  mailbox = await seededMailbox({ reading: { store: { keep: 'on' } } });
  running = { gateway: mailbox.system.gateway, events: [...mailbox.system.events] };
});
afterAll(async () => {
  await running?.gateway.close();
  await mailbox?.stop();
});

async function restart(store: object): Promise<void> {
  await running.gateway.close();
  const settings = parse(await readFile(mailbox.system.configFile, 'utf8')) as Record<string, unknown>;
  const file = join(mailbox.system.folder, 'restarted.yaml');
  await writeFile(file, stringify({ ...settings, reading: { store } }), { mode: 0o600 });
  const loaded = await loadConfig(file);
  if (loaded.kind === 'invalid') throw new Error(JSON.stringify(loaded.problems));
  const { stateFolder } = loaded.config;
  opened = join(stateFolder, 'opened.sqlite');
  const events: Event[] = [];
  running = { gateway: await startGateway(loaded.config, { write: (event) => events.push(event) }), events };
}

let opened = '';

async function client(): Promise<ImapClient> {
  const { system } = mailbox;
  const session = await loggedIn(running.gateway.port('imaps'), system, 'bob', system.pki.ca.certificate);
  await session.ok('SELECT INBOX');
  return session;
}

async function everything(session: ImapClient): Promise<string[]> {
  const answers = await session.fetch('UID FETCH 1:* (UID RFC822.SIZE BODYSTRUCTURE ENVELOPE BODY.PEEK[])');
  return answers.map(
    ({ items }) => JSON.stringify([...items]) + octetsOf(items.get('BODY[]')).toString('latin1'),
  );
}

async function search(session: ImapClient, criteria: string): Promise<number[]> {
  const { untagged } = await session.ok(`UID SEARCH ${criteria}`);
  return untagged.flatMap(({ octets }) => [...(readSearchResponse(octets)?.numbers ?? [])]);
}

const SEARCHES = [
  'BODY "these are the words"',
  'NOT TEXT words',
  'TEXT "words of signed"',
  'OR SUBJECT hidden BODY words',
  'UNSEEN BODY words FROM alice',
];

const count = (event: Event['event']): number => running.events.filter((each) => each.event === event).length;

test('what was read in one session is read and found in the next, after a restart, by one use of each key', async () => {
  const first = await client();
  const before = await everything(first);
  const found = [];
  for (const each of SEARCHES) found.push(await search(first, each));
  expect(found[0]?.length).toBeGreaterThan(3);
  first.close();
  await restart({ keep: 'on' });
  const finding = await client();
  // What no key has opened is not kept: it is opened without one.
  for (const name of ['opaque-signed', 'foreign', 'corrupt']) {
    await finding.item(mailbox.message(name).uid, 'BODY.PEEK[]');
  }
  const without = [count('mail.opened'), count('key.used')];
  for (const [at, each] of SEARCHES.entries()) {
    expect([each, await search(finding, each)]).toEqual([each, found[at]]);
  }
  // One for each of bob's two keys, and no mail was opened.
  expect([count('mail.opened'), count('key.used') - Number(without[1]), count('mail.reopened')]).toEqual([
    without[0],
    2,
    0,
  ]);
  expect(await everything(finding)).toEqual(before);
  expect(count('mail.reopened')).toBeGreaterThan(3);
  finding.close();
});

test('an administrator empties it for one login, while the gateway runs, and it fills again', async () => {
  await restart({ keep: 'on' });
  const { system } = mailbox;
  const forget = async (login: string): Promise<string> => {
    const run = promisify(execFile);
    const args = ['src/main.ts', 'reading', 'forget', '--login', login, '-c', system.configFile];
    return (await run(process.execPath, args)).stdout;
  };
  expect(await forget('carol')).toContain('0 opened mails');
  expect(await forget(system.user('bob').login)).toMatch(/Of bob.* [1-9][0-9]* opened mails had been kept/);
  const session = await client();
  const seen = await everything(session);
  expect([count('mail.reopened'), count('view.store-unavailable')]).toEqual([0, 0]);
  session.close();
  await restart({ keep: 'on' });
  const next = await client();
  expect(await everything(next)).toEqual(seen);
  expect(count('mail.reopened')).toBeGreaterThan(3);
  next.close();
});

test('the file is nobody else’s to read, and goes when nothing is to be kept any more', async () => {
  await restart({ keep: 'on' });
  expect((await stat(opened)).mode & 0o777).toBe(0o600);
  const text = (await readFile(opened)).toString('latin1');
  expect(text.length).toBeGreaterThan(50_000);
  const isIn = (word: string): boolean => text.includes(word);
  expect(['the words of', 'sealgate.test', 'INBOX', 'MIME'].filter(isIn)).toEqual([]);
  await restart({ keep: 'off' });
  await expect(access(opened)).rejects.toThrow(/ENOENT/);
  const session = await client();
  expect(await search(session, 'BODY "these are the words of"')).not.toContain(0);
  expect(count('key.used')).toBe(0);
  session.close();
});
