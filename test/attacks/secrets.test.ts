import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { addressOf, type MailSystem, startMailSystem } from '../support/mail-system.ts';
import type { Started } from '../support/services/disposable.ts';
import { services } from '../support/services/services.ts';
import type { SoftHsm } from '../support/services/softhsm.ts';
import { type GatewayProcess, startByHand } from './support/gateway-process.ts';
import { bulkCommand, strangerAt } from './support/mailbox.ts';
import { foundInMemory, privateKeyNeedles } from './support/process-memory.ts';

/**
 * A whole run as an operator has it (`serve --config`, log level debug), with keys on a token and in files; then every
 * place where a secret could have got to is searched for each of them.
 */

let token: Started<SoftHsm>;
let system: MailSystem;
let gateway: GatewayProcess;
const TOKEN_VARIABLE = 'SEALGATE_TEST_UNRELATED_SECRET';
const VALUES = new Map<string, Buffer>();

beforeAll(async () => {
  token = await services.softhsm();
  system = await startMailSystem({
    users: ['alice', 'bob'],
    // Alice's certificate is on her token: bob's gateway learns it from her mail.
    pinned: ['bob'],
    async keys({ pki, folder, users }) {
      await token.generateKey(pki, { address: addressOf('alice') });
      const pin = join(folder, 'token.pin');
      const password = join(folder, 'bob.password');
      await writeFile(pin, token.pin, { mode: 0o600 });
      await writeFile(password, users.get('bob')?.identity.password ?? '', { mode: 0o600 });
      const source = { kind: 'pkcs11', module: token.module, token: token.tokenLabel, pin: { file: pin } };
      return [
        { name: 'alice', ...source, environment: token.env },
        {
          name: 'bob',
          kind: 'pkcs12',
          file: users.get('bob')?.identity.pkcs12File,
          password: { file: password },
        },
      ];
    },
  });
  const state = { stateFolder: join(system.folder, 'state-by-hand') };
  gateway = await startByHand(system, 'by-hand', state, { [TOKEN_VARIABLE]: 'unrelated-4711-secret' });
}, 120_000);
afterAll(async () => {
  gateway?.child.kill('SIGTERM');
  await system?.stop();
  await token?.stop();
});

it('a run: mails by both, read by both; wrong passwords', async () => {
  await expect(send('alice', 'bob', 'mistyped-hunter2')).rejects.toThrow();
  await send('alice', 'bob');
  expect(await read('bob')).toContain('secret body');
  // By now alice's certificate is known: this one only her token opens.
  await send('bob', 'alice');
  expect(await read('alice')).toMatch(/view=opened; enc=aes/);
  // What it prints comes by another way than its answers.
  await expect.poll(() => gateway.output()).toMatch(/"event":"key.used".*"operation":"decrypt"/);
});

async function send(from: string, to: string, pass = system.user(from).password): Promise<void> {
  const client = createTransport({
    host: 'localhost',
    port: gateway.port('submission'),
    requireTLS: true,
    tls: { ca: system.pki.ca.certificate },
    auth: { user: system.user(from).login, pass },
  });
  try {
    const mail = { from: addressOf(from), to: addressOf(to), subject: 'secret subject', text: 'secret body' };
    await client.sendMail(mail);
  } finally {
    client.close();
  }
}

/** All of INBOX. */
async function read(name: string): Promise<string> {
  const client = await strangerAt({ ...system, imapPort: gateway.port('imaps') });
  await client.command(`LOGIN ${system.user(name).login} mistyped-hunter2`);
  await client.command(`LOGIN ${system.user(name).login} ${system.user(name).password}`);
  await client.command('SELECT INBOX');
  const { octets } = await bulkCommand(client, 'FETCH 1:* (BODY.PEEK[])');
  client.close();
  return octets.toString('latin1');
}

describe('none of the secrets', () => {
  beforeAll(async () => {
    const text = (name: string, value: string) => {
      VALUES.set(name, Buffer.from(value));
      VALUES.set(
        `${name}, Base64`,
        Buffer.from(Buffer.from(value).toString('base64').replace(/=+$/, '').slice(0, -1)),
      );
    };
    text('PIN', token.pin);
    text('SO PIN', token.soPin);
    for (const name of ['alice', 'bob']) {
      text(`password of ${name}`, system.user(name).password);
      text(`SASL of ${name}`, `\0${system.user(name).login}\0${system.user(name).password}`);
      text(`PKCS#12 password of ${name}`, system.user(name).identity.password);
    }
    text('mistyped password', 'mistyped-hunter2');
    text('Subject', 'secret subject');
    text('body', 'secret body');
    const pem = system.user('bob').identity.key;
    VALUES.set('private key, PEM', Buffer.from(pem.split('\n')[10] ?? ''));
    const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
    VALUES.set('private key, DER', der.subarray(-200, -168));
    VALUES.set('private key, hexadecimal', Buffer.from(der.subarray(-200, -168).toString('hex')));
  });

  function found(place: string, octets: Buffer): string[] {
    return [...VALUES].flatMap(([name, value]) => (octets.includes(value) ? [`${name} in ${place}`] : []));
  }

  it('is in what the gateway prints', () => {
    expect(found('output', Buffer.from(gateway.output(), 'latin1'))).toEqual([]);
  });

  it('is in the events of the gateway inside the test', async () => {
    await system.send('alice', { to: addressOf('bob'), subject: 'secret subject', text: 'secret body' });
    await system.read('bob');
    expect(found('events', Buffer.from(JSON.stringify(system.events)))).toEqual([]);
  });

  it('is in arguments or environment of the gateway or of what it started', async () => {
    const started = await gateway.children();
    expect(started.length).toBeGreaterThan(0);
    for (const pid of [gateway.child.pid ?? 0, ...started]) {
      const [args, environment] = await Promise.all([
        readFile(`/proc/${pid}/cmdline`),
        readFile(`/proc/${pid}/environ`),
      ]);
      expect(found(`arguments of ${pid}`, args)).toEqual([]);
      expect(found(`environment of ${pid}`, environment)).toEqual([]);
      if (pid !== gateway.child.pid) expect(environment.toString()).not.toContain(TOKEN_VARIABLE);
    }
  });

  it('that opens or is a key is in the memory of the gateway, where a core dump would show it', async () => {
    const needles = new Map([
      ['PIN', Buffer.from(token.pin)] as const,
      ['password of the PKCS#12 file', Buffer.from(system.user('bob').identity.password)] as const,
      ...privateKeyNeedles('the PKCS#12 file', system.user('bob').identity.key),
    ]);
    expect(await foundInMemory(gateway.child.pid ?? 0, needles)).toEqual([]);
    // The same search finds them where they belong: the PIN with the token, password and key with the file.
    const held = await Promise.all((await gateway.children()).map((pid) => foundInMemory(pid, needles)));
    expect(held.flat()).toContain('PIN');
    expect(held.flat().some((name) => /^[dpq] of the PKCS#12 file/.test(name))).toBe(true);
    expect(held.filter((names) => names.includes('PIN') && names.length > 1)).toEqual([]);
  });

  it('is in the state folder, which nobody else can read', async () => {
    const folder = join(system.folder, 'state-by-hand');
    const files = await readdir(folder, { recursive: true, withFileTypes: true });
    expect(files.length).toBeGreaterThan(0);
    for (const file of files.filter((each) => each.isFile())) {
      const path = join(file.parentPath, file.name);
      expect(found(path, await readFile(path))).toEqual([]);
      expect([path, (await stat(path)).mode & 0o077]).toEqual([path, 0]);
      expect((await stat(file.parentPath)).mode & 0o077).toBe(0);
    }
  });

  it('is in what is left after the end; the key process is gone too', async () => {
    const started = await gateway.children();
    expect(await gateway.stop()).toBe(0);
    expect(found('output', Buffer.from(gateway.output(), 'latin1'))).toEqual([]);
    for (const pid of started) expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
  });
});
