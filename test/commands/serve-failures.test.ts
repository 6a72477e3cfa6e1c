import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { freePort } from '../../src/evaluation/free-port.ts';
import { createThrowawayPki, type UserIdentity } from '../../src/evaluation/throwaway-pki.ts';
import type { Started } from '../support/services/disposable.ts';
import { services } from '../support/services/services.ts';
import type { SoftHsm } from '../support/services/softhsm.ts';

/** What an operator gets wrong ends with one clear sentence, an exit code and no stack trace. */
describe('sealgate serve, when it cannot start', () => {
  let folder: string;
  let identity: UserIdentity;
  let token: Started<SoftHsm>;
  let upstreamPort: number;
  // As much of a mail server as the check at the start asks for.
  const upstream = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.write('220 upstream ESMTP\r\n');
    socket.on('data', () => socket.write('250 upstream\r\n'));
  });

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sealgate-failures-'));
    const pki = await createThrowawayPki(join(folder, 'pki'));
    identity = await pki.issueUser({ address: 'alice@sealgate.test', password: 'right' });
    token = await services.softhsm();
    await token.generateKey(pki, { address: 'alice@sealgate.test', type: 'p-256' });
    upstream.listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    upstreamPort = (upstream.address() as { port: number }).port;
  });
  afterAll(async () => {
    upstream.close();
    await token?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it('a file that is not there', async () => {
    await fails(join(folder, 'nowhere.yaml'), /nowhere\.yaml/);
  });

  it('a broken configuration: every problem with line and column', async () => {
    const file = join(folder, 'broken.yaml');
    await writeFile(
      file,
      'hostname: gw.example.org\nsubmision: []\npolicy:\n  rules:\n    - { name: x, sign: maybe }\n',
    );
    await fails(file, /broken\.yaml:2:1: .*submision.*submission[\s\S]*broken\.yaml:5:\d+: .*sign/);
  });

  it('a key file others can read', async () => {
    const key = join(folder, 'loose.p12');
    await writeFile(key, 'x');
    await chmod(key, 0o644);
    await fails(await config({ keys: [await pkcs12(key, 'right')] }), /loose\.p12.*chmod 600/s);
  });

  it('a PKCS#12 file with the wrong password', async () => {
    await fails(
      await config({ keys: [await pkcs12(identity.pkcs12File, 'wrong')] }),
      /alice[^ ]*p12.*(password|passphrase)/is,
    );
  });

  it('a wrong PIN, which is tried once and never again', async () => {
    const pin = await secret('999999');
    const keys = [
      {
        name: 'alice',
        kind: 'pkcs11',
        module: token.module,
        token: token.tokenLabel,
        pin: { file: pin },
        environment: token.env,
      },
    ];
    // Not 1: service managers are told not to start it again then.
    await fails(await config({ keys }), /PIN/, 78);
  });

  it('a token that is not there', async () => {
    const pin = await secret('471100');
    const keys = [
      {
        name: 'alice',
        kind: 'pkcs11',
        module: token.module,
        token: 'absent',
        pin: { file: pin },
        environment: token.env,
      },
    ];
    await fails(await config({ keys }), /absent/);
  });

  it('an upstream that does not answer', async () => {
    const port = await freePort();
    await fails(
      await config({ upstreamPort: port }),
      new RegExp(`127\\.0\\.0\\.1:${port}.*"submission".*upstream`, 's'),
    );
  });

  it('a port that is in use', async () => {
    await fails(
      await config({ port: upstreamPort }),
      new RegExp(`:${upstreamPort}: another program listens on this port`),
    );
  });

  it('a TLS key that does not belong to the certificate', async () => {
    const other = await createThrowawayPki(join(folder, 'pki-2'));
    const { certFile } = await other.issueServer();
    const { keyFile } = await other.issueServer();
    const tls = { certificate: certFile, key: keyFile };
    await fails(await config({ tls }), /TLS.*belong together/s);
  });

  let count = 0;

  async function secret(text: string): Promise<string> {
    const file = join(folder, `secret-${count++}`);
    await writeFile(file, text, { mode: 0o600 });
    return file;
  }

  async function pkcs12(file: string, password: string): Promise<object> {
    return { name: 'alice', kind: 'pkcs12', file, password: { file: await secret(password) } };
  }

  async function config(settings: {
    keys?: object[];
    port?: number;
    upstreamPort?: number;
    tls?: object;
  }): Promise<string> {
    const state = join(folder, `state-${count++}`);
    await mkdir(state, { mode: 0o700 });
    const file = join(folder, `gateway-${count}.yaml`);
    const to = { host: '127.0.0.1', port: settings.upstreamPort ?? upstreamPort, tls: 'none' };
    const text = stringify({
      hostname: 'gw.sealgate.test',
      stateFolder: state,
      ...(settings.tls === undefined ? {} : { tls: settings.tls }),
      submission: [
        {
          name: 'submission',
          host: '127.0.0.1',
          port: settings.port ?? 0,
          tls: settings.tls === undefined ? 'none' : 'starttls',
          upstream: to,
        },
      ],
      keys: settings.keys ?? [],
      trust: { anchors: [join(folder, 'pki', 'ca.crt')] },
      policy: { rules: [{ name: 'all', sign: 'if-possible', encrypt: 'never' }] },
    });
    await writeFile(file, text, { mode: 0o600 });
    return file;
  }
});

async function fails(config: string, sentence: RegExp, exitCode = 1): Promise<void> {
  const child = spawn(process.execPath, ['src/main.ts', 'serve', '--config', config], {
    stdio: 'pipe',
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (text: Buffer) => (said += text.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  expect(said).toMatch(sentence);
  expect(said).not.toMatch(/^\s+at .*:\d+:\d+\)?$/m);
  expect(said).not.toMatch(/defect/);
  expect(code, said).toBe(exitCode);
}
