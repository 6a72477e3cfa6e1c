import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { createThrowawayPki, type ThrowawayPki } from '../../src/evaluation/throwaway-pki.ts';
import type { Started } from '../support/services/disposable.ts';
import { type SoftHsm, softhsm } from '../support/services/softhsm.ts';
import { runSealgate } from './support/run-sealgate.ts';

const ALICE = 'alice@sealgate.test';
const BOB = 'bob@sealgate.test';

let folder: string;
let pki: ThrowawayPki;
let hsm: Started<SoftHsm>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-keys-token-'));
  [pki, hsm] = await Promise.all([createThrowawayPki(join(folder, 'pki')), softhsm()]);
});
afterAll(async () => {
  await hsm.stop();
  await rm(folder, { recursive: true, force: true });
});

const file = (name: string) => join(folder, name);
const onToken = () => ['--module', hsm.module, '--token', hsm.tokenLabel];
const keys = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  runSealgate(['keys', ...args], {
    env: { ...hsm.env, SEALGATE_PIN: hsm.pin, ...env },
    cache: join(folder, 'compiled'),
  });

function openssl(args: readonly string[], input = ''): string {
  return spawnSync('openssl', args, { cwd: folder, input }).stdout.toString();
}

/** What pkcs11-tool says of the objects of one name, which it lists among all others. */
function object(type: string, label: string): string {
  const { stdout } = spawnSync(
    'pkcs11-tool',
    [
      ...['--module', hsm.module, '--token-label', hsm.tokenLabel, '--login', '--pin', 'env:PIN'],
      ...['--list-objects', '--type', type],
    ],
    { env: { ...process.env, ...hsm.env, PIN: hsm.pin } },
  );
  const blocks = stdout.toString().split(/^(?=\S.* Object;)/m);
  return blocks.filter((block) => block.includes(`label:      ${label}\n`)).join('');
}

describe('a key that is made on a token (E3)', () => {
  it('never leaves it, signs its request there, takes its certificate and works', async () => {
    const generated = await keys(['generate', ...onToken(), '--address', ALICE, '--type', 'p-256', '--json']);
    expect(generated.code).toBe(0);
    const { certificateRequest } = JSON.parse(generated.out) as { certificateRequest: string };
    const publicKey = openssl(['req', '-noout', '-verify', '-pubkey'], certificateRequest);
    expect(publicKey).toContain('BEGIN PUBLIC KEY');
    expect(object('privkey', ALICE)).toMatch(/sensitive, always sensitive, never extractable, local/);
    await writeFile(file('alice.crt'), await pki.issueForPublicKey(publicKey, { address: ALICE }));
    const imported = await keys([
      'import',
      file('alice.crt'),
      ...onToken(),
      '--anchor',
      pki.ca.certificateFile,
    ]);
    expect(imported.code).toBe(0);
    expect(object('cert', ALICE)).toContain('Certificate Object');
    const idOf = (text: string) => /ID: +(\w+)/.exec(text)?.[1];
    expect(idOf(object('cert', ALICE))).toBe(idOf(object('privkey', ALICE)));
    const tried = await keys(['test', ALICE, ...onToken(), '--seconds', '0.05']);
    expect(tried.code).toBe(0);
    expect(tried.out).toMatch(/sign ecdsa sha256 +good +[\d.]+ ms, [\d.]+ a second/);
    expect(tried.out).toMatch(/open ecdh +good/);
    const taken = await keys(['generate', ...onToken(), '--address', ALICE, '--type', 'rsa-2048']);
    expect(taken).toMatchObject({ code: 1, out: '' });
    expect(taken.error).toContain('has a key with the name');
  });

  it('signs what OpenSSL verifies, whatever kind of key the token makes', async () => {
    // One after another: while one process logs in, SoftHSM's token looks absent to the others for a moment.
    for (const type of ['rsa-2048', 'p-384', 'p-521', 'ed25519']) {
      const args = ['generate', ...onToken(), '--type', type, '--address', ALICE, '--name', type];
      const { code, out, error } = await keys([...args, '--self-signed', '30', '--out', '-']);
      expect(code, error).toBe(0);
      await writeFile(file(`${type}.pem`), out);
      expect(openssl(['verify', '-CAfile', `${type}.pem`, '-check_ss_sig', `${type}.pem`])).toContain('OK');
      expect(object('cert', type)).toContain('Certificate Object');
    }
  });
});

describe('a key that is brought to a token (E9)', () => {
  it('is taken from a PKCS#12 file with its chain, works there, and is deleted by its exact name alone', async () => {
    const bob = await pki.issueUser({ address: BOB, keyType: 'rsa-2048', password: 'of the file' });
    const args = [
      'import',
      bob.pkcs12File,
      ...onToken(),
      '--anchor',
      pki.ca.certificateFile,
      '--name',
      'bob',
    ];
    const given = { SEALGATE_FILE_PASSWORD: 'of the file' };
    const imported = await keys(args, given);
    expect(imported.code).toBe(0);
    expect(imported.out).toContain('written to the token');
    expect(object('privkey', 'bob')).toMatch(/Access: +sensitive/);
    const [again, tried] = await Promise.all([
      keys(args, given),
      keys(['test', 'bob', ...onToken(), '--seconds', '0']),
    ]);
    expect(again.out).toContain('on the token already');
    expect(tried.code).toBe(0);
    expect(tried.out).toMatch(/open rsa-pkcs1 +good/);
    const almost = await keys(['delete', 'bo', ...onToken(), '--yes']);
    expect(almost).toMatchObject({ code: 1, out: '' });
    expect((await keys(['delete', 'bob', ...onToken(), '--yes'])).code).toBe(0);
    expect(object('privkey', 'bob')).toBe('');
    expect(object('privkey', ALICE)).toContain(ALICE);
  });
});

describe('keys of a configuration', () => {
  it('are listed without a PIN, with the logins that have them, and stay on their token', async () => {
    const pin = file('wrong.pin');
    await writeFile(pin, '999999', { mode: 0o600 });
    const config = file('gateway.yaml');
    await writeFile(config, stringify(gateway(pin)), { mode: 0o600 });
    const about = ['--config', config];
    const [listed, exported] = await Promise.all([
      keys(['list', ...about, '--json']),
      keys(['export', ALICE, '--source', 'hsm', '--out', file('never.p12'), ...about]),
    ]);
    type Listed = { keys: { name: string; logins: string[]; certificate: { addresses: string[] } }[] }[];
    const found = (JSON.parse(listed.out) as Listed).flatMap((source) => source.keys);
    expect(found.find(({ name }) => name === `hsm/${ALICE}`)).toMatchObject({
      logins: [ALICE],
      certificate: { addresses: [ALICE] },
    });
    expect(exported).toMatchObject({ code: 1, out: '' });
    expect(exported.error).toContain('are on a token and stay there');
    const { stdout } = spawnSync('pkcs11-tool', ['--module', hsm.module, '--list-token-slots'], {
      env: { ...process.env, ...hsm.env },
    });
    expect(stdout.toString()).not.toContain('user PIN count low');
  });

  function gateway(pin: string) {
    return {
      hostname: 'gw.sealgate.test',
      imap: [
        {
          ...{ name: 'imap', host: '127.0.0.1', port: 0, tls: 'none' },
          upstream: { host: '127.0.0.1', port: 143, tls: 'none' },
        },
      ],
      keys: [
        {
          ...{ name: 'hsm', kind: 'pkcs11', module: hsm.module, token: hsm.tokenLabel },
          ...{ pin: { file: pin }, environment: hsm.env },
        },
      ],
      principals: { list: [{ login: ALICE, addresses: [ALICE], keys: [`hsm/${ALICE}`] }] },
      trust: { anchors: [pki.ca.certificateFile] },
      policy: { rules: [{ name: 'all', sign: 'if-possible', encrypt: 'if-possible' }] },
    };
  }
});

describe('PINs', () => {
  it('are not in what is printed, and the token tells that a wrong one was sent', async () => {
    const wrong = await keys(['generate', ...onToken(), '--address', BOB, '--type', 'p-256'], {
      SEALGATE_PIN: '31415926',
    });
    expect(wrong).toMatchObject({ code: 1, out: '' });
    expect(wrong.error).toContain('was refused, and few tries are left');
    expect(wrong.error).not.toContain('31415926');
  });
});
