import { expect, test } from 'vitest';
import { AddressGuard } from '../../src/connections/address-guard.ts';
import type { DnsAnswer } from '../../src/dns/message.ts';
import { isOwnAddress } from '../../src/gateway/own-addresses.ts';
import { TYPE_A, TYPE_MX } from '../../src/routing/asking.ts';
import { findHosts } from '../../src/routing/find-hosts.ts';
import { mxRecord } from './support/records.ts';

const NOTHING: DnsAnswer = { records: [], isAuthentic: false, timeToLive: 60, exists: true, canonical: null };
const OWN = '198.51.100.1';

/** Mail servers of `partner.example` by preference, each with its addresses. */
function find(
  servers: readonly (readonly [number, string, ...(readonly string[])])[],
  { domain = 'partner.example', own = [OWN] }: { domain?: string; own?: readonly string[] } = {},
) {
  return findHosts(
    domain,
    {
      ask: async ({ name, type }) => {
        if (type === TYPE_MX) {
          return {
            ...NOTHING,
            records: servers.filter(([at]) => at > 0).map(([at, host]) => mxRecord(at, host)),
          };
        }
        const [, , ...addresses] = servers.find(([, host]) => host === name) ?? [];
        const records = addresses.map((address) => Buffer.from(address.split('.').map(Number)));
        return { ...NOTHING, records: type === TYPE_A ? records : [] };
      },
      guard: new AddressGuard(['198.51.100.0/24']),
      isOwn: (address) => own.includes(address),
      ...{ port: 25, ownNames: ['gateway.example.org'], random: () => 0 },
    },
    new AbortController().signal,
  );
}
const names = async (...of: Parameters<typeof find>) => {
  const found = await find(...of);
  return found.kind === 'hosts' ? found.hosts.map(({ name }) => name) : found;
};
const FIRST = [10, 'first.x', '198.51.100.7'] as const;
const ITSELF = { kind: 'failed', status: '5.4.6' };

test('a gateway that has one of the addresses, under whatever name, hands on to those before it alone', async () => {
  const servers = [
    FIRST,
    [20, 'other-name-of-gateway.x', '198.51.100.9', OWN],
    [20, 'equal.x', '198.51.100.8'],
    [30, 'last.x', '198.51.100.8'],
  ] as const;
  expect(await names(servers)).toEqual(['first.x']);
  expect(await names(servers, { own: [] })).toEqual([
    ...['first.x', 'other-name-of-gateway.x', 'equal.x', 'last.x'],
  ]);
});

test('one that is the first, or the domain itself, or the address itself, sends nothing in circles', async () => {
  expect(await find([[5, 'alias.x', OWN], FIRST])).toMatchObject(ITSELF);
  expect(await find([[0, 'partner.example', OWN]])).toMatchObject(ITSELF);
  expect(await find([], { domain: `[${OWN}]` })).toMatchObject(ITSELF);
});

test('one whose own address may not be called knows itself all the same', async () => {
  const inner = '10.1.0.25';
  const servers = [[5, 'alias.x', inner], FIRST] as const;
  expect(await find(servers, { own: [inner] })).toMatchObject(ITSELF);
});

test('an address is its own where one of its listeners answers at the port of mail servers', () => {
  const is = (...listeners: readonly (readonly [string, number])[]) =>
    isOwnAddress({
      listeners: listeners.map(([host, port]) => ({ host, port })),
      ...{ port: 25, named: ['203.0.113.0/28'], ofMachine: () => ['192.0.2.1', '2001:db8::1', 'fe80::1'] },
    });
  const everywhere = is(['0.0.0.0', 25], ['127.0.0.1', 10_024]);
  expect(['192.0.2.1', '2001:db8:0::1', '127.0.0.1', '192.0.2.2', '203.0.113.3'].map(everywhere)).toEqual([
    ...[true, true, false, false, true],
  ]);
  const beside = is(['127.0.0.1', 10_024], ['192.0.2.9', 25], ['mx.example.org', 25]);
  expect(['192.0.2.1', '127.0.0.1', '192.0.2.9', '203.0.113.3'].map(beside)).toEqual([
    false,
    false,
    true,
    true,
  ]);
});
