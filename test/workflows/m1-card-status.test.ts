import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { createThrowawayPki, type ThrowawayPki } from '../../src/evaluation/throwaway-pki.ts';
import { runSealgate } from '../commands/support/run-sealgate.ts';
import type { Started } from '../support/services/disposable.ts';
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
      keys: { certificate: { addresses: string[] }; signs: { may: boolean }; opens: { may: boolean } }[];
    }[];
  }[];
  problems: Finding[];
};
const faults = ({ problems }: Status) => problems.filter(({ severity }) => severity === 'fault');

async function status(args: readonly string[] = [], env: NodeJS.ProcessEnv = {}): Promise<Status> {
  const { code, out, error } = await card(['status', '--json', ...args], env);
  expect(error).toBe('');
  const found = JSON.parse(out) as Status;
  expect(code).toBe(faults(found).length === 0 ? 0 : 1);
  return found;
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
    const file = join(folder, 'gateway.yaml');
    const principal = { login: 'bob', addresses: ['bob@sealgate.test'], keys: [] };
    const upstream = { host: '127.0.0.1', port: 143, tls: 'none' };
    const rules = [{ name: 'all', sign: 'if-possible', encrypt: 'if-possible' }];
    await writeFile(
      file,
      stringify({
        hostname: 'gw.sealgate.test',
        imap: [{ name: 'imap', host: '127.0.0.1', port: 0, tls: 'none', upstream }],
        principals: { list: [principal] },
        policy: { rules },
      }),
      { mode: 0o600 },
    );
    const found = await status(['--config', file]);
    expect(faults(found)[0]).toMatchObject({
      code: 'address-not-configured',
      text: expect.stringContaining(ALICE),
    });
  });
});
