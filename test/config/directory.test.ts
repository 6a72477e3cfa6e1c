import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sealgate-config-'));
  await writeFile(join(folder, 'root.pem'), 'not read here');
  await writeFile(join(folder, 'password'), 'opensesame\n', { mode: 0o600 });
});
afterAll(() => rm(folder, { recursive: true }));

async function load(directory: object, trust: object = { anchors: ['root.pem'] }) {
  const file = join(folder, 'gateway.yaml');
  const upstream = { host: '127.0.0.1', port: 25, tls: 'none' };
  const submission = [{ name: 'submission', host: '127.0.0.1', port: 2587, tls: 'none', upstream }];
  const policy = { rules: [{ name: 'all', sign: 'never', encrypt: 'never' }] };
  const principals = { loginIsAddress: true };
  const settings = { hostname: 'gw.example.org', stateFolder: 'state', submission, principals };
  await writeFile(file, stringify({ ...settings, trust, policy, directory }));
  return loadConfig(file, {});
}

async function problems(directory: object, trust?: object): Promise<string> {
  const loaded = await load(directory, trust);
  const found = loaded.kind === 'ok' ? loaded.warnings : loaded.problems;
  return found.map(({ path, severity, text }) => `${severity} ${path}: ${text}`).join('\n');
}

const place = { kind: 'postgresql', host: 'db.example.org', database: 'sealgate', user: 'sealgate' };

describe('directory.store', () => {
  test('is SQLite by itself', async () => {
    const loaded = await load({});
    expect(loaded.kind === 'ok' && loaded.config.directory.store).toEqual({ kind: 'sqlite' });
  });

  test('in PostgreSQL is reached by verified TLS, with a password that is not shown', async () => {
    const loaded = await load({ store: { ...place, password: { file: 'password' }, ca: 'root.pem' } });
    if (loaded.kind !== 'ok') throw new Error('it is well-formed');
    expect(loaded.config.directory.store).toMatchObject({ port: 5432, tls: 'verify', connections: 10 });
    expect(inspect(loaded.config, { depth: 9 }) + JSON.stringify(loaded.config)).not.toContain('opensesame');
  });

  test.each<[string, object, RegExp]>([
    [
      'no TLS to another machine',
      { ...place, tls: 'none' },
      /directory\.store\.tls: without TLS the password/,
    ],
    ['TLS over a Unix socket', { ...place, host: '/run/postgresql' }, /say tls: none/],
    [
      'a CA without TLS',
      { ...place, host: 'localhost', tls: 'none', ca: 'root.pem' },
      /ca: this says something only with TLS/,
    ],
    ['a password in the file', { ...place, password: 'opensesame' }, /a secret is not written in this file/],
    ['another kind', { kind: 'mysql' }, /kind/],
    ['a setting of the other kind', { kind: 'sqlite', host: 'x' }, /host/],
    ['no database', { ...place, database: undefined }, /database/],
  ])('is refused with %s', async (_, store, text) => {
    const said = await problems({ store });
    expect(said).toMatch(text);
    expect(said).not.toContain('opensesame');
  });

  test.each([
    { ...place, tls: 'none', allowPlaintext: true },
    { ...place, host: '/run/postgresql', tls: 'none' },
  ])('may be without TLS where somebody says so, or over a Unix socket', async (store) => {
    expect(await problems({ store })).toBe('');
  });
});

test('trust.restrictedAnchors: domains and purposes are read, and count as anchors', async () => {
  const trust = { restrictedAnchors: [{ file: 'root.pem', domains: ['Bücher.example', '*.example.org'] }] };
  const loaded = await load({}, trust);
  expect(loaded.kind === 'ok' && loaded.config.trust.restrictedAnchors).toEqual([
    {
      file: join(folder, 'root.pem'),
      for: ['signing', 'encryption'],
      domains: ['xn--bcher-kva.example', '*.example.org'],
    },
  ]);
  expect(await problems({}, trust)).toBe('');
  expect(await problems({}, { restrictedAnchors: [{ file: 'root.pem', for: [] }] })).toMatch(/for/);
  expect(await problems({}, { restrictedAnchors: [{ file: 'root.pem', domains: ['a b'] }] })).toMatch(
    /a domain/,
  );
});

describe('directory.sources', () => {
  const source = {
    ...{ kind: 'ldap', name: 'partner', base: 'dc=partner,dc=example' },
    servers: ['ldaps://ldap1.partner.example', 'ldap://[::1]:1389/'],
  };

  test('are asked by verified TLS, and a password is not shown', async () => {
    const bind = { dn: 'cn=sealgate', password: { file: 'password' } };
    const loaded = await load({ sources: [{ ...source, bind, domains: ['Partner.example'] }] });
    if (loaded.kind !== 'ok') throw new Error('it is well-formed');
    expect(loaded.config.directory.sources).toMatchObject([
      {
        servers: [
          { host: 'ldap1.partner.example', port: 636, tls: 'implicit', name: 'ldap1.partner.example:636' },
          { host: '::1', port: 1389, tls: 'starttls', name: '[::1]:1389' },
        ],
        ...{ filter: '(mail={address})', scope: 'sub', trust: 'directory', optional: false },
        domains: ['partner.example'],
      },
    ]);
    expect(loaded.config.directory.lookup).toMatchObject({ timeoutSeconds: 10, failures: 3 });
    expect(inspect(loaded.config, { depth: 9 }) + JSON.stringify(loaded.config)).not.toContain('opensesame');
  });

  test.each<[string, object, RegExp]>([
    ['another kind', { kind: 'finger' }, /kind/],
    ['no server', { servers: [] }, /servers/],
    ['a URL with more than a place', { servers: ['ldaps://h.example/dc=x??sub'] }, /nothing behind it/],
    ['a URL with a password', { servers: ['ldaps://cn=x:opensesame@h.example'] }, /ldaps:\/\/HOST/],
    ['another protocol', { servers: ['https://h.example'] }, /ldaps:\/\/HOST/],
    [
      'no TLS to another machine',
      { servers: ['ldap://h.example'], startTls: false },
      /startTls: without TLS/,
    ],
    [
      'a password in the file',
      { bind: { dn: 'cn=x', password: 'opensesame' } },
      /is not written in this file/,
    ],
    ['a login without a password', { bind: { dn: 'cn=x' } }, /password/],
    ['a filter that finds everybody', { filter: '(mail=*)' }, /it would find everybody/],
    ['a filter with a place that is none', { filter: '(mail={adress})' }, /\{adress\} is no place/],
    ['two filters', { filter: '(mail={address})(x=y)' }, /not one filter/],
    ['a filter that is open', { filter: '(|(mail={address})' }, /not one filter/],
    ['a broken escape in the filter', { filter: '(cn=\\zz{address})' }, /not one filter/],
    ['trust that no source can give', { trust: 'verified' }, /trust/],
    ['a name that another one has', { name: 'other' }, /has this name already/],
  ])('are refused with %s', async (_, changed, text) => {
    const said = await problems({
      sources: [
        { ...source, name: 'other' },
        { ...source, ...changed },
      ],
    });
    expect(said).toMatch(text);
    expect(said).not.toContain('opensesame');
  });

  test('may do without TLS on this machine', async () => {
    expect(await problems({ sources: [{ ...source, servers: ['ldap://localhost'], startTls: false }] })).toBe(
      '',
    );
  });
});

describe('directory.sources in DNS', () => {
  const source = { kind: 'smimea', name: 'dns' };

  test('are asked by a resolver of this machine, and believed where DNSSEC vouches for them', async () => {
    const loaded = await load({ sources: [source] });
    if (loaded.kind !== 'ok') throw new Error('it is well-formed');
    expect(loaded.config.directory.sources).toEqual([
      {
        ...{ kind: 'smimea', name: 'dns', trustNetwork: false, withoutDnssec: 'ignore', optional: false },
        ...{
          resolvers: [{ host: '127.0.0.1', port: 53, name: '127.0.0.1:53' }],
          domains: null,
          timeoutSeconds: 5,
        },
      },
    ]);
  });

  test('may be asked elsewhere where the way there is said to be trusted', async () => {
    const resolvers = ['192.0.2.1:5353', '2001:db8::1', '[2001:db8::1]:853', '::1', '127.0.0.2'];
    const loaded = await load({ sources: [{ ...source, resolvers, trustNetwork: true }] });
    if (loaded.kind !== 'ok') throw new Error('it is well-formed');
    expect(loaded.config.directory.sources).toMatchObject([
      {
        resolvers: [
          { host: '192.0.2.1', port: 5353 },
          { host: '2001:db8::1', port: 53, name: '[2001:db8::1]:53' },
          { host: '2001:db8::1', port: 853 },
          { host: '::1', port: 53 },
          { host: '127.0.0.2', port: 53 },
        ],
      },
    ]);
  });

  test.each<[string, object, RegExp]>([
    ['a resolver elsewhere', { resolvers: ['127.0.0.1', '192.0.2.1'] }, /192\.0\.2\.1 says of DNSSEC/],
    ['a name of a resolver', { resolvers: ['localhost'] }, /an IP address is expected/],
    ['a port that is none', { resolvers: ['127.0.0.1:0'] }, /an IP address is expected/],
    ['an address that is none', { resolvers: ['127.0.0.256'] }, /an IP address is expected/],
    ['a name that another one has', { name: 'other' }, /has this name already/],
    ['a setting of another kind', { base: 'dc=x' }, /base/],
  ])('are refused with %s', async (_, changed, text) => {
    expect(
      await problems({
        sources: [
          { ...source, name: 'other' },
          { ...source, ...changed },
        ],
      }),
    ).toMatch(text);
  });
});

describe('directory.sources by HTTP', () => {
  const source = { kind: 'http-store', name: 'store', url: 'https://certs.partner.example/search.cgi?x=1' };

  test('are asked by TLS at public addresses', async () => {
    const loaded = await load({ sources: [source] });
    if (loaded.kind !== 'ok') throw new Error('it is well-formed');
    expect(loaded.config.directory.sources).toMatchObject([
      { kind: 'http-store', url: new URL(source.url), allowAddresses: [], trust: 'directory', ca: null },
    ]);
  });

  test.each<[string, object, RegExp]>([
    ['no TLS to another machine', { url: 'http://certs.partner.example/' }, /url: without TLS/],
    ['a login in the URL', { url: 'https://x:opensesame@certs.partner.example/' }, /without a login/],
    ['the question in the URL', { url: 'https://certs.partner.example/?email=x' }, /the question/],
    ['another protocol', { url: 'ftp://certs.partner.example/' }, /https:\/\/HOST/],
    ['no URL', { url: 'certs.partner.example' }, /https:\/\/HOST/],
    ['authorities without TLS', { url: 'http://127.0.0.1/', ca: 'root.pem' }, /only with TLS/],
  ])('are refused with %s', async (_, changed, text) => {
    const said = await problems({ sources: [{ ...source, ...changed }] });
    expect(said).toMatch(text);
    expect(said).not.toContain('opensesame');
  });

  test('may do without TLS on this machine, or where that is said', async () => {
    for (const changed of [
      { url: 'http://127.0.0.1:8080/' },
      { url: 'http://[::1]/' },
      { url: 'http://localhost/' },
      { url: 'http://certs.partner.example/', allowPlaintext: true },
    ]) {
      expect(await problems({ sources: [{ ...source, ...changed }] })).toBe('');
    }
  });
});

describe('directory.groupSources', () => {
  const source = { name: 'people', base: 'dc=example', servers: ['ldap://ldap.example.org'] };

  test('are asked by verified TLS, and answers count for ten minutes', async () => {
    const loaded = await load({ groupSources: [source] });
    if (loaded.kind !== 'ok') throw new Error('it is well-formed');
    expect(loaded.config.directory.groupSources).toMatchObject([
      { servers: [{ tls: 'starttls' }], keptMinutes: 10, timeoutSeconds: 5, domains: null, scope: 'sub' },
    ]);
  });

  test.each<[string, object, RegExp]>([
    ['no TLS to another machine', { startTls: false }, /startTls: without TLS/],
    ['a name that another one has', { name: 'other' }, /sources\[0\] has this name already/],
    ['a filter, which groups have', { filter: '(mail={address})' }, /filter/],
  ])('are refused with %s', async (_, changed, text) => {
    const other = { kind: 'smimea', name: 'other' };
    expect(await problems({ sources: [other], groupSources: [{ ...source, ...changed }] })).toMatch(text);
  });
});
