import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SealgateError } from '../../../src/errors.ts';
import { KeyClient, type KeyClientOptions, keyClientTimes } from '../../../src/hsm/client/token-client.ts';
import { type Operation, parseFromKeyProcess, parseToKeyProcess } from '../../../src/hsm/token-messages.ts';
import type { Event } from '../../../src/log/events.ts';
import { Secret } from '../../../src/log/secret.ts';
import { Authority } from '../support/authority.ts';
import { present, refusal } from '../support/key-behaviour.ts';
import { SoftHsm, softhsmModule } from '../support/softhsm.ts';

/** The key process may crash, hang or talk nonsense; the gateway must only ever see requests that fail for now. */

const PIN = '6465';
const authority = new Authority();
const softhsm = new SoftHsm();
const events: Event[] = [];

beforeAll(() => {
  softhsm.newToken('office', PIN);
  const key = { id: '01', label: 'alice', type: 'rsa:2048' } as const;
  softhsm.newKey('office', PIN, key, authority, { address: 'alice@example.org' });
});

afterAll(() => {
  softhsm.remove();
  authority.remove();
});

type Changes = Partial<Omit<KeyClientOptions, 'times'>> & { times?: Partial<KeyClientOptions['times']> };

function options(changes: Changes = {}): KeyClientOptions {
  return {
    module: softhsmModule,
    token: { by: 'label', label: 'office' },
    pin: new Secret(PIN),
    certificates: [],
    environment: softhsm.environment,
    threads: 4,
    log: { write: (event) => events.push(event) },
    ...changes,
    times: { ...keyClientTimes, restart: 1, ...changes.times },
  };
}

async function withClient<T>(changes: Changes, use: (client: KeyClient) => Promise<T>): Promise<T> {
  const client = await KeyClient.open(options(changes));
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

function signing(client: KeyClient): Operation {
  return {
    kind: 'sign',
    key: present(client.token.keys[0]).key,
    scheme: { kind: 'rsa-pkcs1', digest: 'sha256' },
    input: 'message',
    data: Buffer.from('hello'),
  };
}

describe('a crash', () => {
  test('twenty kills under load: requests succeed or fail for now, and the service returns each time', async () => {
    await withClient({}, async (client) => {
      const expected = await client.perform(signing(client));
      let killed = 0;
      let done = 0;
      const failures: SealgateError[] = [];
      async function load(): Promise<void> {
        while (killed < 20) {
          const outcome = await client.perform(signing(client)).catch((error: unknown) => error);
          if (Buffer.isBuffer(outcome)) expect(outcome).toEqual(expected);
          else failures.push(outcome as SealgateError);
          if (!Buffer.isBuffer(outcome)) continue;
          done++;
          // Every fifth success costs the process its life, in the middle of the others' requests.
          if (done % 5 === 0 && client.processId !== null) {
            process.kill(client.processId, 'SIGKILL');
            killed++;
          }
        }
      }
      await Promise.all(Array.from({ length: 12 }, load));
      expect(killed).toBeGreaterThanOrEqual(20);
      expect(failures.length).toBeGreaterThan(0);
      for (const error of failures) {
        expect(error).toBeInstanceOf(SealgateError);
        expect([error.code, error.duration]).toEqual(['key.unavailable', 'temporary']);
      }
      let last: unknown = null;
      while (!Buffer.isBuffer(last))
        last = await client.perform(signing(client)).catch((error: unknown) => error);
      expect(last).toEqual(expected);
    });
    expect(events.some((event) => event.event === 'key.process-ended' && event.reason === 'SIGKILL')).toBe(
      true,
    );
  });

  test('a hung module: the request fails for now, and the next one is served by a new process', async () => {
    await withClient({ times: { operation: 2_000 } }, async (client) => {
      const first = present(client.processId);
      process.kill(first, 'SIGSTOP');
      const error = await refusal(client.perform(signing(client)));
      expect([error.code, error.duration]).toEqual(['key.unavailable', 'temporary']);
      expect(await client.perform(signing(client))).toHaveLength(256);
      expect(client.processId).not.toBe(first);
    });
  });

  test('requests that wait for their turn survive it', async () => {
    await withClient({ threads: 1 }, async (client) => {
      const outcomes = Array.from({ length: 40 }, () =>
        client.perform(signing(client)).then(
          () => 'done',
          () => 'failed',
        ),
      );
      process.kill(present(client.processId), 'SIGKILL');
      const all = await Promise.all(outcomes);
      // At most what was inside: two for the one thread.
      expect(all.filter((outcome) => outcome === 'failed').length).toBeLessThanOrEqual(2);
    });
  });

  test('a token that has gone: requests fail for now within their time, and it is served when it is back', async () => {
    const visiting = new SoftHsm();
    try {
      visiting.newToken('visiting', PIN);
      const key = { id: '01', label: 'alice', type: 'EC:prime256v1' } as const;
      visiting.newKey('visiting', PIN, key, authority, { address: 'alice@example.org' });
      const configuration = present(visiting.environment.SOFTHSM2_CONF);
      const text = readFileSync(configuration, 'utf8');
      const changes = {
        token: { by: 'label', label: 'visiting' },
        environment: visiting.environment,
        times: { wait: 300 },
      } as const;
      await withClient(changes, async (client) => {
        const operation: Operation = {
          ...signing(client),
          scheme: { kind: 'ecdsa', digest: 'sha256' },
        } as Operation;
        writeFileSync(configuration, text.replace(/tokendir = .*/, `tokendir = ${authority.folder}`));
        process.kill(present(client.processId), 'SIGKILL');
        const error = await refusal(client.perform(operation));
        expect([error.code, error.duration]).toEqual(['key.unavailable', 'temporary']);
        writeFileSync(configuration, text);
        let last: unknown = null;
        while (!Buffer.isBuffer(last))
          last = await client.perform(operation).catch((failure: unknown) => failure);
        expect(last.length).toBeGreaterThan(60);
      });
    } finally {
      visiting.remove();
    }
  });
});

/** A program in the place of the key process. It runs `onMessage(message, send)` for what it gets. */
function impostor(name: string, onMessage: string): URL {
  const file = authority.path(`${name}.mjs`);
  const starts = authority.path(`${name}.starts`);
  writeFileSync(starts, '');
  writeFileSync(
    file,
    `import { appendFileSync } from 'node:fs';
     appendFileSync(${JSON.stringify(starts)}, 'x');
     const send = (message) => process.send(message);
     const key = { key: 'k', label: 'l', certificate: new Uint8Array(1), canSign: true, canDecrypt: true, canAgree: true };
     const token = { label: 'office', serial: '1', mechanisms: [1], keys: [key], certificates: [] };
     process.on('disconnect', () => process.exit());
     process.on('message', (message) => { ${onMessage} });`,
  );
  return pathToFileURL(file);
}

function startsOf(name: string): number {
  return readFileSync(authority.path(`${name}.starts`)).length;
}

const OPEN_THEN =
  "if (message.kind === 'open') send({ kind: 'opened', token }); else if (message.kind === 'perform') ";

describe('nonsense from the key process', () => {
  const operation: Operation = {
    kind: 'agree',
    key: 'k',
    point: Buffer.alloc(65),
    secretOctets: 32,
  };

  test.each([
    ['null', 'send(null)'],
    ['an empty object', 'send({})'],
    ['an answer to no request', "send({ kind: 'done', id: 999, octets: new Uint8Array(3) })"],
    ['octets that are none', "send({ kind: 'done', id: message.id, octets: 'text' })"],
    [
      'a failure of its own invention',
      "send({ kind: 'failed', id: message.id, failure: { code: 'mail.accepted' } })",
    ],
    ['a second opening', "send({ kind: 'opened', token })"],
    ['megabytes', 'send(new Uint8Array(8e6))'],
    ['its end', 'process.exit(0)'],
    ['a defect', "throw new Error('defect')"],
  ])('%s fails the request for now', async (name, answer) => {
    const program = impostor(`nonsense ${name}`, OPEN_THEN + answer);
    await withClient({ program }, async (client) => {
      const error = await refusal(client.perform(operation));
      expect([error.code, error.duration]).toEqual(['key.unavailable', 'temporary']);
      const again = await refusal(client.perform(operation));
      expect([again.code, again.duration]).toEqual(['key.unavailable', 'temporary']);
    });
    expect(startsOf(`nonsense ${name}`)).toBeGreaterThan(1);
  });

  test('anything at all is judged without a crash', () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withTypedArray: true }),
        (value) => {
          expect(parseFromKeyProcess(value)).toBeNull();
          expect(parseToKeyProcess(value)).toBeNull();
        },
      ),
      { numRuns: 500 },
    );
  });

  test('a second answer to one request ends the process, and never reaches another request', async () => {
    const twice =
      "{ for (const x of [1, 2]) send({ kind: 'done', id: message.id, octets: new Uint8Array([x]) }); }";
    const program = impostor('twice', OPEN_THEN + twice);
    await withClient({ program, threads: 1 }, async (client) => {
      const outcomes = await Promise.all(
        Array.from({ length: 6 }, () =>
          client.perform(operation).catch((error: SealgateError) => error.code),
        ),
      );
      for (const outcome of outcomes) expect([Buffer.from([1]), 'key.unavailable']).toContainEqual(outcome);
    });
  });
});

describe('opening', () => {
  test('a module that ends the process while it checks the PIN gets the PIN once', async () => {
    const program = impostor(
      'login',
      "send({ kind: 'login-attempted' }); process.disconnect(); process.exit(3);",
    );
    const error = await refusal(KeyClient.open(options({ program })));
    expect([error.code, error.duration]).toEqual(['key.unavailable', 'permanent']);
    expect(error.publicText).toContain('not sent again by itself');
    expect(startsOf('login')).toBe(1);
  });

  test.each([
    ['ends at once', 'process.exit(1)', 60_000],
    ['never answers', '', 500],
    ['answers nonsense', "send('opened')", 60_000],
  ])('a program that %s is given up, and nothing is left running', async (name, answer, open) => {
    const program = impostor(`opening ${name}`, answer);
    const error = await refusal(KeyClient.open(options({ program, times: { open } })));
    expect([error.code, error.duration]).toEqual(['key.unavailable', 'temporary']);
    expect(startsOf(`opening ${name}`)).toBeLessThanOrEqual(1);
  });

  test('one PIN try left: it is not used up', async () => {
    const failure = {
      code: 'key.pin-last-try',
      publicText: 'One try is left.',
      duration: 'permanent',
      reason: 'x',
      sessionLost: true,
    };
    const program = impostor('last', `send({ kind: 'open-failed', failure: ${JSON.stringify(failure)} })`);
    const error = await refusal(KeyClient.open(options({ program })));
    expect([error.code, error.duration]).toEqual(['key.pin-last-try', 'permanent']);
    expect(startsOf('last')).toBe(1);
  });
});

describe('overload', () => {
  test('a request that waits too long for its turn fails for now', async () => {
    const program = impostor('silent', `${OPEN_THEN} {}`);
    await withClient({ program, threads: 1, times: { wait: 50, close: 100 } }, async (client) => {
      const operation: Operation = { kind: 'agree', key: 'k', point: Buffer.alloc(1), secretOctets: 1 };
      const requests = Array.from({ length: 5 }, () =>
        client.perform(operation).catch((error: SealgateError) => error),
      );
      const outcome = await Promise.race(requests);
      expect(outcome).toMatchObject({ code: 'key.unavailable', duration: 'temporary' });
      await client.close();
      for (const each of await Promise.all(requests)) expect(each).toMatchObject({ code: 'key.unavailable' });
    });
  });

  test('more requests than anybody could wait for are refused at once', async () => {
    const program = impostor('flood', `${OPEN_THEN} {}`);
    await withClient({ program, threads: 1, times: { close: 100 } }, async (client) => {
      const operation: Operation = { kind: 'agree', key: 'k', point: Buffer.alloc(1), secretOctets: 1 };
      const requests = Array.from({ length: 3000 }, () =>
        client.perform(operation).catch((error: SealgateError) => error),
      );
      expect(await present(requests.at(-1))).toMatchObject({
        code: 'key.unavailable',
        duration: 'temporary',
      });
      await client.close();
      await Promise.all(requests);
    });
  });
});
