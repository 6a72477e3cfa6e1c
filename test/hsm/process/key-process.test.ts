import { execFile } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SealgateError } from '../../../src/errors.ts';
import type { KeyClient } from '../../../src/hsm/client/key-client.ts';
import type { TokenSource } from '../../../src/hsm/source-kinds.ts';
import type { Event } from '../../../src/log/events.ts';
import { foundInMemory } from '../../attacks/support/process-memory.ts';
import { stopProcess } from '../../support/stop-process.ts';
import { Authority } from '../support/authority.ts';
import { present, refusal } from '../support/key-behaviour.ts';
import {
  inventoryOf,
  type PlaceChanges,
  RememberedRefusals,
  secretFile,
  signing,
  tokenPlace,
  untilState,
  withPlace,
} from '../support/key-place.ts';
import { SoftHsm } from '../support/softhsm.ts';

/** Key processes with a real PKCS#11 module. */

const PIN = '5820974944';
const authority = new Authority();
const softhsm = new SoftHsm();
let pinFile = '';

beforeAll(() => {
  softhsm.newToken('office', PIN);
  const wish = { address: 'alice@example.org' };
  softhsm.newKey('office', PIN, { id: '01', label: 'alice', type: 'rsa:2048' }, authority, wish);
  pinFile = secretFile(authority, 'pin', PIN);
});

afterAll(() => {
  softhsm.remove();
  authority.remove();
});

function office(changes: Partial<TokenSource> = {}): TokenSource {
  return tokenPlace('office', pinFile, softhsm.environment, changes);
}

function withOffice<T>(
  changes: PlaceChanges & { place?: Partial<TokenSource> },
  use: (client: KeyClient) => Promise<T>,
): Promise<T> {
  const { place, ...rest } = changes;
  return withPlace(office(place), rest, use);
}

const ANY = { label: null, serial: null, model: null, manufacturer: null, reader: null };

describe('the token that is meant', () => {
  test('is found by any of its members, all of which must fit', async () => {
    const token = await withOffice({}, async (client) => present(inventoryOf(client).token));
    expect(token).toMatchObject({ label: 'office', pin: 'fine' });
    for (const selector of [
      ANY,
      { ...ANY, serial: token.serial },
      { ...ANY, model: token.model, reader: token.reader, manufacturer: token.manufacturer },
    ]) {
      await withOffice({ place: { token: selector } }, async (client) => {
        expect(inventoryOf(client).token?.serial).toBe(token.serial);
      });
    }
    await withOffice({ place: { token: { ...ANY, label: 'office', serial: '0' } } }, async (client) => {
      expect(client.state).toMatchObject({
        kind: 'absent',
        failure: { code: 'key.token-absent', duration: 'temporary' },
      });
      const error = await refusal(client.perform({ kind: 'agree', key: '', originator: Buffer.alloc(0) }));
      expect(error.publicText).toMatch(/label “office” and serial “0” is not there.*“office” \(serial/s);
    });
  });

  test('two that fit are not guessed between', async () => {
    const twins = new SoftHsm();
    try {
      twins.newToken('twin', PIN);
      twins.newToken('twin', PIN);
      await withPlace(tokenPlace('twin', pinFile, twins.environment), {}, async ({ state }) => {
        expect(state).toMatchObject({ kind: 'absent', failure: { code: 'key.token-ambiguous' } });
        expect(state.kind === 'absent' && state.failure.publicText).toMatch(
          /serial number: [0-9a-f]+, [0-9a-f]+/,
        );
      });
    } finally {
      twins.remove();
    }
  });

  test('a module that does not exist, a file that is no library, a library that is not PKCS#11', async () => {
    const text = authority.path('module.so');
    writeFileSync(text, 'not a library');
    const libraries = ['/nowhere/libpkcs11.so', text, ...libc()];
    expect(libraries.length).toBeGreaterThan(2);
    for (const module of libraries) {
      await withOffice({ place: { module } }, async ({ state }) => {
        expect(state).toMatchObject({
          kind: 'absent',
          failure: { code: 'key.module-unreadable', duration: 'permanent' },
        });
        expect(state.kind === 'absent' && state.failure.publicText).toContain(module);
      });
    }
  });
});

/** The C library of this process: a library without C_GetFunctionList. */
function libc(): string[] {
  const line = readFileSync('/proc/self/maps', 'latin1')
    .split('\n')
    .find((each) => /\/lib(c|m)[.-]/.test(each));
  return line === undefined ? [] : [line.slice(line.indexOf('/'))];
}

describe('a crash', () => {
  test('twenty kills under load: requests succeed or fail for now, and the service returns each time', async () => {
    await withOffice({ place: { sessions: 2 }, times: { restart: 10 } }, async (client) => {
      const operation = signing(client);
      const expected = await client.perform(operation);
      const kills = 20;
      let killed = 0;
      const failures: SealgateError[] = [];
      const perform = (): Promise<Buffer | SealgateError> =>
        client.perform(operation).catch((error: SealgateError) => error);
      async function load(): Promise<void> {
        while (killed < kills) {
          const outcome = await perform();
          if (Buffer.isBuffer(outcome)) expect(outcome.equals(expected)).toBe(true);
          else failures.push(outcome);
          // Every success costs the process its life, in the middle of the others' requests.
          if (Buffer.isBuffer(outcome) && client.processId !== null && killed < kills) {
            process.kill(client.processId, 'SIGKILL');
            killed++;
          }
        }
      }
      await Promise.all(Array.from({ length: 6 }, load));
      expect(failures.length).toBeGreaterThan(0);
      for (const error of failures) {
        expect(error).toBeInstanceOf(SealgateError);
        expect([error.code, error.duration]).toEqual(['key.unavailable', 'temporary']);
      }
      let last = await perform();
      while (!Buffer.isBuffer(last)) last = await perform();
      expect(last.equals(expected)).toBe(true);
    });
  });

  test('requests that wait for their turn survive it', async () => {
    await withOffice({ place: { sessions: 1 } }, async (client) => {
      const operation = signing(client);
      await client.perform(operation);
      const outcomes = Array.from({ length: 40 }, () =>
        client.perform(operation).then(
          () => 'done',
          () => 'failed',
        ),
      );
      process.kill(present(client.processId), 'SIGKILL');
      const all = await Promise.all(outcomes);
      // At most what was inside: two for the one session.
      expect(all.filter((outcome) => outcome === 'failed').length).toBeLessThanOrEqual(2);
    });
  });

  test('a process that is stopped counts as hung', async () => {
    await withOffice({ times: { operation: 1_000 } }, async (client) => {
      const operation = signing(client);
      const first = present(client.processId);
      stopProcess(first);
      const error = await refusal(client.perform(operation));
      expect([error.code, error.duration]).toEqual(['key.unavailable', 'temporary']);
      expect(await client.perform(operation)).toHaveLength(256);
      expect(client.processId).not.toBe(first);
    });
  });

  test('a token that has gone is absent, and serves when it is back', async () => {
    const visiting = new SoftHsm();
    try {
      visiting.newToken('visiting', PIN);
      const key = { id: '01', label: 'alice', type: 'EC:prime256v1' } as const;
      visiting.newKey('visiting', PIN, key, authority, { address: 'alice@example.org' });
      const configuration = present(visiting.environment.SOFTHSM2_CONF);
      const text = readFileSync(configuration, 'utf8');
      await withPlace(tokenPlace('visiting', pinFile, visiting.environment), {}, async (client) => {
        const operation = signing(client);
        writeFileSync(configuration, text.replace(/tokendir = .*/, `tokendir = ${authority.folder}`));
        process.kill(present(client.processId), 'SIGKILL');
        const { last } = await untilState(client, 'absent');
        expect(last?.keys).toHaveLength(1);
        const error = await refusal(client.perform(operation));
        expect([error.code, error.duration]).toEqual(['key.token-absent', 'temporary']);
        writeFileSync(configuration, text);
        await untilState(client, 'open');
        expect((await client.perform(operation)).length).toBeGreaterThan(60);
      });
    } finally {
      visiting.remove();
    }
  });
});

describe('reading again', () => {
  test('a key that was added to the token serves without a restart', async () => {
    const growing = new SoftHsm();
    try {
      growing.newToken('growing', PIN);
      const wish = { address: 'alice@example.org' };
      growing.newKey('growing', PIN, { id: '01', label: 'old', type: 'EC:prime256v1' }, authority, wish);
      await withPlace(tokenPlace('growing', pinFile, growing.environment), {}, async (client) => {
        expect(inventoryOf(client).keys.map(({ label }) => label)).toEqual(['old']);
        const { processId } = client;
        growing.newKey('growing', PIN, { id: '02', label: 'new', type: 'EC:prime256v1' }, authority, wish);
        await client.reload();
        const keys = inventoryOf(client).keys;
        expect(keys.map(({ label }) => label).sort()).toEqual(['new', 'old']);
        for (const { key, schemes } of keys) {
          const scheme = present(schemes[0]);
          const data = Buffer.from('hello');
          const signature = await client.perform({ kind: 'sign', key, scheme, input: 'message', data });
          expect(signature.length).toBeGreaterThan(60);
        }
        expect(client.processId).toBe(processId);
      });
    } finally {
      growing.remove();
    }
  });
});

describe('the PIN', () => {
  test('a wrong one uses one try, and no further one until its file is written anew', async () => {
    const fresh = new SoftHsm();
    try {
      fresh.newToken('fresh', PIN);
      const wrong = secretFile(authority, 'wrong-pin', '00000000');
      const events: Event[] = [];
      const refusals = new RememberedRefusals();
      const place = tokenPlace('fresh', wrong, fresh.environment);
      await withPlace(place, { events, refusals }, async (client) => {
        const { failure } = await untilState(client, 'refused');
        expect([failure.code, failure.duration]).toEqual(['key.pin-incorrect', 'permanent']);
        expect(failure.publicText).toContain('“fresh” refused the PIN, and few tries are left');
        process.kill(present(client.processId), 'SIGKILL');
        // Another process, which finds the same file.
        while (client.generation < 2) await new Promise((resolve) => setImmediate(resolve));
        expect(client.state.kind).toBe('refused');
      });
      // Another run of the gateway: the first thing it knows is that this file was refused.
      await withPlace(place, { events, refusals }, async (client) => {
        expect(client.state).toMatchObject({ kind: 'refused', failure: { reason: 'refused before' } });
        writeFileSync(wrong, `${PIN}\n`);
        const { inventory } = await untilState(client, 'open');
        // The token counts anew after the right one: had there been further tries, they would have been seen as final.
        expect(inventory.token?.label).toBe('fresh');
      });
      expect(events.filter(({ event }) => event === 'key.pin-refused')).toHaveLength(1);
      expect(JSON.stringify([events, [...refusals.identities]])).not.toMatch(/00000000|wrong-pin/);
    } finally {
      fresh.remove();
    }
  });

  test('changed behind a running gateway: refused once after the next start, then never sent again', async () => {
    const changing = new SoftHsm();
    try {
      changing.newToken('changing', PIN);
      const wish = { address: 'alice@example.org' };
      const key = { id: '01', label: 'alice', type: 'EC:prime256v1' } as const;
      changing.newKey('changing', PIN, key, authority, wish);
      const events: Event[] = [];
      await withPlace(tokenPlace('changing', pinFile, changing.environment), { events }, async (client) => {
        const operation = signing(client);
        await client.perform(operation);
        changing.tool('changing', PIN, '--change-pin', '--new-pin', '99999999');
        process.kill(present(client.processId), 'SIGKILL');
        await untilState(client, 'refused');
        for (let i = 0; i < 5; i++) {
          expect((await refusal(client.perform(operation))).code).toBe('key.pin-incorrect');
        }
      });
      expect(events.filter(({ event }) => event === 'key.pin-refused')).toHaveLength(1);
    } finally {
      changing.remove();
    }
  });

  test.each([
    ['is not there', () => authority.path('no-such-pin')],
    ['is empty', () => secretFile(authority, 'empty-pin', '')],
  ])('whose file %s: said, and looked for', async (_, file) => {
    await withOffice({ place: { pin: { file: file() } } }, async (client) => {
      expect(client.state).toMatchObject({ kind: 'absent', failure: { code: 'key.pin-missing' } });
      writeFileSync(file(), `${PIN}\n`, { mode: 0o600 });
      await untilState(client, 'open');
    });
  });

  test('from a variable of the environment: in that of this key process, and of no other', async () => {
    process.env.SEALGATE_TEST_PIN = PIN;
    process.env.SEALGATE_TEST_SECRET = 'a password in a variable';
    try {
      await withOffice({ place: { pin: { env: 'SEALGATE_TEST_PIN' } } }, async (client) => {
        const environment = readOrEmpty(`/proc/${client.processId}/environ`);
        expect(environment).toContain('SOFTHSM2_CONF=');
        expect(environment).toContain(`SEALGATE_TEST_PIN=${PIN}`);
        expect(environment).not.toContain('SEALGATE_TEST_SECRET');
      });
      await withOffice({}, async (client) => {
        expect(readOrEmpty(`/proc/${client.processId}/environ`)).not.toContain(PIN);
      });
    } finally {
      delete process.env.SEALGATE_TEST_PIN;
      delete process.env.SEALGATE_TEST_SECRET;
    }
  });

  test('is in no command line, no environment, no log line and no error', async () => {
    const events: Event[] = [];
    await withOffice({ events }, async (client) => {
      await client.perform(signing(client));
      const found = readdirSync('/proc')
        .filter((name) => /^[0-9]+$/.test(name))
        .filter((pid) =>
          ['cmdline', 'environ'].some((file) => readOrEmpty(`/proc/${pid}/${file}`).includes(PIN)),
        );
      expect(found).toEqual([]);
      expect(readOrEmpty(`/proc/${client.processId}/cmdline`)).toContain('key-process');
    });
    expect(JSON.stringify(events)).not.toContain(PIN);
  });

  test('a core dump of the key process is not made', async () => {
    await withOffice({}, async (client) => {
      expect(readOrEmpty(`/proc/${client.processId}/limits`)).toMatch(/^Max core file size +0 +0 /m);
    });
  });
});

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch (error) {
    // Processes of others come and go.
    expect(error).toHaveProperty('code');
    return '';
  }
}

describe('the gateway', () => {
  /** A gateway of a few lines: opens the place, signs, tells the pid of its key process, and waits. */
  function gateway(then: string): string {
    const script = authority.path(`gateway-${then.length}.mjs`);
    const client = new URL('../../../src/hsm/client/key-client.ts', import.meta.url).href;
    writeFileSync(
      script,
      `import { KeyClient } from ${JSON.stringify(client)};
       const place = JSON.parse(process.argv[2]);
       const client = KeyClient.start({ source: 'keys', place, refusals: new Set(), log: { write() {} } });
       await client.settled;
       const [{ key, schemes: [scheme] }] = client.state.inventory.keys;
       for (let i = 0; i < 20; i++) await client.perform({ kind: 'sign', key, scheme, input: 'message', data: Buffer.from('x') });
       process.stdout.write(client.processId + '\\n', () => { ${then} });`,
    );
    return script;
  }

  test('has no PIN in its memory, while its key process has', async () => {
    const script = gateway('setInterval(() => undefined, 1000)');
    const running = execFile(process.execPath, [script, JSON.stringify(office())]);
    try {
      const keyProcess = Number(await firstLine(running.stdout));
      const needles = new Map([['PIN', Buffer.from(PIN)]]);
      expect(await foundInMemory(present(running.pid), needles)).toEqual([]);
      expect(await foundInMemory(keyProcess, needles)).toEqual(['PIN']);
    } finally {
      running.kill('SIGKILL');
    }
  });

  test('is killed: its key process ends by itself', async () => {
    const script = gateway("process.kill(process.pid, 'SIGKILL')");
    const run = promisify(execFile)(process.execPath, [script, JSON.stringify(office())]);
    const { stdout } = (await run.catch((error: unknown) => error)) as { stdout: string };
    expect(stdout).toMatch(/^[0-9]+\n$/);
    while (isRunning(Number(stdout))) await new Promise((resolve) => setImmediate(resolve));
    expect(isRunning(Number(stdout))).toBe(false);
  });
});

async function firstLine(stream: AsyncIterable<string | Buffer> | null): Promise<string> {
  for await (const chunk of present(stream)) return String(chunk).trim();
  throw new Error('it has ended');
}

function isRunning(pid: number): boolean {
  const status = readOrEmpty(`/proc/${pid}/stat`);
  return status !== '' && !/\) Z /.test(status);
}
