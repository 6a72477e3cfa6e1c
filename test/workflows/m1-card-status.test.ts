import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { runToEnd } from '../../src/evaluation/run-program.ts';
import { createThrowawayPki, type ThrowawayPki } from '../../src/evaluation/throwaway-pki.ts';
import { runSealgate } from '../commands/support/run-sealgate.ts';
import type { Started } from '../support/services/disposable.ts';
import { pcsc } from '../support/services/pcsc.ts';
import { type CardInReader, virtualCard } from '../support/services/virtual-card.ts';

const ALICE = 'alice@sealgate.test';

let folder: string;
let pki: ThrowawayPki;
let reader: Started<CardInReader>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-card-command-'));
  pki = await createThrowawayPki(join(folder, 'pki'));
  reader = await virtualCard(pki, { address: ALICE });
});
afterAll(async () => {
  await reader.stop();
  await rm(folder, { recursive: true, force: true });
});

const card = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  runSealgate(['card', ...args, '--module', reader.module], {
    env: { ...reader.env, ...env },
    cache: join(folder, 'compiled'),
  });

type Finding = { severity: string; code: string; text: string };
type Status = {
  modules: {
    module: { description: string } | null;
    readers: {
      reader: string;
      card: { state: string; label?: string; pin?: string };
      keys: {
        label: string;
        certificate: { addresses: string[] };
        signs: { may: boolean };
        opens: { may: boolean };
      }[];
    }[];
  }[];
  problems: Finding[];
};
const faults = ({ problems }: Status) => problems.filter(({ severity }) => severity === 'fault');

/** As JSON, after a look whether the text for people says the same. */
async function status(args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Status> {
  const [json, text] = await Promise.all([
    card(['status', '--json', ...args], env),
    card(['status', ...args], env),
  ]);
  const found = JSON.parse(json.out) as Status;
  const code = faults(found).length === 0 ? 0 : 1;
  expect([json.error, json.code, text.error, text.code]).toEqual(['', code, '', code]);
  for (const [at, problem] of found.problems.entries())
    expect(text.out).toContain(`${at + 1}. ${problem.text}`);
  expect(text.out.includes('Everything is in order.')).toBe(code === 0);
  return found;
}

/** A configuration with the login `bob`, who writes from that address. */
async function configuration(address: string): Promise<string> {
  const file = join(folder, `${address}.yaml`);
  const upstream = { host: '127.0.0.1', port: 143, tls: 'none' };
  const settings = {
    hostname: 'gw.sealgate.test',
    imap: [{ name: 'imap', host: '127.0.0.1', port: 0, tls: 'none', upstream }],
    principals: { list: [{ login: 'bob', addresses: [address], keys: [] }] },
    policy: { rules: [{ name: 'all', sign: 'if-possible', encrypt: 'if-possible' }] },
  };
  await writeFile(file, stringify(settings), { mode: 0o600 });
  return file;
}

/**
 * M1: reader and module; see reader and card in the tool. With Sealgate `sealgate card status` names reader, card, module and
 * certificates, and for each fault what to do.
 */
describe('M1: sealgate card status', () => {
  it('names reader, card, module, PIN state, certificates with their addresses, and what each key may do', async () => {
    const found = await status();
    expect(faults(found)).toEqual([]);
    const [module] = found.modules;
    expect(module?.module?.description).toContain('OpenSC');
    const [first] = module?.readers ?? [];
    expect(first?.reader).toBe(reader.reader(0).name);
    expect(first?.card).toMatchObject({ state: 'token', label: ALICE, pin: 'fine' });
    expect(first?.keys.map(({ signs, opens }) => [signs.may, opens.may])).toEqual([
      [true, false],
      [true, false],
      [false, true],
    ]);
    expect(first?.keys.every(({ certificate }) => certificate.addresses.includes(ALICE))).toBe(true);
    const { out } = await card(['status']);
    expect(out).toMatch(/^ {4}addresses {2}alice@sealgate\.test$/m);
    expect(out).toMatch(/^ {4}opens mail no: The key usage/m);
    expect(out).toContain('Everything is in order.');
  });

  it('says for each fault what to do: no library, no service, no card, another card', async () => {
    const module = (path: string, env: NodeJS.ProcessEnv = {}) =>
      runSealgate(['card', 'status', '--module', path], {
        env: { ...reader.env, ...env },
        cache: join(folder, 'compiled'),
      });
    const missing = await module(join(folder, 'opensc-pkcs11.so'));
    expect(missing).toMatchObject({ code: 1, error: '' });
    expect(missing.out).toContain('apt-get install opensc');
    const nobody = await status([], { PCSCLITE_CSOCK_NAME: join(folder, 'no-socket') });
    expect(faults(nobody)).toMatchObject([
      { code: 'service-missing', text: expect.stringContaining('systemctl enable --now pcscd.socket') },
    ]);
    const other = await status(['--token', 'Somebody else']);
    expect(faults(other)).toMatchObject([{ code: 'no-card' }]);
    await reader.remove();
    try {
      const empty = await status();
      expect(faults(empty).map(({ code }) => code)).toEqual(['no-card', 'no-card']);
      expect(faults(empty)[0]?.text).toContain(reader.reader(0).name);
    } finally {
      await reader.insert();
    }
  });

  it('names the addresses of the certificate and of the configuration where they differ (M3)', async () => {
    const file = await configuration('bob@sealgate.test');
    const found = await status(['--config', file]);
    expect(faults(found)[0]).toMatchObject({
      code: 'address-not-configured',
      text: expect.stringContaining(ALICE),
    });
  });

  it('names what is wrong with each card: an expired certificate, one for nobody here, a blocked PIN', async () => {
    const old = await reader.newCard(pki, {
      address: ALICE,
      keys: [
        { reference: '9a', days: -1 },
        { reference: '9c', address: 'carol@sealgate.test', type: 'p-256' },
        { reference: '9d' },
      ],
    });
    const blocked = await reader.newCard(pki, { address: ALICE, keys: [{ reference: '9a' }], pinTries: 1 });
    await reader.remove();
    await reader.insert(old);
    await reader.reader(1).insert(blocked);
    try {
      // By somebody else's program.
      const login = ['--login', '--pin', '999999', '--list-objects', '--slot-index', '1'];
      await runToEnd('pkcs11-tool', ['--module', reader.module, ...login], { env: reader.env });
      expect(await blocked.triesLeft()).toMatchObject({ pin: 0 });
      const found = await status(['--config', await configuration(ALICE)]);
      expect(faults(found)).toMatchObject([
        {
          code: 'certificate-expired',
          text: expect.stringMatching(/expired on .*: ask its issuer for a new/),
        },
        {
          code: 'address-not-configured',
          text: expect.stringMatching(/is for carol@sealgate\.test, and no login .* writes from there: add/),
        },
        { code: 'pin-locked', text: expect.stringMatching(/is blocked: .*“sealgate card pin unblock”.*PUK/) },
      ]);
      const [first, second] = found.modules[0]?.readers ?? [];
      const may = first?.keys.map(({ label, signs, opens }) => [label, signs.may, opens.may]).sort();
      expect(may).toEqual([
        ['Certificate for Digital Signature', true, false],
        ['Certificate for Key Management', false, true],
        ['Certificate for PIV Authentication', false, false],
      ]);
      expect(second?.card).toMatchObject({ state: 'token', pin: 'locked' });
      expect((await old.counters()).pinsPresented).toBe(0);
    } finally {
      await reader.reader(1).remove();
      await reader.remove();
      await reader.insert();
    }
  });

  it('no reader at all: plug it in, or install its driver', async () => {
    await using empty = await pcsc({ readers: 0 });
    const found = await status([], empty.env);
    expect(faults(found)).toMatchObject([
      { code: 'no-reader', text: expect.stringMatching(/plug it in; .*driver/) },
    ]);
  });
});
