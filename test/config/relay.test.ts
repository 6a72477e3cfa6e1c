import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';

/** Listeners for other servers: nothing that would be an open relay is a configuration. */

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-config-'));
  for (const name of ['root.pem', 'ca.pem', 'tls.crt', 'tls.key']) {
    await writeFile(join(folder, name), 'not read here', { mode: 0o600 });
  }
});
afterAll(() => rm(folder, { recursive: true }));

const route = (...domains: readonly string[]) => ({
  ...{ name: (domains[0] ?? '').replace(/[^A-Za-z]/g, 'x').toLowerCase(), domains },
  via: { kind: 'server', host: '127.0.0.1', port: 24, tls: 'none' },
});

async function load(relay: object, routes: readonly object[] | null = null) {
  const file = join(folder, 'gateway.yaml');
  await writeFile(
    file,
    stringify({
      ...{ hostname: 'gw.example.org', stateFolder: 'state', trust: { anchors: ['root.pem'] } },
      tls: { certificate: 'tls.crt', key: 'tls.key' },
      policy: { rules: [{ name: 'all', sign: 'require', encrypt: 'if-possible' }] },
      principals: { list: [{ login: 'alice@example.org', addresses: ['alice@example.org'] }] },
      ...(routes === null
        ? {}
        : {
            keys: [{ name: 'own', kind: 'pem', certificate: 'tls.crt', key: 'tls.key' }],
            queue: {
              ...{ key: 'own', address: 'secure-mail@example.org', routes },
              server: { host: '127.0.0.1', port: 25, tls: 'none' },
            },
          }),
      relay: [
        {
          ...{ name: 'mx', host: '127.0.0.1', port: 25, tls: 'starttls' },
          upstream: { host: '127.0.0.1', port: 10026, tls: 'none' },
          ...relay,
        },
      ],
    }),
  );
  return loadConfig(file, {});
}

async function problems(relay: object, routes: readonly object[] | null = null): Promise<string[]> {
  const loaded = await load(relay, routes);
  const found = loaded.kind === 'ok' ? loaded.warnings : loaded.problems;
  return found.map(({ path, line, column, text }) => `${path} ${line > 1 && column > 1}: ${text}`);
}

const INBOUND = { direction: 'inbound', domains: ['example.org'] };
const OUTBOUND = { direction: 'outbound', from: { networks: ['10.1.0.25'] } };
const FINGERPRINT = 'ab'.repeat(32);

test.each<[what: string, domains: readonly string[], routes: readonly object[], astray: string | null]>([
  ['no route at all', ['example.org'], [], 'example.org'],
  ['one for everybody', ['example.org'], [route('*')], 'example.org'],
  ['one behind that for everybody', ['example.org'], [route('*'), route('example.org')], 'example.org'],
  ['one for some', ['example.org', '*.example.org'], [route('example.org')], '*.example.org'],
  ['one that only looks like it', ['example.org'], [route('*.example.org', 'badexample.org')], 'example.org'],
  ['one of its own', ['example.org'], [route('EXAMPLE.org'), route('*')], null],
  ['wider ones', ['a.example.org', '*.example.org'], [route('*.example.org')], null],
])(
  'attack: what was opened and lies in the queue leaves by a route that names its domain: %s',
  async (_, domains, routes, astray) => {
    const queue = { delivery: 'queue', domains };
    const all = await problems({ ...INBOUND, ...queue }, routes);
    const found = all.filter((one) => !one.startsWith('queue.routes'));
    expect(found).toEqual(
      astray === null ? [] : [expect.stringContaining(`that names ${astray}, before any`)],
    );
    expect(found.every((one) => one.startsWith('relay[0].delivery '))).toBe(true);
  },
);

test('a relay listener is all that a gateway needs', async () => {
  const loaded = await load(INBOUND);
  expect(loaded.kind === 'ok' && loaded.config.relay[0]).toMatchObject({
    ...{ protocol: 'smtp', direction: 'inbound', domains: ['example.org'], from: null },
    ...{ strangers: 'refuse', nullSender: 'pass', keyAway: 'defer', trustedProxies: [] },
  });
});

test.each([
  INBOUND,
  { ...INBOUND, domains: ['example.org', '*.example.org', 'Bücher.example'] },
  { ...INBOUND, from: { networks: ['0.0.0.0/0'] } },
  { ...INBOUND, protocol: 'lmtp', tls: 'none', keyAway: 'deliver-encrypted' },
  OUTBOUND,
  { ...OUTBOUND, from: { networks: ['10.0.0.0/8', '2001:db8::/32', 'fd00::/16'] } },
  { ...OUTBOUND, strangers: 'pass', nullSender: 'refuse', trustedProxies: ['127.0.0.1'] },
  { ...OUTBOUND, from: { certificates: [{ fingerprint: FINGERPRINT }] } },
  { ...OUTBOUND, from: { certificates: [{ ca: 'ca.pem', names: ['mail.example.org'] }] } },
])('%j is fine', async (relay) => {
  expect(await problems(relay)).toEqual([]);
});

const FIRST = 'relay[0]';
test.each([
  [{ direction: 'inbound' }, `${FIRST} true: an inbound listener takes mail for own domains only`],
  [{ ...INBOUND, domains: ['*'] }, `${FIRST}.domains[0] true: this would be an open relay`],
  [
    { ...INBOUND, domains: ['example.org', '*.org'] },
    `${FIRST}.domains[1] true: this would be nearly an open relay`,
  ],
  [
    { ...INBOUND, strangers: 'pass' },
    `${FIRST}.strangers true: this says something only with direction: outbound`,
  ],
  [{ direction: 'outbound' }, `${FIRST} true: this would be an open relay`],
  [
    { ...OUTBOUND, domains: ['example.org'] },
    `${FIRST}.domains true: this says something only with direction: inbound`,
  ],
  [{ ...OUTBOUND, from: {} }, `${FIRST}.from true: nobody is named`],
  [{ ...INBOUND, from: {} }, `${FIRST}.from true: nobody is named`],
  ...[
    '0.0.0.0/0',
    '0.0.0.0',
    '128.0.0.0/1',
    '64.0.0.0/7',
    '::/0',
    '2000::/3',
    '::ffff:0:0/96',
    '0:0:0:0:0:ffff:0:0/97',
    '::ffff:128.0.0.0/97',
    '0::ffff:0:0/96',
    '0:0::ffff:0.0.0.0/97',
    '0000:0:0:0:0:ffff:0:0/96',
    '::/80',
    '::/95',
    '::0:0/16',
  ].map((network) => [
    { ...OUTBOUND, from: { networks: [network] } },
    `${FIRST}.from.networks[0] true: this is so much of the Internet`,
  ]),
  [
    { ...INBOUND, trustedProxies: ['0.0.0.0/0'] },
    `${FIRST}.trustedProxies[0] true: this is so much of the Internet`,
  ],
  [
    { ...OUTBOUND, tls: 'none', from: { certificates: [{ fingerprint: FINGERPRINT }] } },
    `${FIRST}.from.certificates[0] true: certificates are shown with TLS only`,
  ],
  [
    { ...OUTBOUND, from: { certificates: [{ ca: 'ca.pem' }] } },
    `${FIRST}.from.certificates[0] true: everybody with a certificate of this authority would be let in`,
  ],
  [
    { ...OUTBOUND, from: { certificates: [{ ca: 'ca.pem', names: ['*'] }] } },
    `${FIRST}.from.certificates[0].names true: everybody with a certificate of this authority`,
  ],
  [
    { ...OUTBOUND, from: { certificates: [{}] } },
    `${FIRST}.from.certificates[0] true: a certificate is named by`,
  ],
  [
    { ...OUTBOUND, from: { certificates: [{ fingerprint: FINGERPRINT, ca: 'ca.pem', names: ['a.test'] }] } },
    `${FIRST}.from.certificates[0] true: a certificate is named by`,
  ],
  [
    { ...INBOUND, host: '0.0.0.0', tls: 'none' },
    `${FIRST}.tls true: without TLS mail can be read on the way`,
  ],
] as [object, string][])('%j is none: %s', async (relay, said) => {
  const found = await problems(relay);
  expect(found.filter((problem) => problem.startsWith(said))).toHaveLength(1);
  expect((await load(relay)).kind).toBe('invalid');
});

test('the set-ups in the documentation are configurations', async () => {
  const secrets = ['secrets/smarthost', 'secrets/relay-mark'];
  const files = ['trust/roots-of-exchange-online.pem', 'tls/gateway.crt', 'tls/gateway.key', ...secrets];
  for (const name of ['secrets', 'trust', 'tls']) await mkdir(join(folder, name), { recursive: true });
  for (const name of files) await writeFile(join(folder, name), 'not read here', { mode: 0o600 });
  const page = await readFile(join(import.meta.dirname, '../../docs/relay.md'), 'utf8');
  const listeners = [...page.matchAll(/^```yaml\n(relay:\n[\s\S]*?)^```$/gm)].flatMap(
    ([, text = '']): object[] => parse(text).relay,
  );
  expect(listeners.length).toBeGreaterThan(5);
  for (const listener of listeners) expect([listener, await problems(listener)]).toEqual([listener, []]);
});
