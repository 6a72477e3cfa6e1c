import { spawn } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { startGateway } from '../../src/gateway.ts';
import { createKeyStore } from '../../src/hsm/key-store/key-store.ts';
import { readCertificates } from '../../src/pki/certificate-file.ts';
import { unlockingKey } from '../hsm/key-store/people.ts';
import { Authority } from '../hsm/support/authority.ts';
import { SoftHsm, softhsmModule } from '../hsm/support/softhsm.ts';
import { FakeLog } from '../pipeline/support/ports.ts';

/** What `serve` and `policy explain` make of keys that come, go and change. */

const PIN = '161803';
const ALICE = 'alice@example.org';
const authority = new Authority();
const softhsm = new SoftHsm();
const folder = mkdtempSync(join(tmpdir(), 'sealgate-serve-keys-'));

beforeAll(() => {
  for (const name of ['alice', 'renewed']) {
    authority.newKey(`${name}.key`, 'p256');
    authority.certify(name, { address: ALICE });
  }
  softhsm.newToken('office', PIN);
  softhsm.importKey('office', PIN, { id: '01', label: 'alice', name: 'alice' }, authority);
});

afterAll(() => {
  softhsm.remove();
  authority.remove();
  rmSync(folder, { recursive: true, force: true });
});

let count = 0;
function config(keys: readonly object[], state = `state-${count}`): { file: string; own: string } {
  const own = join(folder, `own-${count++}`);
  mkdirSync(own, { mode: 0o700 });
  const text = stringify({
    hostname: 'gw.example.org',
    stateFolder: join(folder, state),
    submission: [
      {
        ...{ name: 'submission', host: '127.0.0.1', port: 0, tls: 'none' },
        upstream: { host: '127.0.0.1', port: 9, tls: 'none' },
      },
    ],
    keys,
    principals: { list: [{ login: ALICE, addresses: [ALICE], keys: ['alice'] }] },
    trust: { anchors: [authority.path('root.crt')] },
    policy: { rules: [{ name: 'signed', sign: 'require', encrypt: 'never' }] },
    log: { format: 'json' },
  });
  const file = join(own, 'gateway.yaml');
  writeFileSync(file, text, { mode: 0o600 });
  return { file, own };
}

function secret(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text, { mode: 0o600 });
  return file;
}

/** `sealgate serve` with the lines of its log. */
class Serving {
  readonly #child;
  readonly #lines: string[] = [];
  #changed = Promise.withResolvers<void>();

  constructor(file: string) {
    const args = [resolve('src/main.ts'), 'serve', '--no-upstream-check', '--config', file];
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    let rest = '';
    this.#child.stdout.on('data', (octets: Buffer) => {
      const lines = `${rest}${octets.toString()}`.split('\n');
      rest = lines.pop() ?? '';
      this.#lines.push(...lines);
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    });
  }

  /** The next event of this name, from the beginning on; what was before it is passed over. */
  async event(name: string): Promise<Record<string, unknown>> {
    for (;;) {
      while (this.#lines.length > 0) {
        const event = JSON.parse(this.#lines.shift() ?? '{}');
        if (event.event === name) return event;
      }
      await this.#changed.promise;
    }
  }

  hangUp(): void {
    this.#child.kill('SIGHUP');
  }

  async stop(): Promise<number | null> {
    this.#child.kill('SIGTERM');
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
    return this.#child.exitCode;
  }
}

test('the start does not wait for a card, and SIGHUP reads key files again, a wrong one too', async () => {
  const [key, certificate] = [join(folder, 'mail.key'), join(folder, 'mail.crt')];
  const put = (name: string): void => {
    copyFileSync(authority.path(`${name}.key`), key);
    copyFileSync(authority.path(`${name}.crt`), certificate);
  };
  put('alice');
  const { file } = config([
    { name: 'alice', kind: 'pem', key, certificate },
    {
      ...{ name: 'card', kind: 'card', module: softhsmModule, token: 'nowhere' },
      ...{ pin: { file: secret('card.pin', PIN) }, environment: softhsm.environment },
    },
  ]);
  const serving = new Serving(file);
  try {
    await serving.event('gateway.listening');
    serving.hangUp();
    expect(await serving.event('key.reloaded')).toMatchObject({ source: 'alice', keys: 1 });
    rmSync(certificate);
    serving.hangUp();
    expect(await serving.event('key.reload-failed')).toMatchObject({ source: 'alice' });
    put('renewed');
    serving.hangUp();
    expect(await serving.event('key.reloaded')).toMatchObject({ source: 'alice', keys: 1 });
  } finally {
    expect(await serving.stop()).toBe(0);
  }
});

test('policy explain sends no PIN to a token that the gateway knows', async () => {
  const pin = secret('office.pin', PIN);
  const keys = [
    {
      ...{ name: 'alice', kind: 'pkcs11', module: softhsmModule, token: 'office' },
      ...{ pin: { file: pin }, environment: softhsm.environment },
    },
  ];
  const { file } = config(keys, 'known');
  const explain = async (): Promise<{ code: number | null; out: string }> => {
    const args = [
      'policy',
      'explain',
      '--config',
      file,
      '--from',
      ALICE,
      '--to',
      'bob@example.org',
      '--json',
    ];
    const child = spawn(process.execPath, [resolve('src/main.ts'), ...args], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let out = '';
    child.stdout.on('data', (octets: Buffer) => {
      out += octets.toString();
    });
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, out };
  };
  const loaded = await loadConfig(file);
  if (loaded.kind !== 'ok') throw new Error(loaded.problems.map(({ text }) => text).join('; '));
  const log = new FakeLog();
  const gateway = await startGateway(loaded.config, log);
  await gateway.close();
  expect(log.named('key.token-inserted')).toMatchObject([{ source: 'alice', token: 'office' }]);
  // With this one the token would refuse, and the command would end with the sentence.
  writeFileSync(pin, 'wrong');
  const { code, out } = await explain();
  expect(code).toBe(0);
  expect(JSON.parse(out)).toMatchObject({
    messages: [{ signature: { form: 'clear' } }],
  });
  // That the gateway itself would.
  await expect(startGateway(loaded.config, log)).rejects.toMatchObject({ code: 'key.pin-incorrect' });
});

test('SIGHUP during the start does not end the gateway', async () => {
  const upstream = createServer();
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  const { port } = upstream.address() as AddressInfo;
  const { file } = config([]);
  const waiting = readFileSync(file, 'utf8').replace('port: 9', `port: ${port}`);
  writeFileSync(file, waiting.replace(/keys:\n\s+- alice/, 'keys: []'));
  const child = spawn(process.execPath, [resolve('src/main.ts'), 'serve', '--config', file], {
    stdio: 'ignore',
  });
  try {
    const ended = once(child, 'exit');
    const [connection] = await Promise.race([once(upstream, 'connection'), ended.then(() => [])]);
    // The mail server is being asked; it answers after the signal, and not as one.
    child.kill('SIGHUP');
    connection?.destroy();
    expect(await ended).toEqual([1, null]);
    expect(connection).toBeDefined();
  } finally {
    child.kill('SIGKILL');
    upstream.close();
  }
});

test('SIGTERM ends a start that waits for a person', async () => {
  const store = join(folder, 'waiting-store');
  const [certificate] = readCertificates(authority.read('alice.crt'));
  if (certificate === undefined) throw new Error('alice has no certificate');
  const privateKey = createPrivateKey(authority.read('alice.key'));
  (await createKeyStore(store, { key: unlockingKey({ privateKey, certificate }) })).close();
  const program = join(folder, 'silent-pinentry');
  writeFileSync(program, '#!/bin/sh\nexec sleep 60\n', { mode: 0o700 });
  const token = { module: softhsmModule, environment: softhsm.environment, token: 'office' };
  const { file } = config([
    { name: 'opener', kind: 'pkcs11', ...token, pin: { ask: 'pinentry', program } },
    { name: 'alice', kind: 'store', folder: store, unlock: { key: 'opener' } },
  ]);
  const serving = new Serving(file);
  await serving.event('key.pin-asked');
  expect(await serving.stop()).toBe(0);
});
