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

async function load(relay: object) {
  const file = join(folder, 'gateway.yaml');
  await writeFile(
    file,
    stringify({
      ...{ hostname: 'gw.example.org', stateFolder: 'state', trust: { anchors: ['root.pem'] } },
      tls: { certificate: 'tls.crt', key: 'tls.key' },
      policy: { rules: [{ name: 'all', sign: 'require', encrypt: 'if-possible' }] },
      principals: { list: [{ login: 'alice@example.org', addresses: ['alice@example.org'] }] },
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

async function problems(relay: object): Promise<string[]> {
  const loaded = await load(relay);
  const found = loaded.kind === 'ok' ? loaded.warnings : loaded.problems;
  return found.map(({ path, line, column, text }) => `${path} ${line > 1 && column > 1}: ${text}`);
}

const INBOUND = { direction: 'inbound', domains: ['example.org'] };
const OUTBOUND = { direction: 'outbound', from: { networks: ['10.1.0.25'] } };
const FINGERPRINT = 'ab'.repeat(32);

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
