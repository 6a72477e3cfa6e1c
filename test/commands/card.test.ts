import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createThrowawayPki, type ThrowawayPki } from '../../src/evaluation/throwaway-pki.ts';
import type { Started } from '../support/services/disposable.ts';
import { type CardInReader, type VirtualCard, virtualCard } from '../support/services/virtual-card.ts';
import { runSealgate } from './support/run-sealgate.ts';

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

/** A card of its own in the reader, so that no test spends another one's tries. */
async function freshCard(options: { address?: string } = {}): Promise<VirtualCard> {
  const fresh = await reader.newCard(pki, {
    address: ALICE,
    keys: [{ reference: '9a', type: 'p-256' }],
    ...options,
  });
  await reader.remove();
  await reader.insert(fresh);
  return fresh;
}

describe('sealgate card pin', () => {
  it('sends a wrong PIN once, says what the card says of the tries, and leaves the last one alone', async () => {
    const fresh = await freshCard();
    const wrong = { SEALGATE_PIN: '999999', SEALGATE_NEW_PIN: '123456' };
    const first = await card(['pin', 'change'], wrong);
    expect(first).toMatchObject({ code: 1, out: '' });
    expect(first.error).toContain('was refused');
    expect(await fresh.triesLeft()).toMatchObject({ pin: 2 });
    expect((await card(['pin', 'change'], wrong)).error).toContain('one try is left');
    const refused = await card(['pin', 'change'], { ...wrong, SEALGATE_PIN: fresh.pin });
    expect(refused.error).toContain('--use-last-try');
    expect(await fresh.triesLeft()).toMatchObject({ pin: 1 });
    const right = await card(['pin', 'change', '--use-last-try'], { ...wrong, SEALGATE_PIN: fresh.pin });
    expect(right).toMatchObject({ code: 0, out: 'The PIN was changed.\n' });
    expect(await fresh.triesLeft()).toMatchObject({ pin: 3 });
  });

  it('unblocks with the PUK what the last wrong PIN has blocked (M8)', async () => {
    const fresh = await freshCard();
    const wrong = { SEALGATE_PIN: '999999', SEALGATE_NEW_PIN: '123456' };
    for (const last of [[], [], ['--use-last-try']]) await card(['pin', 'change', ...last], wrong);
    expect(await fresh.triesLeft()).toMatchObject({ pin: 0 });
    expect(faults(await status())).toMatchObject([
      { code: 'pin-locked', text: expect.stringContaining('card pin unblock') },
    ]);
    expect((await card(['pin', 'change'], wrong)).error).toContain('card pin unblock');
    const bad = await card(['pin', 'unblock'], { SEALGATE_PUK: '99999999', SEALGATE_NEW_PIN: '654321' });
    expect(bad).toMatchObject({ code: 1, out: '' });
    expect(await fresh.triesLeft()).toEqual({ pin: 0, puk: 2 });
    const good = await card(['pin', 'unblock'], { SEALGATE_PUK: fresh.puk, SEALGATE_NEW_PIN: '654321' });
    expect(good.code, good.error).toBe(0);
    const changed = await card(['pin', 'change'], { SEALGATE_PIN: '654321', SEALGATE_NEW_PIN: '471100' });
    expect(changed.code, changed.error).toBe(0);
    expect(await fresh.triesLeft()).toEqual({ pin: 3, puk: 3 });
    // A dozen programs one after another; a card that does not answer is named by the program, after a minute.
  }, 240_000);

  it('measures a new PIN before the old one costs a try', async () => {
    const fresh = await freshCard();
    const short = await card(['pin', 'change'], { SEALGATE_PIN: '999999', SEALGATE_NEW_PIN: '12' });
    expect(short.error).toContain('does not take the new PIN');
    expect(await fresh.triesLeft()).toMatchObject({ pin: 3 });
  });

  it('takes no PIN on the command line, and does not repeat it', async () => {
    const attempts = [
      ['pin', 'change', '--pin', '31415926'],
      ['pin', 'change', '--new-pin=31415926'],
      ['pin', 'unblock', '--puk=31415926'],
      ['status', '--pin=31415926'],
    ];
    for (const { code, out, error } of await Promise.all(attempts.map((args) => card(args)))) {
      expect(code).toBe(1);
      expect(error).toMatch(/--(?:pin|puk|new-pin) is refused: every user of this machine can read/);
      expect(out + error).not.toContain('31415926');
    }
  });
});

describe('a card that hangs', () => {
  it('is given up in time, and the sentence names the library', async () => {
    await using stuck = await stuckCard();
    const { out, code } = await runSealgate(
      ['card', 'status', '--json', '--timeout', '2', '--module', stuck.module],
      { env: stuck.env, cache: join(folder, 'compiled') },
    );
    expect(code).toBe(1);
    expect(faults(JSON.parse(out) as Status)).toMatchObject([
      { code: 'key.module-silent', text: expect.stringContaining(stuck.module) },
    ]);
  });

  async function stuckCard() {
    const own = await virtualCard(pki, { keys: [] });
    const held = await own.card.hold('everything');
    return {
      ...own,
      async [Symbol.asyncDispose]() {
        await held.reached;
        await held.release();
        await own.stop();
      },
    };
  }
});
