import { afterAll, describe, expect, test } from 'vitest';
import { SealgateError } from '../../../src/errors.ts';
import type { KeyClient } from '../../../src/hsm/client/key-client.ts';
import type { Refusals } from '../../../src/hsm/key-state.ts';
import type { Operation } from '../../../src/hsm/operation.ts';
import type { TokenSource } from '../../../src/hsm/source-kinds.ts';
import { Authority } from '../support/authority.ts';
import { impostor } from '../support/impostor.ts';
import { RememberedRefusals, tokenPlace, untilState, withPlace } from '../support/key-place.ts';

/** Uses of keys that are answered, inside and waiting, and whatever becomes of the key process then: each ends once, with its own answer or none. */

const authority = new Authority();
afterAll(() => authority.remove());

const file = tokenPlace('office', '/nowhere/pin', {}, { sessions: 1 });
const asking: TokenSource = { ...file, pin: { ask: 'console' } };
const use = (n: number): Operation =>
  ({
    kind: n % 2 === 0 ? 'agree' : 'decapsulate',
    key: '0'.repeat(64),
    ...(n % 2 === 0 ? { originator: Buffer.from([n]) } : { ciphertext: Buffer.from([n]) }),
  }) as Operation;
const USES = 6;
const OWN = 'const { operation } = request; const own = operation.originator ?? operation.ciphertext;';
const OPENS = "if (message.kind === 'open') open();";

/** `said`: by the process in the place of an answer. `done`: by the gateway at that moment. */
type Happening = { said?: string; done?: (client: KeyClient) => unknown };

const HAPPENINGS: Readonly<Record<string, Happening>> = {
  'it dies': { said: 'process.exit(1)' },
  'it dies behind its answer': { said: 'reply(own); process.exit(1)' },
  'it hangs': { said: 'for (;;);' },
  'it says nothing of this one': { said: '' },
  'it answers twice': { said: 'reply(own); reply(own)' },
  'the token is taken out': {
    said: "send({ kind: 'removed', failure: failure('key.unavailable') }); setTimeout(() => process.exit(), 5)",
  },
  'the token is taken out, and it answers': {
    said: "send({ kind: 'removed', failure: failure('key.unavailable') }); reply(own); process.exit()",
  },
  'the session is lost': {
    said: "send({ kind: 'lost', failure: failure('key.unavailable') }); process.exit()",
  },
  'the session is lost, and it stays': {
    said: "send({ kind: 'lost', failure: failure('key.unavailable') }); reply(own)",
  },
  'it fails': { said: "send({ kind: 'failed', failure: failure('key.unavailable') }); process.exit()" },
  'the PIN is refused in use': {
    said: "send({ kind: 'refused', failure: failure('key.pin-incorrect', 'permanent'), identity: 'i' })",
  },
  'the token is away': { said: "send({ kind: 'absent', failure: failure('key.unavailable') })" },
  'it is read again': { said: "send({ kind: 'changed', inventory }); reply(own)" },
  'it refuses': { said: "refuse(failure('key.refused'))" },
  'the place is closed': { said: '', done: (client) => client.close() },
  'the place is reloaded, and it dies': { said: 'process.exit(1)', done: (client) => client.reload() },
  'the place is reloaded, and it says nothing': { said: '', done: (client) => client.reload() },
};

describe.each(Object.entries(HAPPENINGS))('%s', (name, { said = '', done }) => {
  test.concurrent.each([0, 1, 3, 5])('with %i answered', async (answered) => {
    const program = impostor(
      authority,
      `${name} ${answered}`.replaceAll(/[^a-z0-9]/gi, '-'),
      OPENS,
      `${OWN} if (start > 1) reply(own); else if (own[0] === order[${answered}]) { ${said} } else if (order.indexOf(own[0]) < ${answered}) reply(own);`.replaceAll(
        'order',
        // By turns: the first kind has two turns at once where both sessions' places are free.
        `[...Array(${USES}).keys()]`,
      ),
    );
    const times = { operation: 150, open: 150, close: 100, wait: 2_000 };
    await withPlace(file, { program: program.program, times }, async (client) => {
      const ends = Array.from({ length: USES }, () => 0);
      const outcomes = Array.from({ length: USES }, async (_, n) => {
        try {
          const own = await client.perform(use(n));
          expect([...own]).toEqual([n]);
        } catch (error) {
          expect(error).toBeInstanceOf(SealgateError);
        }
        ends[n] = (ends[n] ?? 0) + 1;
        if (n === answered - 1) await Promise.resolve(done?.(client)).catch(() => undefined);
      });
      if (answered === 0) void Promise.resolve(done?.(client)).catch(() => undefined);
      await Promise.all(outcomes);
      expect(ends).toEqual(Array.from({ length: USES }, () => 1));
      expect(client.load).toBe(0);
    });
  });
});

test('a token that is taken out while it is asked whether its PIN may leave costs no PIN', async () => {
  const asked = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<boolean>();
  const kept = new RememberedRefusals();
  const refusals: Refusals = {
    has() {
      asked.resolve();
      return answer.promise;
    },
    add: (identity) => kept.add(identity),
  };
  const out = impostor(
    authority,
    'out',
    `if (message.kind === 'open' && start === 1) {
       send({ kind: 'login', identity: 'i', inventory: null });
       send({ kind: 'removed', failure: failure('key.unavailable') });
     } else if (message.kind === 'open') open();
     else if (message.kind === 'permit') process.exit(1);`,
  );
  await withPlace(file, { program: out.program, refusals, times: { close: 100 } }, async (client) => {
    await asked.promise;
    await untilState(client, 'absent');
    answer.resolve(false);
    await untilState(client, 'open');
    expect(kept.identities).toEqual(new Set());
    expect(out.received()).not.toContainEqual(expect.objectContaining({ kind: 'permit' }));
  });
});

test('a process that dies whenever somebody is to be asked for the PIN: who waits is told, and does not wait for ever', async () => {
  const dying = impostor(
    authority,
    'dying',
    `if (message.kind === 'open') send({ kind: 'locked', inventory });
     if (message.kind === 'wanted') process.exit(1);`,
  );
  await withPlace(asking, { program: dying.program, times: { close: 100 } }, async (client) => {
    for (let times = 0; times < 2; times++) {
      await untilState(client, 'locked');
      await expect(client.perform(use(0))).rejects.toThrow(SealgateError);
    }
  });
});

test('uses that cannot be sent hold up nobody behind them', async () => {
  const one = impostor(authority, 'one', OPENS, `${OWN} setTimeout(() => reply(own), 20);`);
  await withPlace(file, { program: one.program, times: { close: 100 } }, async (client) => {
    await untilState(client, 'open');
    const unsayable = (): Operation => ({ kind: 'agree', key: 'none', originator: Buffer.alloc(1) });
    const before = [client.perform(use(0)), client.perform(use(1))];
    const refused = Array.from({ length: 20 }, () => client.perform(unsayable()));
    const behind = [client.perform(use(2)), client.perform(use(3))];
    for (const each of refused) await expect(each).rejects.toThrow(SealgateError);
    expect(await Promise.all([...before, ...behind])).toEqual([0, 1, 2, 3].map((n) => Buffer.from([n])));
  });
});
