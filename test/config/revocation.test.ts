import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-config-'));
  await writeFile(join(folder, 'root.pem'), 'not read here');
});

afterAll(() => rm(folder, { recursive: true }));

async function load(revocation: object) {
  const file = join(folder, 'gateway.yaml');
  const upstream = { host: '127.0.0.1', port: 25, tls: 'none' };
  const submission = [{ name: 'submission', host: '127.0.0.1', port: 2587, tls: 'none', upstream }];
  const trust = { anchors: ['root.pem'], revocation };
  const policy = { rules: [{ name: 'all', sign: 'never', encrypt: 'never' }] };
  const principals = { loginIsAddress: true };
  await writeFile(
    file,
    stringify({ hostname: 'gw.example.org', stateFolder: 'state', submission, principals, trust, policy }),
  );
  return loadConfig(file, {});
}

async function problems(revocation: object): Promise<string> {
  const loaded = await load(revocation);
  const found = loaded.kind === 'ok' ? loaded.warnings : loaded.problems;
  return found.map(({ path, severity, text }) => `${severity} ${path}: ${text}`).join('\n');
}

describe('trust.revocation', () => {
  test('is cautious by itself', async () => {
    const loaded = await load({});
    expect(loaded.kind === 'ok' && loaded.config.trust.revocation).toEqual({
      ...{ failure: 'soft', fetch: true, sources: 'ocsp-first', nonce: 'never', timeoutSeconds: 5 },
      ...{ maxAgeHours: null, graceHours: 0, allowAddresses: [], allowPorts: [80, 443] },
      cacheSize: 256 * 1024 * 1024,
    });
  });

  test.each(['10.0.0.1', '10.0.0.0/8', 'fd00::/8', '::1', '0.0.0.0/0'])(
    'takes the range %s',
    async (range) => {
      expect(await problems({ allowAddresses: [range] })).toBe('');
    },
  );

  test.each([
    '10.0.0.0/33',
    'fd00::/129',
    'ca.example.org',
    '10.0.0.0/8/8',
    '10.0.0.0/',
    'fe80::1%eth0',
    '10.0/8',
  ])('refuses the range %s', async (range) => {
    expect(await problems({ allowAddresses: [range] })).toMatch(
      /error trust.revocation.allowAddresses\[0\]: an IP address/,
    );
  });

  test('refuses sizes, times and words that make no sense', async () => {
    expect(await problems({ cacheSize: '10 KiB' })).toContain('a size from 1 MiB');
    expect(await problems({ timeoutSeconds: 0 })).toContain('error trust.revocation.timeoutSeconds');
    expect(await problems({ failure: 'medium' })).toContain('error trust.revocation.failure');
    expect(await problems({ allowPorts: [] })).toContain('error trust.revocation.allowPorts');
    expect(await problems({ fetched: true })).toContain('error trust.revocation');
  });

  test('warns of hard without fetching', async () => {
    expect(await problems({ failure: 'hard', fetch: false })).toContain('warning trust.revocation.fetch');
    expect(await problems({ failure: 'hard' })).toBe('');
  });
});
