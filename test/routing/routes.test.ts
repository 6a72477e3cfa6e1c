import { expect, test } from 'vitest';
import { domainOf, type Route, Routes } from '../../src/routing/routes.ts';

const mx = (name: string, domains: readonly string[]): Route => ({
  ...{ name, domains, connections: 3 },
  via: { kind: 'mx', tls: 'opportunistic', hosts: [] },
});
const server = (name: string, domains: readonly string[]): Route => ({
  ...{ name, domains, connections: 7, via: { kind: 'server' } },
});
const to = (domain: string) => ({ mailbox: { localPart: 'bob', domain }, parameters: [] });

const routes = new Routes([
  server('partner', ['partner.example', '*.partner.example']),
  mx('some', ['other.example', 'xn--bcher-kva.example']),
  mx('late', ['a.partner.example']),
  server('server', ['*']),
]);

test.each([
  ['partner.example', 'route:partner', 7],
  ['PARTNER.Example', 'route:partner', 7],
  // The first that names it has it.
  ['a.partner.example', 'route:partner', 7],
  ['notpartner.example', 'server', 7],
  ['Other.example', 'domain:other.example', 3],
  ['bücher.example', 'domain:xn--bcher-kva.example', 3],
  ['[192.0.2.1]', 'server', 7],
  ['', 'server', 7],
])('mail for %j goes to %s', (domain, destination, connections) => {
  expect(routes.destinationOf(to(domain))).toBe(destination);
  expect(routes.atOnce(destination)).toBe(connections);
});

test('what no route has waits at a place of its own, and so does what a route had that is gone', () => {
  const few = new Routes([mx('some', ['other.example'])]);
  expect(few.destinationOf(to('partner.example'))).toBe('domain:partner.example');
  expect(few.routeOf('partner.example')).toBeNull();
  expect(few.routeOfDestination('route:partner')).toBeNull();
  expect(few.atOnce('route:partner')).toBe(1);
});

test.each([
  ['0x7f.1', '0x7f.1'],
  ['１２７.０.０.１', '１２７.０.０.１'],
  ['A_b.Example', 'a_b.example'],
  ['[IPv6:2001:DB8::1]', '[ipv6:2001:db8::1]'],
])('attack: %s becomes no address', (domain, name) => {
  expect(domainOf({ localPart: 'a', domain })).toBe(name);
});
