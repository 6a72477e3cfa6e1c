import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-config-'));
  for (const name of ['root.pem', 'g.crt', 'g.key']) {
    await writeFile(join(folder, name), 'not read here', { mode: 0o600 });
  }
});
afterAll(() => rm(folder, { recursive: true }));

async function load(holding: object | null, address = 'secure-mail@example.org') {
  const file = join(folder, 'gateway.yaml');
  const server = { host: '127.0.0.1', port: 25, tls: 'none' };
  await writeFile(
    file,
    stringify({
      ...{ hostname: 'gw.example.org', stateFolder: 'state', trust: { anchors: ['root.pem'] } },
      submission: [{ name: 'submission', host: '127.0.0.1', port: 2587, tls: 'none', upstream: server }],
      keys: [{ name: 'gateway', kind: 'pem', certificate: 'g.crt', key: 'g.key' }],
      policy: {
        rules: [{ name: 'all', sign: 'require', encrypt: 'require', withoutCertificate: 'ask' }],
      },
      queue: { key: 'gateway', address, server },
      ...(holding === null ? {} : { holding }),
    }),
  );
  return loadConfig(file, {});
}

async function problems(...args: Parameters<typeof load>): Promise<string[]> {
  const loaded = await load(...args);
  const found = loaded.kind === 'ok' ? [] : loaded.problems;
  return found.map(({ path, line, column, text }) => `${path} ${line > 0 && column > 0}: ${text}`);
}

test('mail waits for two weeks, is looked at every ten minutes, and there are no pages, where nobody says otherwise', async () => {
  const loaded = await load(null);
  expect(loaded.kind === 'ok' && loaded.config.holding).toEqual({
    days: 14,
    lookAgainMinutes: 10,
    url: null,
  });
});

test.each([
  'https://gw.example.org',
  'https://gw.example.org:8443/mail',
  'http://localhost:8080',
  'http://[::1]:80',
])('links may lead to %s', async (url) => {
  expect(await problems({ url })).toEqual([]);
});

test.each([
  ['http://gw.example.org', /^holding\.url true: .*https/],
  ['https://gw.example.org/', /^holding\.url true: .*without a slash/],
  ['https://gw.example.org?a=b', /^holding\.url true/],
  ['javascript:alert(1)', /^holding\.url true/],
  ['https://gw example.org', /^holding\.url true/],
  ['https://[::', /^holding\.url true/],
])('links lead not to %s', async (url, says) => {
  expect((await problems({ url })).some((one) => says.test(one))).toBe(true);
});

test('questions need an address with room for what tells one from another', async () => {
  expect(await problems(null, `${'a'.repeat(22)}@example.org`)).toEqual([]);
  expect((await problems(null, `${'a'.repeat(23)}@example.org`)).join()).toMatch(/queue\.address true: .*22/);
});
