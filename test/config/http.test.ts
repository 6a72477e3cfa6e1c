import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-config-'));
  await writeFile(join(folder, 'root.pem'), 'not read here', { mode: 0o600 });
  await writeFile(join(folder, 'password'), 'opensesame\n', { mode: 0o600 });
});
afterAll(() => rm(folder, { recursive: true }));

async function load(http: readonly object[], more: object = {}) {
  const file = join(folder, 'gateway.yaml');
  const upstream = { host: '127.0.0.1', port: 25, tls: 'none' };
  const submission = [{ name: 'submission', host: '127.0.0.1', port: 2587, tls: 'none', upstream }];
  const policy = { rules: [{ name: 'all', sign: 'never', encrypt: 'never' }] };
  const principals = { loginIsAddress: true };
  const trust = { anchors: ['root.pem'] };
  const settings = {
    hostname: 'gw.example.org',
    stateFolder: 'state',
    submission,
    principals,
    trust,
    policy,
  };
  await writeFile(file, stringify({ ...settings, http, ...more }));
  return loadConfig(file, {});
}

async function problems(http: readonly object[], more?: object): Promise<string> {
  const loaded = await load(http, more);
  const found = loaded.kind === 'ok' ? loaded.warnings : loaded.problems;
  return found
    .map(({ path, line, column, severity, text }) => `${severity} ${path} ${line > 0 && column > 0}: ${text}`)
    .join('\n');
}

const here = { name: 'web', host: '127.0.0.1', port: 8080, tls: 'none', serves: ['certificates'] };

test('there is none by itself', async () => {
  const loaded = await load([]);
  expect(loaded.kind === 'ok' && loaded.config.http).toEqual([]);
});

test('a listener has its bounds', async () => {
  const loaded = await load([here]);
  if (loaded.kind !== 'ok') throw new Error(JSON.stringify(loaded.problems));
  expect(loaded.config.http[0]).toEqual({
    ...here,
    ...{ allowPlaintext: false, maxConnections: 500, maxConnectionsPerAddress: 50, proxyProtocolFrom: [] },
    unlimitedNetworks: ['127.0.0.0/8', '::1'],
  });
});

test.each<[what: string, http: readonly object[], says: RegExp]>([
  [
    'no TLS, from other machines',
    [{ ...here, host: '0.0.0.0' }],
    /^error http\[0\]\.tls true: without TLS what is asked/,
  ],
  [
    'TLS without a certificate',
    [{ ...here, tls: 'implicit' }],
    /http\[0\]\.tls true: this needs a certificate/,
  ],
  [
    'STARTTLS, which HTTP has not',
    [{ ...here, tls: 'starttls' }],
    /http\[0\]\.tls true: implicit or none is expected/,
  ],
  ['nothing to serve', [{ ...here, serves: [] }], /http\[0\]\.serves true: the list is empty/],
  ['something else to serve', [{ ...here, serves: ['files'] }], /http\[0\]\.serves\[0\] true: .*is expected/],
  [
    'the same twice',
    [{ ...here, serves: ['certificates', 'certificates'] }],
    /serves\[1\] true: this is in the list already/,
  ],
  [
    'a name that another listener has',
    [{ ...here, name: 'submission' }],
    /http\[0\]\.name true: submission\[0\] has this name/,
  ],
  [
    'a port that another listener has',
    [{ ...here, port: 2587 }],
    /http\[0\]\.port true: submission\[0\] listens on this port/,
  ],
  ['a mail server behind', [{ ...here, upstream: {} }], /there is no "upstream" here/],
])('%s is an error', async (_, http, says) => {
  expect(await problems(http)).toMatch(says);
});

const queue = {
  key: 'gateway',
  address: 'secure-mail@example.org',
  server: { host: '127.0.0.1', port: 25, tls: 'none' },
};
const keys = [{ name: 'gateway', kind: 'pkcs12', file: 'root.pem', password: { file: 'password' } }];
const pages = { ...here, serves: ['held-mail'] };
const url = 'https://gateway.example.org';

test('pages about mail that waits have their address, and mail that waits has a way out', async () => {
  expect(await problems([pages], { queue, keys, holding: { url } })).toBe('');
  expect(await problems([pages], { queue, keys })).toMatch(
    /^error http\[0\]\.serves\[0\] true: .*say holding\.url$/,
  );
  expect(await problems([pages], { holding: { url } })).toMatch(
    /^error http\[0\]\.serves\[0\] true: mail waits only where the section queue/,
  );
});

test('links to pages that nobody serves are a warning', async () => {
  expect(await problems([here], { queue, keys, holding: { url } })).toMatch(
    /^warning holding\.url true: .*no listener/,
  );
});

test('other listeners are held against it too', async () => {
  const ldap = { ...here, name: 'ldap', port: 8080, base: 'dc=example,dc=org', serves: undefined };
  const found = await problems([here], { publishing: { ldap: [ldap] } });
  expect(found).toMatch(/http\[0\]\.port true: publishing\.ldap\[0\] listens on this port already/);
});

test('without TLS from other machines where that is said', async () => {
  expect(await problems([{ ...here, host: '0.0.0.0', allowPlaintext: true }])).toBe('');
});
