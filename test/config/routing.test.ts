import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { noFiles } from '../../src/config/files.ts';
import { parseConfig } from '../../src/config/load.ts';

const SERVER = { host: 'mail.example.org', port: 25, tls: 'starttls' };
const mx = (name: string, ...domains: readonly string[]) => ({ name, domains, via: { kind: 'mx' } });

function problems(queue: object): string[] {
  const text = stringify({
    ...{ hostname: 'gateway.example.org' },
    submission: [{ name: 's', host: '127.0.0.1', port: 0, tls: 'none', upstream: SERVER }],
    keys: [{ name: 'gateway', kind: 'pem', certificate: 'g.crt', key: 'g.key' }],
    policy: { rules: [{ name: 'all', sign: 'never', encrypt: 'never' }] },
    queue: { key: 'gateway', address: 'gateway@example.org', ...queue },
  });
  const parsed = parseConfig('gateway.yaml', text, noFiles);
  return (parsed.kind === 'ok' ? parsed.warnings : parsed.problems)
    .filter(({ path }) => path.startsWith('queue'))
    .map(({ path, severity, text: said }) => `${path} ${severity}: ${said}`);
}

test.each<[string, object]>([
  ['a server alone', { server: SERVER }],
  ['a route for every domain, without a server', { routes: [mx('internet', '*')] }],
  ['both', { server: SERVER, routes: [mx('some', 'Partner.example', '*.bücher.example')] }],
  [
    'a resolver elsewhere that nobody asks, or that is trusted',
    {
      ...{ routes: [mx('internet', '*')] },
      mx: { resolvers: ['192.0.2.1', '[2001:db8::1]:5353'], trustNetwork: true },
    },
  ],
])('sound: %s', (_, queue) => {
  expect(problems(queue)).toEqual([]);
});

test.each<[string, object, RegExp]>([
  [
    'nothing for the rest',
    { routes: [mx('some', 'x.example')] },
    /^queue\.server error: .*domains: \["\*"\]/,
  ],
  ['neither', {}, /^queue\.server error/],
  [
    'a name twice',
    { server: SERVER, routes: [mx('a', 'x.example'), mx('a', 'y.example')] },
    /\[0\] has this name/,
  ],
  ['the name of the server', { server: SERVER, routes: [mx('server', 'x.example')] }, /choose another one/],
  [
    'what comes too late',
    { routes: [mx('a', '*'), mx('b', 'x.example')] },
    /routes\[1\]\.domains warning: .*nothing ever/,
  ],
  ['no domains', { server: SERVER, routes: [mx('a')] }, /empty/],
  [
    'a resolver elsewhere',
    { routes: [mx('a', '*')], mx: { resolvers: ['192.0.2.1'] } },
    /resolvers error: .*192\.0\.2\.1:53/,
  ],
  [
    'a server in the clear',
    { routes: [{ name: 'a', domains: ['*'], via: { kind: 'server', ...SERVER, tls: 'none' } }] },
    /routes\[0\]\.via\.tls error: without TLS/,
  ],
  [
    'a level that is none',
    { routes: [{ name: 'a', domains: ['*'], via: { kind: 'mx', tls: 'none' } }] },
    /opportunistic/,
  ],
])('told: %s', (_, queue, expected) => {
  const told = problems(queue);
  expect(told.filter((one) => expected.test(one))).toHaveLength(1);
});
