import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-config-'));
  for (const name of ['root.pem', 'a.crt', 'a.key', 'g.crt', 'g.key', 'password']) {
    await writeFile(join(folder, name), 'not read here', { mode: 0o600 });
  }
});
afterAll(() => rm(folder, { recursive: true }));

type Options = { gatewayUse?: string; keysOfAlice?: string[]; addressOfAlice?: string; delivery?: string };

async function load(
  queue: object | null,
  { gatewayUse, keysOfAlice, addressOfAlice, delivery = 'live' }: Options = {},
) {
  const file = join(folder, 'gateway.yaml');
  const upstream = { host: '127.0.0.1', port: 25, tls: 'none' };
  const use = gatewayUse === undefined ? {} : { use: gatewayUse };
  await writeFile(
    file,
    stringify({
      ...{ hostname: 'gw.example.org', stateFolder: 'state', trust: { anchors: ['root.pem'] } },
      submission: [{ name: 'submission', host: '127.0.0.1', port: 2587, tls: 'none', delivery, upstream }],
      keys: [
        { name: 'alice', kind: 'pem', certificate: 'a.crt', key: 'a.key' },
        { name: 'gateway', kind: 'pem', certificate: 'g.crt', key: 'g.key', ...use },
      ],
      principals: {
        list: [
          {
            ...{ login: 'alice', keys: keysOfAlice ?? ['alice'] },
            addresses: [addressOfAlice ?? 'alice@example.org'],
          },
        ],
      },
      policy: { rules: [{ name: 'all', sign: 'never', encrypt: 'never' }] },
      ...(queue === null ? {} : { queue }),
    }),
  );
  return loadConfig(file, {});
}

async function problems(queue: object | null, options?: Options): Promise<string[]> {
  const loaded = await load(queue, options);
  const found = loaded.kind === 'ok' ? loaded.warnings : loaded.problems;
  return found.map(
    ({ path, line, column, severity, text }) => `${severity} ${path} ${line > 0 && column > 0}: ${text}`,
  );
}

const server = { host: '127.0.0.1', port: 25, tls: 'none' };
const sound = { key: 'gateway', address: 'secure-mail@example.org', server };

test('there is none by itself, and a sound one gives no warning', async () => {
  const without = await load(null);
  expect(without.kind === 'ok' && without.config.queue).toBe(null);
  const loaded = await load(sound);
  if (loaded.kind !== 'ok') throw new Error(JSON.stringify(loaded.problems));
  expect(loaded.warnings).toEqual([]);
  expect(loaded.config.queue).toMatchObject({
    formerKeys: [],
    days: 5,
    reserve: { octets: 256 * 1024 * 1024, files: 1_000 },
    server: { connections: 2, login: null },
  });
});

test('more may be kept free on a disk than the largest mail has', async () => {
  const loaded = await load({ ...sound, reserve: { octets: '20480 MiB' } });
  expect(loaded.kind === 'ok' && loaded.config.queue?.reserve.octets).toBe(20 * 1024 ** 3);
});

test('a listener that queues its mail needs a queue', async () => {
  expect(await problems(sound, { delivery: 'queue' })).toEqual([]);
  expect(await problems(null, { delivery: 'queue' })).toContainEqual(
    'error submission[0].delivery true: delivery: queue needs the section queue',
  );
});

test.each(['secure-mail2@example.org', 'secure-mail+x@example.com', 'x+secure-mail@example.org'])(
  'an address that only looks like the gateway’s may be a person’s: %s',
  async (addressOfAlice) => expect(await problems(sound, { addressOfAlice })).toEqual([]),
);

test.each<[what: string, queue: object, options: Options, says: RegExp]>([
  ['a key that is not there', { ...sound, key: 'other' }, {}, /^error queue\.key true: there is no key/],
  [
    'a former one',
    { ...sound, formerKeys: ['other'] },
    {},
    /^error queue\.formerKeys\[0\] true: there is no key/,
  ],
  ['a key that opens nothing', sound, { gatewayUse: 'sign' }, /^error queue\.key true: .*use: sign/],
  [
    "a login's key",
    sound,
    { keysOfAlice: ['alice', 'gateway'] },
    /^error queue\.key true: the login alice has keys of gateway/,
  ],
  [
    "a login's key as a former one",
    { ...sound, formerKeys: ['alice'] },
    {},
    /^error queue\.formerKeys\[0\] true: the login alice/,
  ],
  [
    "a person's address",
    sound,
    { addressOfAlice: 'Secure-Mail@example.org' },
    /^error queue\.address true: the login alice has this address/,
  ],
  [
    "a person's address among those of answers",
    sound,
    { addressOfAlice: 'Secure-Mail+alice@example.org' },
    /^error queue\.address true: the login alice has the address secure-mail\+alice@example\.org/,
  ],
  [
    'no TLS to another machine',
    { ...sound, server: { ...server, host: 'mail.example.org' } },
    {},
    /^error queue\.server\.tls true: without TLS/,
  ],
  [
    'a login without its password',
    { ...sound, server: { ...server, login: 'sealgate' } },
    {},
    /^error queue\.server\.login true: a login needs its password/,
  ],
  [
    'a password without a login',
    { ...sound, server: { ...server, password: { file: 'password' } } },
    {},
    /^error queue\.server\.password true: a password needs its login/,
  ],
  [
    'an authority without TLS',
    { ...sound, server: { ...server, ca: 'root.pem' } },
    {},
    /^error queue\.server\.ca true: this says something only with TLS/,
  ],
  [
    'no server',
    { key: 'gateway', address: 'a@example.org' },
    {},
    /^error queue\.server true: without it a route for every domain is needed/,
  ],
])('is told with line and column: %s', async (_, queue, options, says) => {
  expect(await problems(queue, options)).toContainEqual(expect.stringMatching(says));
});

test('an error in the section is not also a warning that nobody uses the gateway’s key', async () => {
  const found = await problems({ ...sound, days: 99 });
  expect(found).toHaveLength(1);
  expect(found[0]).toMatch(/^error queue\.days true: /);
  expect(await problems({ ...sound, key: 'gatway' })).toEqual([
    'error queue.key true: there is no key of the name gatway: keys has alice, gateway',
  ]);
});
