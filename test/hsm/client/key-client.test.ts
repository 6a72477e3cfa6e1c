import { appendFileSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { SealgateError } from '../../../src/errors.ts';
import type { KeyClient } from '../../../src/hsm/client/key-client.ts';
import type { Operation } from '../../../src/hsm/operation.ts';
import type { TokenSource } from '../../../src/hsm/source-kinds.ts';
import type { Event } from '../../../src/log/events.ts';
import { Authority } from '../support/authority.ts';
import { type Impostor, impostor } from '../support/impostor.ts';
import { refusal } from '../support/key-behaviour.ts';
import {
  type PlaceChanges,
  RememberedRefusals,
  startPlace,
  tokenPlace,
  untilState,
  withPlace,
} from '../support/key-place.ts';

/**
 * The key process may crash, hang, lie or talk nonsense: the gateway must only ever see requests that fail for now, and must never
 * let a PIN leave twice.
 */

const authority = new Authority();
afterAll(() => authority.remove());

const operation: Operation = { kind: 'agree', key: '0'.repeat(64), originator: Buffer.from('theirs') };
const OPENS = "if (message.kind === 'open') open();";
const file = tokenPlace('office', '/nowhere/pin', {}, { sessions: 1 });
const asking: TokenSource = { ...file, pin: { ask: 'console' } };

function codes(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'done',
    (error: unknown) => {
      expect(error).toBeInstanceOf(SealgateError);
      return `${(error as SealgateError).code} ${(error as SealgateError).duration}`;
    },
  );
}

function withImpostor<T>(
  { program }: Impostor,
  changes: PlaceChanges & { place?: TokenSource },
  use: (client: KeyClient) => Promise<T>,
): Promise<T> {
  const { place = file, ...rest } = changes;
  return withPlace(place, { program, ...rest, times: { close: 100, ...rest.times } }, use);
}

describe('nonsense in the place of an answer', () => {
  test.each([
    ['no answer', 'rawReply(Buffer.alloc(20, 1))'],
    ['an answer to no request', 'rawReply(answerFrame({ id: 999, octets: Buffer.alloc(3) }))'],
    [
      'an answer to the request after',
      'rawReply(answerFrame({ id: request.id + 1, octets: Buffer.alloc(3) }))',
    ],
    ['a frame of four gigabytes', 'rawReply(Buffer.alloc(64, 0xff))'],
    ['a failure of its own invention', "refuse({ ...failure('key.x'), code: 'mail.accepted' })"],
    ['a failure without words', "refuse({ ...failure('key.refused'), publicText: '' })"],
    ['its end', 'process.exit(0)'],
    ['a defect', "throw new Error('defect')"],
    ['an end of the pipe alone', 'session.end()'],
    ['a second opening', 'open()'],
    ['a session that was never agreed', "send({ kind: 'sessions', count: 2 })"],
    ['no session any more', "send({ kind: 'sessions', count: 0 })"],
    ['a control message that is none', "send({ kind: 'mail-accepted' })"],
    ['no JSON', "raw(Buffer.from('00000004nope', 'latin1'))"],
    ['a control frame of four gigabytes', 'raw(Buffer.alloc(64, 0xff))'],
    ['what Node itself would have obeyed', "send({ cmd: 'NODE_HANDLE', type: 'net.Socket' })"],
    ['a flood', "for (let i = 0; i < 1000; i++) send({ kind: 'changed', inventory })"],
  ])('%s fails the request for now, and another process is started', async (name, answer) => {
    const nonsense = impostor(authority, `nonsense ${name}`, OPENS, answer);
    await withImpostor(nonsense, { times: { operation: 300 } }, async (client) => {
      expect(await codes(client.perform(operation))).toBe('key.unavailable temporary');
      expect(await codes(client.perform(operation))).toBe('key.unavailable temporary');
    });
    expect(nonsense.starts()).toBeGreaterThan(1);
  });

  test('a second answer to one request never reaches another request', async () => {
    const twice = impostor(authority, 'twice', OPENS, 'reply([request.id + 1]); reply([100]);');
    await withImpostor(twice, {}, async (client) => {
      const outcomes = await Promise.all(
        Array.from({ length: 6 }, () =>
          client.perform(operation).catch((error: SealgateError) => error.code),
        ),
      );
      for (const outcome of outcomes) {
        expect([Buffer.from([1]), 'key.unavailable']).toContainEqual(outcome);
      }
    });
  });

  test('an inventory with what nobody asked for is nonsense before anything was opened', async () => {
    const inventory = "{ ...inventory, keys: [{ ...description, certificate: 'text' }] }";
    const liar = impostor(authority, 'liar', `send({ kind: 'opened', inventory: ${inventory} })`);
    await withImpostor(liar, {}, async (client) => {
      expect(client.state.kind).toBe('absent');
      expect(await codes(client.perform(operation))).toBe('key.unavailable temporary');
    });
  });

  test('what it has said before its end is heard', async () => {
    const last = impostor(authority, 'last', `${OPENS}`, 'reply([5]); process.exit(3);');
    await withImpostor(last, {}, async (client) => {
      expect(await client.perform(operation)).toEqual(Buffer.from([5]));
    });
  });
});

describe('a process that dies', () => {
  test.each([
    ['ends at once', 'process.exit(1)', 60_000],
    ['never says a word', '', 1_500],
    ['says nonsense', "raw('opened')", 60_000],
  ])(
    'one that %s, three times: the place is absent, requests are told at once, and it is tried again',
    async (name, onMessage, open) => {
      const broken = impostor(
        authority,
        `opening ${name}`,
        `if (start < 4) { ${onMessage} } else open();`,
        'reply([1])',
      );
      await withImpostor(broken, { times: { open } }, async (client) => {
        expect(client.state).toMatchObject({
          kind: 'absent',
          failure: { duration: 'temporary' },
          last: null,
        });
        expect(await codes(client.perform(operation))).toBe('key.unavailable temporary');
        await untilState(client, 'open');
        expect(await client.perform(operation)).toEqual(Buffer.from([1]));
      });
    },
  );

  test.each([
    ['dies', 'process.exit(1)'],
    ['finds no token', "send({ kind: 'failed', failure: failure('key.token-absent') }); process.exit()"],
  ])(
    'the first two, where each %s as it opens: nobody is told, and the next one serves',
    async (name, ends) => {
      const killed = impostor(
        authority,
        `first ${name}`,
        `if (start < 3) { ${ends} } else open();`,
        'reply([4])',
      );
      const client = startPlace(file, { program: killed.program, times: { close: 100 } });
      try {
        const result = client.perform(operation);
        await client.settled;
        expect(client.state.kind).toBe('open');
        expect(await result).toEqual(Buffer.from([4]));
        expect(killed.starts()).toBe(3);
      } finally {
        await client.close();
      }
    },
  );

  test('a token that three do not find is absent, in the words of the third; what a person has to mend is said at once', async () => {
    const says = (code: string, duration: string) =>
      `if (message.kind === 'open') { send({ kind: 'failed', failure: failure('${code}', '${duration}') }); process.exit(); }`;
    const absent = impostor(authority, 'absent', says('key.token-absent', 'temporary'));
    await withImpostor(absent, { times: { restart: 50 } }, async (client) => {
      expect(client.state).toMatchObject({ kind: 'absent', failure: { code: 'key.token-absent' } });
      expect(absent.starts()).toBe(3);
    });
    const unreadable = impostor(authority, 'unreadable', says('key.module-unreadable', 'permanent'));
    await withImpostor(unreadable, { times: { restart: 3_600_000 } }, async (client) => {
      expect(client.state).toMatchObject({ kind: 'absent', failure: { code: 'key.module-unreadable' } });
      expect(unreadable.starts()).toBe(1);
    });
  });

  test('the first one, hung as it opens for as long as anybody waits: that is told at once', async () => {
    const hung = impostor(authority, 'hung as it opens', 'if (start > 1) open();', 'reply([4])');
    const times = { open: 1_000, wait: 500 };
    await withImpostor(hung, { times }, async (client) => {
      expect(client.state.kind).toBe('absent');
      await untilState(client, 'open');
    });
  });

  test('one that had been of use is replaced at once, and one that had not after a pause that doubles', async () => {
    const crashing = impostor(
      authority,
      'crashing',
      OPENS,
      'if (start === 1) reply([1]); else process.exit(1);',
    );
    await withImpostor(crashing, { times: { restart: 3_600_000, wait: 1_000 } }, async (client) => {
      expect(await client.perform(operation)).toEqual(Buffer.from([1]));
      process.kill(client.processId ?? 0, 'SIGKILL');
      // Started although the pause is an hour; it dies of the first request that it gets.
      while (client.generation < 2) await codes(client.perform(operation));
      while (client.processId !== null) await codes(client.perform(operation));
      expect(await codes(client.perform(operation))).toBe('key.unavailable temporary');
      expect([client.generation, crashing.starts()]).toEqual([2, 2]);
    });
  });

  test('one that dies again and again: after the third time nobody waits for the next', async () => {
    const dying = impostor(
      authority,
      'dying',
      'if (start === 1) open(); else process.exit(1);',
      'process.exit(1)',
    );
    await withImpostor(dying, {}, async (client) => {
      expect(await codes(client.perform(operation))).toBe('key.unavailable temporary');
      const { last } = await untilState(client, 'absent');
      expect(last?.token?.label).toBe('office');
    });
  });

  test('a hung module: what is inside fails when its time is over, what waits is served by the next process', async () => {
    const hung = impostor(authority, 'hung', OPENS, 'if (start > 1) reply([2]);');
    // The next one answers within it, however busy the machine is.
    await withImpostor(hung, { times: { operation: 2_000 } }, async (client) => {
      const outcomes = await Promise.all(
        Array.from({ length: 5 }, () =>
          client.perform(operation).catch((error: SealgateError) => error.code),
        ),
      );
      expect(outcomes.slice(0, 2)).toEqual(['key.unavailable', 'key.unavailable']);
      expect(outcomes.slice(2)).toEqual(Array.from({ length: 3 }, () => Buffer.from([2])));
    });
  });
});

type Permit = { kind: 'permit'; may: boolean; proven: boolean };

function permitsOf(program: Impostor): Permit[] {
  return program.received().filter((message): message is Permit => (message as Permit).kind === 'permit');
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}

describe('a PIN from a file', () => {
  const LOGIN = "send({ kind: 'login', identity: 'this very file', inventory })";

  test('is sent only with leave; after a crash during the login never again, whatever is started anew', async () => {
    const crashing = impostor(
      authority,
      'crash in login',
      `if (message.kind === 'open') ${LOGIN}; else if (message.kind === 'permit' && message.may) process.exit(3);`,
    );
    const refusals = new RememberedRefusals();
    const { program } = crashing;
    await withImpostor(crashing, { refusals }, async (client) => {
      const { failure } = await untilState(client, 'refused');
      expect([failure.code, failure.duration]).toEqual(['key.unavailable', 'permanent']);
      expect(failure.publicText).toContain('it is not sent again by itself');
      expect(failure.publicText).toContain('/nowhere/pin');
      expect((await refusal(client.perform(operation))).publicText).toBe(failure.publicText);
      // The next one asks, is told no, and the place stays refused.
      await until(() => permitsOf(crashing).length > 1);
      expect(client.state.kind).toBe('refused');
    });
    // Another run of the gateway.
    await withPlace(file, { program, refusals, times: { close: 100 } }, async (client) => {
      const { failure } = await untilState(client, 'refused');
      expect([failure.code, failure.duration]).toEqual(['key.pin-incorrect', 'permanent']);
      expect(failure.publicText).toContain('refused this PIN before');
    });
    const permits = permitsOf(crashing);
    expect(permits.filter(({ may }) => may)).toHaveLength(1);
    expect(permits.length).toBeGreaterThan(2);
  });

  test('is sent once at the start where the token fails for now: nobody waits for another answer', async () => {
    const failing = impostor(
      authority,
      'failing at the login',
      `if (message.kind === 'open') ${LOGIN};
       if (message.kind === 'permit') { send({ kind: 'failed', failure: failure('key.unavailable') }); process.exit(); }`,
    );
    // So whoever starts the gateway is told before the next one is started.
    await withImpostor(failing, { times: { restart: 3_600_000 } }, async (client) => {
      expect(client.state).toMatchObject({ kind: 'absent', failure: { code: 'key.unavailable' } });
      expect(permitsOf(failing)).toHaveLength(1);
    });
  });

  test('that was accepted once is proven: a crash during a later login does not condemn it', async () => {
    const crashing = impostor(
      authority,
      'crash in later login',
      `if (message.kind === 'open') ${LOGIN};
       else if (message.kind === 'permit') { if (start === 2) process.exit(3); else open(); }`,
      'if (start === 1) process.exit(1); else reply([1]);',
    );
    await withImpostor(crashing, {}, async (client) => {
      expect(await codes(client.perform(operation))).toBe('key.unavailable temporary');
      expect(await client.perform(operation)).toEqual(Buffer.from([1]));
    });
    expect(permitsOf(crashing).map(({ proven }) => proven)).toEqual([false, true, true]);
  });

  test('that is refused: said once, remembered, and requests get the sentence of the token', async () => {
    const refusing = impostor(
      authority,
      'refusing',
      `if (message.kind === 'open') ${LOGIN};
       else if (message.kind === 'permit' && message.may) send({ kind: 'refused', failure: failure('key.pin-incorrect', 'permanent'), identity: 'this very file' });`,
    );
    const refusals = new RememberedRefusals();
    const events: Event[] = [];
    await withImpostor(refusing, { refusals, events }, async (client) => {
      expect(client.state.kind).toBe('refused');
      for (let i = 0; i < 5; i++) {
        expect(await codes(client.perform(operation))).toBe('key.pin-incorrect permanent');
      }
      expect([...refusals.identities]).toEqual(['this very file']);
      process.kill(client.processId ?? 0, 'SIGKILL');
      await until(() => permitsOf(refusing).length > 1);
      expect(await codes(client.perform(operation))).toBe('key.pin-incorrect permanent');
    });
    expect(events.filter(({ event }) => event === 'key.pin-refused')).toHaveLength(1);
  });

  test('a process that pretends to have logged in without leave has achieved nothing for the next one', async () => {
    const pretending = impostor(authority, 'pretending', OPENS, 'process.exit(1)');
    await withImpostor(pretending, {}, async (client) => {
      expect(await codes(client.perform(operation))).toBe('key.unavailable temporary');
    });
    expect(permitsOf(pretending)).toEqual([]);
  });

  test('refused at the use of a key that asks for it each time: the session is closed and the PIN not sent again', async () => {
    const refusing = impostor(
      authority,
      'refusing in use',
      `if (message.kind === 'open') ${LOGIN}; else if (message.kind === 'permit' && message.may) open();`,
      "send({ kind: 'refused', failure: failure('key.pin-incorrect', 'permanent'), identity: 'this very file' });",
    );
    const refusals = new RememberedRefusals();
    await withImpostor(refusing, { refusals }, async (client) => {
      await untilState(client, 'open');
      expect(await codes(client.perform(operation))).toBe('key.pin-incorrect permanent');
      expect(client.state.kind).toBe('refused');
      await until(() => permitsOf(refusing).length > 1);
      expect(client.state.kind).toBe('refused');
    });
  });
});

describe('a PIN that a person types', () => {
  const LOCKED = "if (message.kind === 'open') send({ kind: 'locked', inventory });";

  test('is asked for when a key is used, once for all who wait, and not before', async () => {
    const card = impostor(
      authority,
      'card',
      `${LOCKED} if (message.kind === 'wanted') { send({ kind: 'asking' }); send({ kind: 'login', identity: null, inventory: null }); }
       if (message.kind === 'permit' && message.may) open();`,
      'reply([9])',
    );
    const events: Event[] = [];
    await withImpostor(card, { place: asking, events }, async (client) => {
      expect(client.state.kind).toBe('locked');
      expect(events.filter(({ event }) => event === 'key.pin-asked')).toEqual([]);
      const all = await Promise.all(Array.from({ length: 5 }, () => client.perform(operation)));
      expect(all).toEqual(Array.from({ length: 5 }, () => Buffer.from([9])));
      expect(client.state.kind).toBe('open');
    });
    expect(events.filter(({ event }) => event === 'key.pin-asked')).toHaveLength(1);
    const wanted = card.received().filter((message) => (message as { kind: string }).kind === 'wanted');
    expect(wanted).toHaveLength(1);
  });

  test('nobody types it: who waits is told in time that it is needed', async () => {
    const silent = impostor(
      authority,
      'nobody',
      `${LOCKED} if (message.kind === 'wanted') send({ kind: 'asking' });`,
    );
    await withImpostor(silent, { place: asking, times: { pin: 100 } }, async (client) => {
      const error = await refusal(client.perform(operation));
      expect([error.code, error.duration]).toEqual(['key.pin-needed', 'temporary']);
      expect(error.publicText).toContain('“office”');
      expect(client.state.kind).toBe('locked');
    });
  });

  test('a person says no: all who wait are told, and the next use asks again', async () => {
    const no = impostor(
      authority,
      'no',
      `${LOCKED} if (message.kind === 'wanted') send({ kind: 'not-given', failure: failure('key.pin-needed') });`,
    );
    await withImpostor(no, { place: asking }, async (client) => {
      const outcomes = await Promise.all([1, 2, 3].map(() => codes(client.perform(operation))));
      expect(outcomes).toEqual(Array.from({ length: 3 }, () => 'key.pin-needed temporary'));
      expect(await codes(client.perform(operation))).toBe('key.pin-needed temporary');
    });
    const wanted = no.received().filter((message) => (message as { kind: string }).kind === 'wanted');
    expect(wanted.length).toBeGreaterThanOrEqual(2);
  });

  test('mistyped: the request waits for the next try; blocked by it, the place is refused', async () => {
    const clumsy = impostor(
      authority,
      'clumsy',
      `${LOCKED} globalThis.tries ??= 0;
       const login = () => send({ kind: 'login', identity: null, inventory: null });
       if (message.kind === 'wanted') login();
       if (message.kind === 'permit') {
         const code = ++globalThis.tries < 3 ? 'key.pin-incorrect' : 'key.pin-locked';
         send({ kind: 'refused', failure: failure(code, 'permanent'), identity: null });
         if (globalThis.tries < 3) login();
       }`,
    );
    const refusals = new RememberedRefusals();
    await withImpostor(clumsy, { place: asking, refusals }, async (client) => {
      expect(await codes(client.perform(operation))).toBe('key.pin-locked permanent');
      expect(client.state.kind).toBe('refused');
    });
    expect([...refusals.identities]).toEqual([]);
  });

  test('the module dies over it: the request fails for now, and the next use asks again', async () => {
    const dying = impostor(
      authority,
      'dies over typed',
      `${LOCKED} if (message.kind === 'wanted') send({ kind: 'login', identity: null, inventory: null });
       if (message.kind === 'permit') { if (start === 1) process.exit(3); else open(); }`,
      'reply([4])',
    );
    await withImpostor(dying, { place: asking }, async (client) => {
      expect(await codes(client.perform(operation))).toBe('key.unavailable temporary');
      expect(client.state.kind).toBe('locked');
      expect(await client.perform(operation)).toEqual(Buffer.from([4]));
    });
  });
});

describe('a card', () => {
  test('taken out: all that is inside and all that waits is told at once; back in, it serves again', async () => {
    const card = impostor(
      authority,
      'taken out',
      `if (message.kind === 'open') { if (start === 1) open(); else { send({ kind: 'absent', failure: failure('key.unavailable') }); setTimeout(open, 100); } }`,
      "if (start === 1) { send({ kind: 'removed', failure: failure('key.unavailable') }); setTimeout(() => process.exit(), 5); } else reply([1]);",
    );
    await withImpostor(card, { times: { restart: 3_600_000 } }, async (client) => {
      const outcomes = await Promise.all(Array.from({ length: 6 }, () => codes(client.perform(operation))));
      expect(outcomes).toEqual(Array.from({ length: 6 }, () => 'key.unavailable temporary'));
      expect(client.state).toMatchObject({ kind: 'absent', last: { token: { label: 'office' } } });
      expect(await codes(client.perform(operation))).toBe('key.unavailable temporary');
      await untilState(client, 'open');
      expect(await client.perform(operation)).toEqual(Buffer.from([1]));
    });
  });

  test('a lost session fails what is inside with its sentence, and nothing that waits', async () => {
    const reset = impostor(
      authority,
      'reset',
      OPENS,
      "if (start === 1) { send({ kind: 'lost', failure: failure('key.unavailable') }); setTimeout(() => process.exit(), 5); } else reply([1]);",
    );
    await withImpostor(reset, {}, async (client) => {
      const outcomes = await Promise.all(Array.from({ length: 5 }, () => codes(client.perform(operation))));
      expect(outcomes).toEqual([
        'key.unavailable temporary',
        'key.unavailable temporary',
        'done',
        'done',
        'done',
      ]);
    });
  });
});

describe('a process that says that it ends', () => {
  test.each(['removed', 'lost', 'failed'])('(%s) and does not is ended', async (kind) => {
    const staying = impostor(
      authority,
      `staying ${kind}`,
      `if (message.kind === 'open') { if (start > 1) open(); else { open(); send({ kind: '${kind}', failure: failure('key.unavailable') }); setInterval(() => send({ kind: 'changed', inventory }), 20); } }`,
      'if (start > 1) reply([1]);',
    );
    await withImpostor(staying, {}, async (client) => {
      await untilState(client, kind === 'lost' ? 'open' : 'absent');
      await until(() => staying.starts() === 2);
      await untilState(client, 'open');
      expect(await client.perform(operation)).toEqual(Buffer.from([1]));
      expect(staying.starts()).toBe(2);
    });
  });

  test('of a token that is out and in all the time is not started at once for ever', async () => {
    const flapping = impostor(
      authority,
      'flapping',
      "if (message.kind === 'open') { send({ kind: 'locked', inventory }); send({ kind: 'removed', failure: failure('key.unavailable') }); setTimeout(() => process.exit(), 5); }",
    );
    const pause = 20;
    const began = performance.now();
    await withImpostor(flapping, { place: asking, times: { restart: pause } }, async () => {
      await until(() => flapping.starts() === 6);
      expect(performance.now() - began).toBeGreaterThan(pause * (2 + 4 + 8 + 16));
    });
  });
});

describe('reading again', () => {
  const RELOADS = `${OPENS} if (message.kind === 'reload')`;

  test('ends when the process has said so, with the new inventory in place', async () => {
    const other = "{ ...inventory, token: { ...token, label: 'changed' } }";
    const reloading = impostor(
      authority,
      'reloading',
      `${RELOADS} send({ kind: 'changed', inventory: ${other} });`,
    );
    await withImpostor(reloading, {}, async (client) => {
      await client.reload();
      expect(client.state).toMatchObject({ kind: 'open', inventory: { token: { label: 'changed' } } });
    });
  });

  test('that fails leaves the keys as they are, and says why', async () => {
    const failing = impostor(
      authority,
      'reload fails',
      `${RELOADS} send({ kind: 'reload-failed', failure: failure('key.file-unreadable', 'permanent') });`,
      'reply([1])',
    );
    await withImpostor(failing, {}, async (client) => {
      const error = await refusal(client.reload());
      expect([error.code, error.duration]).toEqual(['key.file-unreadable', 'permanent']);
      expect(client.state.kind).toBe('open');
      expect(await client.perform(operation)).toEqual(Buffer.from([1]));
    });
  });

  test('ends with the process', async () => {
    const dying = impostor(authority, 'reload dies', `${RELOADS} process.exit(1);`);
    await withImpostor(dying, {}, async (client) => {
      expect(await codes(client.reload())).toBe('key.unavailable temporary');
    });
  });
});

describe('overload', () => {
  test('a request that waits too long for its turn fails for now', async () => {
    const silent = impostor(authority, 'silent', OPENS);
    await withImpostor(silent, { times: { wait: 50 } }, async (client) => {
      await untilState(client, 'open');
      const requests = Array.from({ length: 5 }, () => codes(client.perform(operation)));
      expect(await Promise.race(requests)).toBe('key.unavailable temporary');
      await client.close();
      expect(new Set(await Promise.all(requests))).toEqual(new Set(['key.unavailable temporary']));
    });
  });

  test('more requests than anybody could wait for are refused at once', async () => {
    const silent = impostor(authority, 'flooded', OPENS);
    await withImpostor(silent, {}, async (client) => {
      const requests = Array.from({ length: 3_000 }, () => codes(client.perform(operation)));
      expect(await requests.at(-1)).toBe('key.unavailable temporary');
      expect(client.load).toBeLessThanOrEqual(1_002);
      await client.close();
      await Promise.all(requests);
      expect(client.load).toBe(0);
    });
  });

  test('somebody who opens a thousand mails holds up nobody else, and not the sending with the same key', async () => {
    const busy = impostor(authority, 'busy', OPENS, 'setTimeout(() => reply([1]), 1);');
    await withImpostor(busy, {}, async (client) => {
      await untilState(client, 'open');
      const done: string[] = [];
      const use = (who: string, wanted: Operation): Promise<void> =>
        client.perform(wanted).then(
          () => void done.push(who),
          () => void done.push(`${who} refused`),
        );
      const flood = Array.from({ length: 3_000 }, () => use('flood', operation));
      const scheme = { kind: 'ecdsa', digest: 'sha256' } as const;
      const data = Buffer.from('mail');
      await Promise.all([
        use('other', { ...operation, key: '1'.repeat(64) }),
        use('sending', { kind: 'sign', key: operation.key, scheme, input: 'message', data }),
      ]);
      const served = done.filter((who) => !who.endsWith('refused'));
      expect(served).toEqual(expect.arrayContaining(['other', 'sending']));
      expect(served.length).toBeLessThan(20);
      await client.close();
      await Promise.all(flood);
    });
  });

  test('further sessions are asked for when requests wait, and each is used', async () => {
    const growing = impostor(
      authority,
      'growing',
      `${OPENS} if (message.kind === 'grow') { send({ kind: 'sessions', count: message.sessions }); for (let i = 1; i < message.sessions; i++) serve(4 + i); }`,
      'setTimeout(() => reply([1]), 20);',
    );
    // The others answer in the same way as the first.
    const more = `const served = new Set(); function serve(fd) { if (served.has(fd)) return; served.add(fd); const other = new Socket({ fd, readable: true, writable: true }); const frames = new FrameReader(1e6);
      other.on('data', (chunk) => { for (const frame of frames.push(chunk)) other.write(answerFrame({ id: readRequest(frame).id, octets: Buffer.from([fd]) })); }); }`;
    appendFileSync(growing.program, more);
    await withImpostor(growing, { place: { ...file, sessions: 3 } }, async (client) => {
      const all = await Promise.all(Array.from({ length: 60 }, () => client.perform(operation)));
      expect(new Set(all.map((answer) => answer[0]))).toEqual(new Set([1, 5, 6]));
    });
  });
});

test('close() refuses what comes later, and what is not answered yet', async () => {
  const silent = impostor(authority, 'closed', OPENS);
  const client = startPlace(file, { program: silent.program, times: { close: 100 } });
  await untilState(client, 'open');
  const pending = codes(client.perform(operation));
  const { processId } = client;
  await client.close();
  expect(await pending).toBe('key.unavailable temporary');
  expect(await codes(client.perform(operation))).toBe('key.unavailable temporary');
  expect(client.state.kind).toBe('closed');
  expect(() => process.kill(processId ?? 0, 0)).toThrow('ESRCH');
  await client.close();
});
