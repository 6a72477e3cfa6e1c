import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runProgram } from '../../src/evaluation/run-program.ts';
import { type GatewayProcess, startByHand } from '../attacks/support/gateway-process.ts';
import { runSealgate } from '../commands/support/run-sealgate.ts';
import { addressOf, type MailSystem, opensslVerify, startMailSystem } from '../support/mail-system.ts';
import type { Started } from '../support/services/disposable.ts';
import { services } from '../support/services/services.ts';
import type { SoftHsm } from '../support/services/softhsm.ts';

/**
 * Where a browser once made the key: it is made in the key store, or in the token, of a running gateway. Only the request
 * for its certificate comes out; with the certificate, the next mail is signed, and nobody has restarted anything.
 */

let token: Started<SoftHsm>;
let system: MailSystem;
let gateway: GatewayProcess;
let store: string;
let password: string;
const file = (name: string): string => join(system.folder, name);

beforeAll(async () => {
  token = await services.softhsm();
  system = await startMailSystem({
    users: ['alice', 'bob'],
    withoutKeys: ['alice', 'bob'],
    rules: [{ name: 'all', sign: 'require', encrypt: 'never' }],
  });
  store = file('store');
  password = file('store.password');
  await writeFile(password, 'correct horse battery staple', { mode: 0o600 });
  const pin = file('token.pin');
  await writeFile(pin, token.pin, { mode: 0o600 });
  await mkdir(file('cut'), { mode: 0o700 });
  const made = await runSealgate(['keys', 'create-store', store, '--new-password-file', password]);
  expect(made.code, made.error).toBe(0);
  const { module, tokenLabel, env } = token;
  // A token has to hold a key before a gateway starts with it; bob's is made while it runs.
  await token.generateKey(system.pki, { address: 'office@sealgate.test' });
  gateway = await startByHand(system, 'e3', {
    stateFolder: file('state-e3'),
    keys: [
      { name: 'staff', kind: 'store', folder: store, unlock: { file: password } },
      { name: 'hsm', kind: 'pkcs11', module, token: tokenLabel, pin: { file: pin }, environment: env },
    ],
    principals: {
      list: [
        { login: addressOf('alice'), addresses: [addressOf('alice')], keys: [`staff/${addressOf('alice')}`] },
        { login: addressOf('bob'), addresses: [addressOf('bob')], keys: ['hsm'] },
      ],
    },
  });
}, 120_000);
afterAll(async () => {
  await gateway?.stop();
  await system?.stop();
  await token?.stop();
});

async function send(from: string, subject: string): Promise<string> {
  const client = createTransport({
    ...{ host: 'localhost', port: gateway.port('submission'), requireTLS: true },
    tls: { ca: system.pki.ca.certificate },
    auth: { user: system.user(from).login, pass: system.user(from).password },
  });
  try {
    const mail = { from: addressOf(from), to: addressOf('bob'), subject, text: subject };
    return (await client.sendMail(mail)).response;
  } catch (error) {
    return (error as { response?: string }).response ?? String(error);
  } finally {
    client.close();
  }
}

/** The gateway takes a moment to notice; until then it refuses, and never sends unsigned. */
async function accepted(from: string, subject: string): Promise<void> {
  for (let reply = ''; !reply.startsWith('250'); ) {
    reply = await send(from, subject);
    expect(reply).toMatch(/^(?:250|[45]\d\d) /);
  }
}

/** What an authority does with a request: looks at it, and certifies its key. */
async function certify(request: string, address: string): Promise<string> {
  const looked = await runProgram('openssl', ['req', '-in', request, '-verify', '-noout', '-text']);
  expect(looked.stderr + looked.stdout.toString()).toMatch(/verify OK/i);
  expect(looked.stdout.toString()).toContain(`email:${address}`);
  const { stdout } = await runProgram('openssl', ['req', '-in', request, '-noout', '-pubkey']);
  const certificate = file(`${address}.crt`);
  await writeFile(certificate, await system.pki.issueForPublicKey(stdout.toString(), { address }));
  return certificate;
}

const inStore = (): string[] => ['--store', store, '--password-file', password];

describe('E3: the key is generated where it stays', () => {
  it('in the key store: only the request comes out, and the file tells nothing', async () => {
    expect(await send('alice', 'before')).toMatch(/^554 5\.7\.5 .*no key that signs for alice/);
    const request = file('alice.csr');
    const generated = await runSealgate([
      ...['keys', 'generate', ...inStore(), '--type', 'rsa-2048'],
      ...['--address', addressOf('alice'), '--out', request],
    ]);
    expect(generated.code, generated.error).toBe(0);
    expect((await readFile(request, 'utf8')).match(/-----BEGIN [^-]+-----/g)).toEqual([
      '-----BEGIN CERTIFICATE REQUEST-----',
    ]);
    for (const name of await readdir(store)) {
      const octets = await readFile(join(store, name), 'latin1');
      expect(octets).not.toMatch(/PRIVATE KEY-----|correct horse/);
      expect([name, (await stat(join(store, name))).mode & 0o077]).toEqual([name, 0]);
    }
    const certificate = await certify(request, addressOf('alice'));
    const imported = await runSealgate([
      ...['keys', 'import', certificate, ...inStore(), '--anchor', system.pki.ca.certificateFile],
    ]);
    expect(imported.code, imported.error).toBe(0);
  });

  it('the running gateway signs with it, without a restart', async () => {
    await accepted('alice', 'signed in the store');
    const [mail] = system.taken();
    expect((await opensslVerify(system, mail?.octets ?? Buffer.alloc(0))).toString()).toContain(
      'signed in the store',
    );
  });

  it('it never leaves the store: export is refused', async () => {
    const out = file('stolen.p12');
    const secret = file('new.password');
    await writeFile(secret, 'something else entirely', { mode: 0o600 });
    const exported = await runSealgate([
      ...['keys', 'export', addressOf('alice'), ...inStore()],
      ...['--new-password-file', secret, '--out', out],
    ]);
    expect(exported.code).toBe(1);
    expect(exported.error).toMatch(/not exportable|may not be (?:exported|taken out)/i);
    await expect(stat(out)).rejects.toThrow(/ENOENT/);
    const alone = await runSealgate([
      ...['keys', 'export', addressOf('alice'), ...inStore()],
      ...['--certificate-only', '--format', 'pem', '--out', '-'],
    ]);
    expect(alone.code, alone.error).toBe(0);
    expect(alone.out).toContain('-----BEGIN CERTIFICATE-----');
    expect(alone.out).not.toContain('PRIVATE');
  });

  it('unless it was allowed when it was made: then with the whole chain, for OpenSSL to read', async () => {
    const [request, out, secret] = [file('portable.csr'), file('portable.p12'), file('new.password')];
    const address = 'portable@sealgate.test';
    const run = async (...args: string[]): Promise<void> => {
      const ended = await runSealgate(args);
      expect(ended.code, ended.error).toBe(0);
    };
    await run(
      ...['keys', 'generate', ...inStore(), '--type', 'p-256', '--exportable'],
      ...['--address', address, '--out', request],
    );
    await run('keys', 'import', await certify(request, address), ...inStore());
    const anchor = ['--anchor', system.pki.ca.certificateFile];
    await run(
      'keys',
      'export',
      address,
      ...inStore(),
      '--new-password-file',
      secret,
      ...anchor,
      '--out',
      out,
    );
    expect((await stat(out)).mode & 0o777).toBe(0o600);
    const { stdout } = await runProgram('openssl', [
      'pkcs12',
      '-in',
      out,
      '-passin',
      `file:${secret}`,
      '-nodes',
    ]);
    expect(stdout.toString().match(/-----BEGIN CERTIFICATE-----/g)).toHaveLength(2);
    expect(stdout.toString()).toContain('-----BEGIN PRIVATE KEY-----');
  });

  it('in the token: the token says that it was made there and never comes out', async () => {
    const request = file('bob.csr');
    const onToken = ['--source', 'hsm', '--config', gateway.configFile, '--pin-file', file('token.pin')];
    const generated = await runSealgate([
      ...['keys', 'generate', ...onToken, '--type', 'rsa-2048', '--address', addressOf('bob')],
      ...['--out', request],
    ]);
    expect(generated.code, generated.error).toBe(0);
    const imported = await runSealgate([
      'keys',
      'import',
      await certify(request, addressOf('bob')),
      ...onToken,
    ]);
    expect(imported.code, imported.error).toBe(0);
    const objects = (await token.listObjects()).split(/(?=^\S.*Object;)/m);
    const made = objects.find((text) => text.startsWith('Private Key') && text.includes(addressOf('bob')));
    expect(made).toMatch(/Access:.*sensitive.*always sensitive.*never extractable.*local/);
    gateway.child.kill('SIGHUP');
    expect(system.taken()).toEqual([]);
    await accepted('bob', 'signed in the token');
    const [mail] = system.taken();
    expect((await opensslVerify(system, mail?.octets ?? Buffer.alloc(0))).toString()).toContain(
      'signed in the token',
    );
  });
});
