import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TokenSource } from '../../../src/hsm/source-kinds.ts';
import { Authority } from '../support/authority.ts';
import { inventoryOf, signing, tokenPlace, untilState, withPlace } from '../support/key-place.ts';
import { SoftHsm } from '../support/softhsm.ts';
import { TestPinentry } from './support/test-pinentry.ts';

/** A key process whose PIN a person types, with a token of SoftHSM2 and a pinentry made for the test. */

const PIN = '739105';
let authority: Authority;
let hsm: SoftHsm;

beforeAll(() => {
  authority = new Authority();
  hsm = new SoftHsm();
  hsm.newToken('typed', PIN);
  hsm.newKey('typed', PIN, { id: '01', label: 'alice', type: 'EC:prime256v1' }, authority, {
    address: 'alice@example.org',
  });
});

afterAll(() => {
  hsm.remove();
  authority.remove();
});

function asking({ program }: TestPinentry): TokenSource {
  return tokenPlace('typed', '', hsm.environment, { pin: { ask: 'pinentry', program } });
}

const asked = ({ told }: TestPinentry): number => told.filter((line) => line === 'GETPIN').length;
const failureOf = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => 'done',
    (error) => error,
  );

/** What others may read of a process: its arguments, and who runs as the same user, its environment. */
function seenFromOutside(processId: number): string {
  const read = (name: string) => readFileSync(`/proc/${processId}/${name}`, 'latin1');
  return [read('cmdline'), read('environ')].join();
}

/** Each test waits for `locked`: with SoftHSM2 a token may look absent for a moment while another process logs in to it. */
describe('a PIN that a person types', { concurrent: true }, () => {
  test('is asked for when a key is first used, once, however many use it', async () => {
    using pinentry = new TestPinentry({ getpin: `echo "D ${PIN}"; echo OK` });
    await withPlace(asking(pinentry), {}, async (client) => {
      await untilState(client, 'locked');
      expect(asked(pinentry)).toBe(0);
      expect(inventoryOf(client).keys).toHaveLength(1);
      const signatures = await Promise.all(Array.from({ length: 20 }, () => client.perform(signing(client))));
      expect(signatures).toHaveLength(20);
      await client.perform(signing(client));
      expect(asked(pinentry)).toBe(1);
      expect(pinentry.isRunning).toBe(false);
      expect(seenFromOutside(client.processId ?? 0)).not.toContain(PIN);
    });
  });

  test('that is not given fails what waits for it, for now, and leaves the person alone', async () => {
    using pinentry = new TestPinentry({ getpin: 'echo "ERR 83886179 Operation cancelled <Pinentry>"' });
    await withPlace(asking(pinentry), {}, async (client) => {
      await untilState(client, 'locked');
      const one = await failureOf(client.perform(signing(client)));
      expect(one).toMatchObject({ code: 'key.pin-needed', duration: 'temporary' });
      const other = await failureOf(client.perform(signing(client)));
      expect(other).toMatchObject({ code: 'key.pin-needed', duration: 'temporary' });
      expect(asked(pinentry)).toBe(1);
    });
  });

  test('that is wrong is asked for again, with what is wrong, and then serves those who waited', async () => {
    const getpin = `if [ -e "$LOG.second" ]; then echo "D ${PIN}"; else touch "$LOG.second"; echo "D 000000"; fi; echo OK`;
    using pinentry = new TestPinentry({ getpin });
    await withPlace(asking(pinentry), {}, async (client) => {
      await untilState(client, 'locked');
      const first = await failureOf(client.perform(signing(client)));
      if (first !== 'done') expect(first).toMatchObject({ code: 'key.pin-incorrect' });
      await untilState(client, 'open');
      await client.perform(signing(client));
      expect(asked(pinentry)).toBe(2);
      expect(pinentry.told).toContainEqual(expect.stringMatching(/^SETERROR .*PIN/));
    });
  });

  test('from a pinentry that dies is a failure for now, and the key process lives', async () => {
    using pinentry = new TestPinentry({ getpin: 'kill -9 $$' });
    await withPlace(asking(pinentry), {}, async (client) => {
      await untilState(client, 'locked');
      const { generation } = client;
      const failure = await failureOf(client.perform(signing(client)));
      expect(failure).toMatchObject({ code: 'key.pin-needed', duration: 'temporary' });
      expect(client.generation).toBe(generation);
      expect(client.state.kind).toBe('locked');
    });
  });
});
