import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse, stringify } from 'yaml';
import { runProgram, runToEnd } from '../../src/evaluation/run-program.ts';
import { type GatewayProcess, startByHand } from '../attacks/support/gateway-process.ts';
import { foundInMemory, privateKeyNeedles } from '../attacks/support/process-memory.ts';
import { addressOf, type MailSystem, opensslVerify, startMailSystem } from '../support/mail-system.ts';

/** Three accounts on one gateway, each with a key file of its own. What one has, the others never get, by whatever way. */

const NAMES = ['alice', 'bob', 'carol'] as const;
let system: MailSystem;
let gateway: GatewayProcess;

beforeAll(async () => {
  system = await startMailSystem({
    users: NAMES,
    rules: [{ name: 'all', sign: 'require', encrypt: 'never' }],
  });
  gateway = await startByHand(system, 'several', { stateFolder: join(system.folder, 'state-several') });
});
afterAll(async () => {
  await gateway?.stop();
  await system?.stop();
});

async function send(as: string, mail: { from: string; subject: string; raw?: string }): Promise<string> {
  const client = createTransport({
    ...{ host: 'localhost', port: gateway.port('submission'), requireTLS: true },
    tls: { ca: system.pki.ca.certificate },
    auth: { user: system.user(as).login, pass: system.user(as).password },
  });
  try {
    const content = mail.raw === undefined ? { text: mail.subject } : { raw: mail.raw };
    const { subject, from } = mail;
    const to = addressOf('carol');
    return (await client.sendMail({ subject, ...content, from, to, envelope: { from, to } })).response;
  } catch (error) {
    return (error as { response?: string }).response ?? String(error);
  } finally {
    client.close();
  }
}

describe('M5: several accounts on one gateway, strictly apart', () => {
  it('each signs with the own key, all at the same time', async () => {
    const replies = await Promise.all(
      NAMES.flatMap((name) =>
        Array.from({ length: 5 }, (_, i) => send(name, { from: addressOf(name), subject: `${name}-${i}` })),
      ),
    );
    expect(replies.filter((reply) => !reply.startsWith('250'))).toEqual([]);
    const mails = system.taken();
    expect(mails).toHaveLength(15);
    for (const { octets, envelope } of mails) {
      await opensslVerify(system, octets);
      const signer = join(system.folder, 'signer.pem');
      const verify = ['cms', '-verify', '-CAfile', system.pki.ca.certificateFile, '-signer', signer];
      await runProgram('openssl', verify, { input: octets });
      const { stdout } = await runProgram('openssl', ['x509', '-in', signer, '-noout', '-email']);
      expect(stdout.toString().trim()).toBe(envelope.reversePath);
    }
  });

  it.each([
    ['bob in From', { from: addressOf('bob'), subject: 'x' }],
    [
      'bob in From, alice in the envelope',
      { from: addressOf('alice'), subject: 'x', raw: `From: ${addressOf('bob')}\r\nSubject: x\r\n\r\nx\r\n` },
    ],
    [
      'both in From',
      {
        from: addressOf('alice'),
        subject: 'x',
        raw: `From: ${addressOf('alice')}, ${addressOf('bob')}\r\nSender: ${addressOf('alice')}\r\nSubject: x\r\n\r\nx\r\n`,
      },
    ],
  ])('alice cannot have bob’s key sign: %s', async (_, mail) => {
    const before = gateway.output().length;
    expect(await send('alice', mail)).toMatch(/^550/);
    expect(system.taken()).toEqual([]);
    expect(usesOf('bob', before)).toEqual([]);
  });

  it('alice cannot read what was encrypted to bob, though it lies in her mailbox', async () => {
    const entity = Buffer.from('Content-Type: text/plain\r\n\r\nfor bob alone\r\n');
    const { certificateFile } = system.user('bob').identity;
    const encrypt = ['cms', '-encrypt', '-aes-256-cbc', certificateFile];
    const { stdout } = await runProgram('openssl', encrypt, { input: entity });
    const raw = `From: x@elsewhere.test\r\nTo: ${addressOf('bob')}\r\n${stdout}`.replace(/\r?\n/g, '\r\n');
    const direct = createTransport({
      ...{ host: 'localhost', port: system.upstream.port, requireTLS: true },
      tls: { ca: system.pki.ca.certificate },
      auth: { user: system.user('alice').login, pass: system.user('alice').password },
    });
    const to = [addressOf('alice'), addressOf('bob')];
    await direct.sendMail({ envelope: { from: 'x@elsewhere.test', to }, raw });
    direct.close();
    const before = system.events.length;
    const [hers, his] = [await system.read('alice'), await system.read('bob')];
    expect(hers.at(-1)?.toString()).not.toContain('for bob alone');
    expect(his.at(-1)?.toString()).toContain('for bob alone');
    const used = system.events.slice(before).flatMap((event) => (event.event === 'key.used' ? [event] : []));
    expect(used.length).toBeGreaterThan(0);
    for (const { principal, key } of used) expect(principal).toBe(addressOf(key.split('/')[0] ?? ''));
  });

  it('the key of one is in no process that serves another, and none is in the gateway itself', async () => {
    const needles = new Map(
      NAMES.flatMap((name) => [...privateKeyNeedles(name, system.user(name).identity.key)]),
    );
    const owners = async (pid: number): Promise<string[]> => {
      const found = await foundInMemory(pid, needles);
      return NAMES.filter((name) => found.some((needle) => new RegExp(` of ${name}\\b`).test(needle)));
    };
    expect(await owners(gateway.child.pid ?? 0)).toEqual([]);
    const held = await Promise.all((await gateway.children()).map(owners));
    expect(held.filter((names) => names.length > 0).sort()).toEqual([['alice'], ['bob'], ['carol']]);
  });

  it('a configuration that gives one account’s card to another as well is refused, at its line', async () => {
    const settings = parse(await readFile(system.configFile, 'utf8')) as {
      keys: object[];
      principals: { list: { keys: string[] }[] };
    };
    settings.keys.push({ name: 'card', kind: 'card', module: process.execPath, pin: { ask: 'console' } });
    for (const principal of settings.principals.list.slice(0, 2)) principal.keys.push('card');
    const file = join(system.folder, 'shared-card.yaml');
    await writeFile(file, stringify(settings), { mode: 0o600 });
    const checked = await runToEnd(process.execPath, ['src/main.ts', 'config', 'check', '--config', file]);
    expect(checked.failure).toBe('exit code 1');
    expect(checked.stdout.toString() + checked.stderr.toString()).toMatch(/shared-card\.yaml:\d+:\d+.*card/);
  });
});

/** Audit lines of a login's key since then. */
function usesOf(name: string, since: number): string[] {
  return gateway
    .output()
    .slice(since)
    .split('\n')
    .filter((line) => line.includes('"key.used"') && line.includes(`"key":"${name}`));
}
