import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { PinSource } from '../../../src/hsm/source-kinds.ts';
import { startPlace, tokenPlace, untilState } from '../support/key-place.ts';
import { SoftHsm } from '../support/softhsm.ts';
import { Terminal } from './support/terminal.ts';
import { TestPinentry } from './support/test-pinentry.ts';

/** A prompt that nobody waits for any more would take the next PIN that is typed, or leave a terminal without echo. */

let hsm: SoftHsm;

beforeAll(() => {
  hsm = new SoftHsm();
  hsm.newToken('typed', '739105');
});

afterAll(() => hsm.remove());

const ways: [string, PinSource][] = [
  ['the terminal', { ask: 'console' }],
  ['pinentry-tty', { ask: 'pinentry', program: '/usr/bin/pinentry-tty' }],
];

describe('while the PIN is asked for', { concurrent: true }, () => {
  for (const [name, source] of ways) {
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      test(`on ${name}, ${signal} to the gateway leaves the terminal as it was`, async () => {
        const place = tokenPlace('typed', '', hsm.environment, { pin: source });
        await using terminal = new Terminal({ source }, place);
        const gateway = await terminal.asker();
        await terminal.sees(/PIN:/);
        process.kill(gateway, signal);
        expect(await terminal.end()).toMatchObject({ restored: true });
      });
    }
  }

  test('by a pinentry, it is gone with its key process', async () => {
    using pinentry = new TestPinentry({ getpin: 'exec sleep 60' });
    const { program } = pinentry;
    const client = startPlace(
      tokenPlace('typed', '', hsm.environment, { pin: { ask: 'pinentry', program } }),
    );
    await untilState(client, 'locked');
    const operation = { kind: 'agree', key: '00'.repeat(32), originator: Buffer.alloc(0) } as const;
    const refused = client.perform(operation).catch((error: unknown) => error);
    while (!pinentry.told.includes('GETPIN')) await new Promise((resolve) => setImmediate(resolve));
    await client.close();
    expect(await refused).toMatchObject({ code: 'key.unavailable' });
    expect(pinentry.isRunning).toBe(false);
  });
});
