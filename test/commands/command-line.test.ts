import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { freePort } from '../../src/evaluation/free-port.ts';
import {
  createThrowawayPki,
  type ThrowawayPki,
  type UserIdentity,
} from '../../src/evaluation/throwaway-pki.ts';
import { writePem } from '../../src/pki/pem.ts';
import { ecKey, generalName, type KeyPair, makeDer, subjectAltName } from '../pki/make-certificate.ts';

const MAIN = resolve('src/main.ts');
const ALICE = 'alice@sealgate.test';
const BOB = 'bob@sealgate.test';

let folder: string;
let pki: ThrowawayPki;
let alice: UserIdentity;
let bob: UserIdentity;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-commands-'));
  pki = await createThrowawayPki(join(folder, 'pki'));
  alice = await pki.issueUser({ address: ALICE, keyType: 'p-256', password: 'right' });
  bob = await pki.issueUser({ address: BOB, keyType: 'p-256' });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

type Ended = { code: number | null; out: string; error: string };

async function run(
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...options,
    env: { ...process.env, ...options.env },
  });
  const ended = { code: null, out: '', error: '' } as Ended;
  child.stdout.on('data', (text: Buffer) => (ended.out += text.toString()));
  child.stderr.on('data', (text: Buffer) => (ended.error += text.toString()));
  [ended.code] = (await once(child, 'close')) as [number | null];
  return ended;
}

let count = 0;
async function config(
  settings: { password?: string; pinned?: string[]; more?: object } = {},
): Promise<string> {
  const own = join(folder, `own-${count++}`);
  await mkdir(own, { mode: 0o700 });
  const password = join(own, 'password');
  await writeFile(password, settings.password ?? 'right', { mode: 0o600 });
  const file = join(own, 'gateway.yaml');
  const text = stringify({
    hostname: 'gw.sealgate.test',
    stateFolder: join(own, 'state'),
    submission: [
      {
        ...{ name: 'submission', host: '127.0.0.1', port: 0, tls: 'none' },
        upstream: { host: '127.0.0.1', port: await freePort(), tls: 'none' },
      },
    ],
    keys: [{ name: 'alice', kind: 'pkcs12', file: alice.pkcs12File, password: { file: password } }],
    principals: { list: [{ login: ALICE, addresses: [ALICE], keys: ['alice'] }] },
    trust: { anchors: [pki.ca.certificateFile] },
    directory: { pinned: settings.pinned ?? [] },
    policy: { rules: [{ name: 'strict', sign: 'require', encrypt: 'require' }] },
    ...settings.more,
  });
  await writeFile(file, text, { mode: 0o600 });
  return file;
}

describe('sealgate policy explain', () => {
  const explain = (file: string, ...args: readonly string[]) =>
    run(['policy', 'explain', '--config', file, '--from', ALICE, '--to', BOB, ...args]);

  it('refuses what is no address before anything is opened', async () => {
    const { code, error } = await run(['policy', 'explain', '--from', 'nonsense', '--to', BOB]);
    expect(code).toBe(1);
    expect(error).toContain('"nonsense" is not a mail address');
  });

  it('says what would happen, by the code that would do it', async () => {
    const { code, out } = await explain(await config({ pinned: [bob.certificateFile] }), '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      messages: [{ signature: { form: 'clear' }, rule: 'strict' }],
      reply: null,
    });
  });

  it('says with what each message is signed and encrypted, and why', async () => {
    const file = await config({ pinned: [bob.certificateFile] });
    const { out } = await explain(file, '--json');
    expect(JSON.parse(out)).toMatchObject({
      messages: [
        {
          recipients: [BOB],
          signature: { algorithm: expect.any(String), because: expect.any(String) },
          encryption: {
            content: 'aes256-cbc',
            keys: [{ reader: BOB }, { reader: 'the sender' }],
          },
        },
      ],
    });
    const text = (await explain(file)).out;
    expect(text).toMatch(/^Message for bob@sealgate\.test$/m);
    expect(text).toMatch(/^ {2}signature: \S+ \(.+\)$/m);
    expect(text).toMatch(/^ {2}content: aes256-cbc \(.+\)$/m);
    expect(text).toMatch(/^ {2}key for bob@sealgate\.test: .+ \(.+\)$/m);
  });

  it('uses post-quantum keys where the configuration says so, and says else why it does not', async () => {
    const pem = (name: string, label: string, octets: Buffer) => {
      const path = join(folder, name);
      return writeFile(path, writePem(label, octets), { mode: 0o600 }).then(() => path);
    };
    const certify = (address: string, key: KeyPair) =>
      makeDer({
        ...{ subject: address, issuer: 'CA', issuerKey: ecKey('ca'), key },
        extensions: [subjectAltName(generalName.mailbox(address))],
      });
    const signer = generateKeyPairSync('ml-dsa-65');
    const reader = generateKeyPairSync('ml-kem-768');
    const keys = [
      {
        ...{ name: 'alice', kind: 'pem' },
        certificate: await pem('ml-dsa.crt', 'CERTIFICATE', certify(ALICE, signer)),
        key: await pem(
          'ml-dsa.key',
          'PRIVATE KEY',
          signer.privateKey.export({ type: 'pkcs8', format: 'der' }),
        ),
      },
    ];
    const pinned = [await pem('ml-kem.crt', 'CERTIFICATE', certify(BOB, reader))];
    const { out } = await explain(
      await config({ pinned, more: { keys, smime: { postQuantum: true } } }),
      '--json',
    );
    expect(JSON.parse(out)).toMatchObject({
      messages: [
        {
          signature: { algorithm: 'ml-dsa-65' },
          encryption: { keys: [{ reader: BOB, algorithm: 'ml-kem-768' }] },
        },
      ],
    });
    const without = await explain(await config({ pinned }));
    expect(without.out).toMatch(
      /certificates: none that can be encrypted to: .*ML-KEM, which is not turned on/,
    );
    expect(without.out).toMatch(/Reply at the end of data: 550 5\.7\.1 .*bob@sealgate\.test/);
    const key = await explain(await config({ pinned, more: { keys } }));
    expect(key.error).toMatch(/^sealgate: The key alice is for ML-DSA, .*smime\.postQuantum/);
  });

  it('says why nothing would leave', async () => {
    const { code, out } = await explain(await config());
    expect(code).toBe(0);
    expect(out).toMatch(/bob@sealgate\.test/);
    expect(out).toMatch(/no valid certificate is known/);
  });

  it('ends when a key cannot be opened: no thread of the database keeps it waiting', async () => {
    const { code, error } = await explain(await config({ password: 'wrong' }));
    expect(code).toBe(1);
    expect(error).toMatch(/^sealgate: .*p12.*(password|passphrase)/is);
    expect(error).not.toMatch(/defect|^\s+at /m);
  });

  it('ends when a pinned file is missing', async () => {
    const { code, error } = await explain(await config({ pinned: [join(folder, 'nowhere.pem')] }));
    expect(code).toBe(1);
    expect(error).toMatch(/nowhere\.pem/);
  });
});

describe('sealgate cert list', () => {
  it('says that nothing is known yet', async () => {
    const { code, out } = await run(['cert', 'list', '--config', await config()]);
    expect(code).toBe(0);
    expect(out).toMatch(/No certificate is known yet/);
  });

  it('has nothing under what is no address', async () => {
    const args = ['cert', 'list', '--config', await config(), '--json', '--address', '\x1b[31m'];
    expect(await run(args)).toMatchObject({ code: 0, out: '[]\n' });
  });
});

describe('a configuration', () => {
  it('with errors stops every command with the same sentences', async () => {
    const file = await config({ more: { submision: [] } });
    for (const args of [['cert', 'list'], ['policy', 'explain', '--from', ALICE, '--to', BOB], ['serve']]) {
      const { code, error } = await run([...args, '--config', file]);
      expect(code).toBe(1);
      expect(error).toMatch(/has one problem; nothing was done\.\n {2}.*gateway\.yaml:\d+:\d+: .*submision/);
    }
  });

  it('with warnings: `serve` says them before it starts', async () => {
    const file = await config({ more: { principals: { list: [] } } });
    const { error } = await run(['serve', '--config', file]);
    // Nobody listens on the upstream's port, so it ends by itself.
    expect(error).toMatch(/gateway\.yaml:\d+:\d+: .*no login may use this key/);
  });

  it('in an empty SEALGATE_CONFIG is none', async () => {
    const { error } = await run(['cert', 'list'], { cwd: folder, env: { SEALGATE_CONFIG: '' } });
    expect(error).toMatch(/config\/gateway\.yaml.*no such file\n.*--config or SEALGATE_CONFIG/);
  });

  it('in its usual place that cannot be looked at is not passed over for throwaway keys', async () => {
    const cwd = join(folder, 'odd');
    await mkdir(cwd);
    // A file where the folder should be: ENOTDIR, as EACCES is for others than root.
    await writeFile(join(cwd, 'config'), '');
    const { code, out, error } = await run(['serve'], { cwd, env: { SEALGATE_CONFIG: '' } });
    expect(code).toBe(1);
    expect(error).toMatch(/config\/gateway\.yaml/);
    expect(out).not.toMatch(/evaluation/);
  });
});

it('queue route says of mail that may leave by TLS only that a server without TLS does not get it', async () => {
  const server = { host: '127.0.0.1', port: 25, tls: 'none' };
  const keys = [{ name: 'own', kind: 'pem', certificate: 'own.crt', key: 'own.key' }];
  const queue = { key: 'own', address: 'secure-mail@sealgate.test', server };
  const file = await config({ more: { keys, principals: { list: [] }, queue } });
  for (const name of ['own.crt', 'own.key']) await writeFile(join(file, '..', name), '', { mode: 0o600 });
  const { out } = await run(['queue', 'route', `<${BOB}>`, '--require-tls', '--config', file]);
  expect(out).toMatch(
    /route server: 127\.0\.0\.1:25, tls: none\n {2}It would wait \(4\.7\.0\): .* is called without/,
  );
});

it('an unknown command is called that', async () => {
  const { code, error } = await run(['bogus']);
  expect(code).toBe(1);
  expect(error).toContain("unknown command 'bogus'");
});

it('what is missing refers to the page of its own command', async () => {
  const { code, error } = await run(['queue', 'flush']);
  expect([code, error]).toEqual([
    1,
    expect.stringMatching(/'destination'\n\(see sealgate queue flush --help\)/),
  ]);
});
