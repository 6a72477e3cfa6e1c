import { spawnSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Started } from '../support/services/disposable.ts';
import { type SoftHsm, softhsm } from '../support/services/softhsm.ts';
import { runSealgate } from './support/run-sealgate.ts';

let folder: string;
let hsm: Started<SoftHsm>;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-token-command-'));
  hsm = await softhsm();
});
afterAll(async () => {
  await hsm.stop();
  await rm(folder, { recursive: true, force: true });
});

const token = (args: readonly string[], env: NodeJS.ProcessEnv = {}) =>
  runSealgate(['token', ...args, '--module', hsm.module], {
    env: { ...hsm.env, ...env },
    cache: join(folder, 'compiled'),
  });

function pkcs11Tool(...args: readonly string[]): { status: number | null; out: string } {
  const { status, stdout } = spawnSync('pkcs11-tool', ['--module', hsm.module, ...args], {
    env: { ...process.env, ...hsm.env, PIN: '2718281', SO: '31415926' },
  });
  return { status, out: stdout.toString() };
}

const secrets = { SEALGATE_SO_PIN: '31415926', SEALGATE_NEW_PIN: '2718281' };

describe('sealgate token init', () => {
  it('sets up a blank token that pkcs11-tool logs in to with both PINs, and lets one in use alone', async () => {
    const made = await token(['init', '--label', 'Büro', '--json'], secrets);
    expect(made).toMatchObject({ code: 0 });
    const { serial } = JSON.parse(made.out) as { serial: string };
    const login = ['--token-label', 'Büro', '--login'];
    expect(pkcs11Tool(...login, '--pin', 'env:PIN', '--list-objects').status).toBe(0);
    const setAgain = ['--init-pin', '--so-pin', 'env:SO', '--pin', 'env:PIN'];
    expect(pkcs11Tool(...login, ...setAgain).status).toBe(0);
    const again = await token(['init', '--label', 'other', '--token', 'Büro'], secrets);
    expect(again).toMatchObject({ code: 1, out: '' });
    expect(again.error).toContain('--erase');
    const erased = await token(
      ['init', '--label', 'other', '--token', `pkcs11:serial=${serial}`, '--erase'],
      secrets,
    );
    expect(erased.code).toBe(0);
    const { out } = pkcs11Tool('--list-slots');
    expect(out).toContain('other');
    expect(out).not.toContain('Büro');
    expect(out).toContain(hsm.tokenLabel);
  });

  it('refuses labels that a terminal would obey or a token could not hold', async () => {
    const labels = ['\u001b[31mred', 'a'.repeat(33), '€'.repeat(11), ' padded'];
    for (const { code, error } of await Promise.all(
      labels.map((label) => token(['init', '--label', label], secrets)),
    )) {
      expect(code).toBe(1);
      expect(error).toContain('1 to 32 octets');
    }
  });
});

describe('sealgate token list', () => {
  it('tells of tokens what pkcs11-tool tells, and nothing that a terminal would obey', async () => {
    // What a hostile card calls itself: colours, a title for the window (C1), text that runs backwards.
    const evil = 'x\u001b[31my\u009b1mz\u202eabc';
    const made = spawnSync(
      'softhsm2-util',
      ['--init-token', '--free', '--label', evil, '--so-pin', '31415926', '--pin', '2718281'],
      { env: { ...process.env, ...hsm.env } },
    );
    expect(made.status).toBe(0);
    const [text, json] = await Promise.all([token(['list']), token(['list', '--json'])]);
    for (const { code, out, error } of [text, json]) {
      expect(code).toBe(0);
      expect(out + error).not.toMatch(/[\u001b\u0080-\u009f\u202e]/);
      expect(out).toContain(hsm.tokenLabel);
    }
    expect(text.out).toContain('\\u{1b}[31m');
    type Listed = { slots: { state: { token: { label: string; abilities: { generates: string[] } } } }[] }[];
    const [listed] = JSON.parse(json.out) as Listed;
    const labels = listed?.slots.map(({ state }) => state.token.label);
    expect(labels).toEqual(expect.arrayContaining([hsm.tokenLabel, evil]));
    expect(listed?.slots[0]?.state.token.abilities.generates).toEqual(
      expect.arrayContaining(['rsa-2048', 'rsa-4096', 'p-256', 'p-521', 'ed25519']),
    );
  });

  it('says of a library that is missing in which package it is, and of one that is none what it is not', async () => {
    const list = (module: string) =>
      runSealgate(['token', 'list', '--module', module], { cache: join(folder, 'compiled') });
    const nonsense = join(folder, 'nonsense.so');
    await writeFile(nonsense, 'no library');
    const [missing, none] = await Promise.all([list(join(folder, 'libsofthsm2.so')), list(nonsense)]);
    expect(missing).toMatchObject({ code: 1, out: '' });
    expect(missing.error).toContain('apt-get install softhsm2');
    expect(none.code).toBe(1);
    expect(none.error).toContain('check the path, its permissions and that it is a PKCS#11 library');
  });
});

describe('PINs of commands', () => {
  it('are read from files that nobody else may read, and from the terminal only where there is one', async () => {
    const open = join(folder, 'pin');
    await writeFile(open, '2718281\n');
    await chmod(open, 0o644);
    const args = ['card', 'pin', 'change', '--module', hsm.module, '--token', hsm.tokenLabel];
    const options = { env: { ...hsm.env, SEALGATE_NEW_PIN: '123456' }, cache: join(folder, 'compiled') };
    const [readable, nobody] = await Promise.all([
      runSealgate([...args, '--pin-file', open], options),
      runSealgate(args, options),
    ]);
    expect(readable.error).toContain('chmod 600');
    expect(nobody.error).toContain('--pin-file');
    for (const { code, out } of [readable, nobody]) expect([code, out]).toEqual([1, '']);
  });
});
