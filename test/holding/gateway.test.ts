import { X509Certificate } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runSealgate } from '../commands/support/run-sealgate.ts';
import { addressOf, type MailSystem, opensslOpen, startMailSystem } from '../support/mail-system.ts';
import { aliceGets, signedBy } from '../workflows/support/from-elsewhere.ts';

/** Mail that waits in a whole gateway, and what operators do about it beside. */

let system: MailSystem;
let cache = '';
const BOB = addressOf('bob');
beforeAll(async () => {
  cache = await mkdtemp(join(tmpdir(), 'sealgate-code-'));
  system = await startMailSystem({
    users: ['alice', 'bob'],
    withoutKeys: ['bob'],
    queue: {},
    rules: [{ name: 'strict', sign: 'require', encrypt: 'require', withoutCertificate: 'hold' }],
  });
});
afterAll(async () => {
  await system.stop();
  await rm(cache, { recursive: true });
});

async function sealgate(...args: string[]): Promise<string> {
  const { code, out, error } = await runSealgate([...args, '--config', system.configFile], { cache });
  return code === 0 ? out : `${code}: ${error}`;
}

async function held(text: string): Promise<string> {
  const response = await system.send('alice', { to: BOB, subject: 'offer', text });
  return /\(mail (\w+)\)/.exec(response)?.[1] ?? response;
}

const inbox = (name: string) => system.stored(name).catch((): Buffer[] => []);

test('a certificate that is distrusted between the two releases nothing; once it is not any more, the mail leaves', async () => {
  const id = await held('the boathouse key');
  const listed = await sealgate('held', 'list');
  expect(listed).toContain(`${id}  from ${addressOf('alice')} (login ${addressOf('alice')}), rule strict\n`);
  expect(listed).toContain('  Subject: offer\n');
  expect(listed).toContain(`    ${BOB}: waiting, no valid certificate is known\n`);
  const { identity } = system.user('bob');
  const fingerprint = new X509Certificate(identity.certificate).fingerprint256;
  await sealgate('cert', 'distrust', fingerprint, '--reason', 'stolen');
  await aliceGets(system, await signedBy(identity, 'Content-Type: text/plain\r\n\r\nhello\r\n'));
  expect(await sealgate('held', 'release', id)).toContain(`${BOB}: waiting`);
  expect(await inbox('bob')).toEqual([]);
  const undone = await sealgate('cert', 'undo', '1', '--reason', 'found again');
  expect(undone).toMatch(/taken back/);
  await sealgate('cert', 'accept', BOB, fingerprint, '--reason', 'found again');
  expect(await sealgate('held', 'release', id, '--to', BOB)).toContain(`${BOB}: leaving`);
  await expect.poll(() => inbox('bob')).toHaveLength(1);
  const [mail = Buffer.alloc(0)] = await inbox('bob');
  expect((await opensslOpen(system, mail, 'bob')).toString()).toContain('the boathouse key');
  expect(await sealgate('held', 'list')).toBe('Nothing waits.\n');
  expect(await sealgate('held', 'show', id)).toContain(`${BOB}: leaving, it is encrypted\n`);
  const shown = () => sealgate('held', 'show', id);
  await expect.poll(shown).toContain('what was leaving is not in the queue any more: the log says');
});

test('an operator discards what waits, and its sender is told; nobody sends it unencrypted where the rule forbids it', async () => {
  const fingerprint = new X509Certificate(system.user('bob').identity.certificate).fingerprint256;
  await sealgate('cert', 'distrust', fingerprint, '--reason', 'lost again');
  const id = await held('for nobody');
  // What cannot be chosen is refused before anything is asked.
  for (const yes of [['--yes'], []])
    expect(await sealgate('held', 'send-signed', id, ...yes)).toMatch(
      /^[^0].*may not be sent unless it is encrypted/s,
    );
  expect(await sealgate('held', 'discard', id)).toMatch(/^[^0].*say --yes/s);
  expect(await sealgate('held', 'discard', id, '--yes', '--to', 'mallory@else.example')).toMatch(
    /^[^0].*does not wait/s,
  );
  const json = JSON.parse(await sealgate('held', 'discard', id, '--yes', '--json', '--by', 'root'));
  expect(json).toMatchObject({ outcome: 'done', mail: { id, recipients: [{ state: 'discarded' }] } });
  const report = async () =>
    (await inbox('alice')).map(String).find((text) => text.includes('multipart/report')) ?? '';
  await expect.poll(report).toContain(`Final-Recipient: rfc822; ${BOB}\nAction: failed`);
  expect(await report()).toContain('discarded by an administrator');
  expect(await inbox('bob')).toHaveLength(1);
  expect(await sealgate('held', 'show', 'nothing')).toMatch(/^[^0].*No mail with the id nothing waits/s);
});

test('what somebody else answers, or answers wrongly, is refused by the listener', async () => {
  await expect(system.send('bob', { to: addressOf('gateway'), subject: 'x', text: 'send' })).rejects.toThrow(
    /550 5\.1\.1/,
  );
  await expect(
    system.send('alice', { to: [addressOf('gateway+x'), BOB], subject: 'x', text: 'send' }),
  ).rejects.toThrow();
  expect(await inbox('bob')).toHaveLength(1);
});
