import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-config-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function load(publishing: object) {
  const file = join(folder, 'gateway.yaml');
  const upstream = { host: '127.0.0.1', port: 25, tls: 'none' };
  const submission = [{ name: 'submission', host: '127.0.0.1', port: 2587, tls: 'none', upstream }];
  const policy = { rules: [{ name: 'all', sign: 'never', encrypt: 'never' }] };
  const principals = { list: [{ login: 'alice', addresses: ['alice@example.org'] }] };
  await writeFile(
    file,
    stringify({
      hostname: 'gw.example.org',
      stateFolder: 'state',
      submission,
      principals,
      policy,
      publishing,
    }),
  );
  return loadConfig(file, {});
}

async function problems(publishing: object): Promise<string> {
  const loaded = await load(publishing);
  const found = loaded.kind === 'ok' ? loaded.warnings : loaded.problems;
  return found.map(({ path, severity, text }) => `${severity} ${path}: ${text}`).join('\n');
}

const ldap = { name: 'ldap', host: '127.0.0.1', port: 2389, tls: 'none', base: 'dc=example,dc=org' };

describe('publishing', () => {
  test('is nothing by itself', async () => {
    const loaded = await load({});
    expect(loaded.kind === 'ok' && loaded.config.publishing).toEqual({
      domains: null,
      withheld: [],
      ldap: [],
    });
  });

  test('by LDAP finds who is named, and not many', async () => {
    const loaded = await load({ ldap: [ldap] });
    expect(loaded.kind === 'ok' && loaded.config.publishing.ldap[0]).toMatchObject({
      ...{ find: 'by-name', letters: 3, maxResults: 25, peoplePerHour: 1_000 },
    });
  });

  test.each<[string, object, RegExp]>([
    [
      'a base that is no name',
      { ldap: [{ ...ldap, base: 'example.org' }] },
      /base: a distinguished name like/,
    ],
    ['the root as a base', { ldap: [{ ...ldap, base: '' }] }, /base: a distinguished name like/],
    [
      'a listener of the same name',
      { ldap: [{ ...ldap, name: 'submission' }] },
      /ldap\[0\]\.name: .*has this name/,
    ],
    ['a port that is taken', { ldap: [{ ...ldap, port: 2587 }] }, /ldap\[0\]\.port: .*listens on this port/],
    ['two on one port', { ldap: [ldap, { ...ldap, name: 'x' }] }, /ldap\[1\]\.port: .*listens on this port/],
    ['no TLS for others', { ldap: [{ ...ldap, host: '0.0.0.0' }] }, /tls: without TLS a certificate can be/],
    ['TLS without a certificate', { ldap: [{ ...ldap, tls: 'implicit' }] }, /tls: this needs a certificate/],
    ['one letter', { ldap: [{ ...ldap, letters: 1 }] }, /letters/],
    [
      'less in an hour than in a search',
      { ldap: [{ ...ldap, peoplePerHour: 5 }] },
      /peoplePerHour: this is less/,
    ],
    [
      'everybody without bounds',
      { ldap: [{ ...ldap, unlimitedNetworks: ['0.0.0.0/0'] }] },
      /warning .*unlimitedNetworks: everybody is in this network/,
    ],
    ['an address that is nobody’s', { withheld: ['bob@example.org'] }, /warning .*withheld\[0\]: no login/],
    ['an upstream', { ldap: [{ ...ldap, upstream: {} }] }, /upstream/],
  ])('%s is told', async (_, publishing, text) => {
    expect(await problems(publishing)).toMatch(text);
  });

  test('an address may be withheld in any letter case of its domain', async () => {
    expect(await problems({ withheld: ['alice@EXAMPLE.org'] })).not.toContain('publishing');
  });
});
