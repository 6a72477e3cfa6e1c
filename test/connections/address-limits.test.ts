import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { clientNetwork } from '../../src/connections/client-network.ts';
import { ClientPlaces } from '../../src/connections/client-places.ts';
import { FailedLogins } from '../../src/connections/failed-logins.ts';
import { HandshakePlaces } from '../../src/connections/handshake-places.ts';
import { type Listening, type ListenOptions, listen } from '../../src/connections/listen.ts';
import { limits } from '../../src/limits.ts';
import type { Event } from '../../src/log/events.ts';

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
  ['::1', '::/64'],
  ['fe80::1%eth0', 'fe80::/64'],
  ['64:ff9b::c000:207', '192.0.2.7'],
  ['64:ff9b:1::c000:207', '64:ff9b:1::/64'],
  ['', ''],
])('%s is counted as %s', (address, network) => {
  expect(clientNetwork(address)).toBe(network);
});

test('places: of one address, or one /64, so many; others have their own; given back once', () => {
  const told: string[] = [];
  const places = new ClientPlaces(2, ['10.0.0.0/8'], (address) => told.push(address));
  const first = places.take('2001:db8::1');
  expect(places.take('2001:db8::2')).not.toBeNull();
  expect([places.take('2001:db8::3'), places.take('2001:db8::4')]).toEqual([null, null]);
  expect(told).toEqual(['2001:db8::3']);
  expect(places.take('2001:db8:0:1::1')).not.toBeNull();
  for (let i = 0; i < 10; i++) expect(places.take('10.1.2.3')).not.toBeNull();
  first?.();
  first?.();
  expect(places.take('2001:db8::5')).not.toBeNull();
  expect(places.take('2001:db8::6')).toBeNull();
});

describe('failed logins', () => {
  /** Time passes only while somebody waits, or when a test says so. */
  function failing() {
    const waits: number[] = [];
    const clock = {
      at: 0,
      now: () => clock.at,
      async wait(ms: number) {
        waits.push(ms);
        clock.at += ms;
      },
    };
    const failed = new FailedLogins(clock);
    const attempt = async (address: string, said: string | null) => {
      const may = await failed.mayTry(address, said, new AbortController().signal);
      if (may) failed.failed(address, said);
      return may;
    };
    return { failed, attempt, clock, waits };
  }

  test('attack: whoever guesses comes to one guess in fifteen seconds, from a whole /64', async () => {
    const { attempt, waits } = failing();
    for (let i = 0; i < 30; i++) expect(await attempt(`2001:db8::${i}`, `alice\0${i}`)).toBe(true);
    expect(waits.slice(0, 5)).toEqual([1_000, 2_000, 4_000, 8_000, 15_000]);
    expect(waits.slice(4).every((ms) => ms === 15_000)).toBe(true);
    expect(waits).toHaveLength(30 - limits.connections.freeFailures);
  });

  test('attack: guesses on many connections at a time wait for each other, or are refused', async () => {
    const { failed, attempt } = failing();
    for (let i = 0; i < 30; i++) await attempt('192.0.2.7', null);
    const never = new AbortController().signal;
    const waiting: number[] = [];
    const still = new FailedLogins({ now: () => 0, wait: async (ms) => void waiting.push(ms) });
    for (let i = 0; i < 30; i++) still.failed('192.0.2.7', null);
    const all = await Promise.all(Array.from({ length: 100 }, () => still.mayTry('192.0.2.7', null, never)));
    expect(all.filter((may) => may)).toHaveLength(1);
    expect(waiting).toEqual([15_000]);
    expect(await failed.mayTry('192.0.2.8', null, never)).toBe(true);
  });

  test('a program that says one wrong password for ever slows nobody down', async () => {
    const { attempt, waits } = failing();
    for (let i = 0; i < 1_000; i++) await attempt('192.0.2.7', 'alice\0old password');
    expect(waits).toEqual([]);
  });

  test('attack on an office: a program in it that says one old password for ever keeps no typing mistakes alive', async () => {
    const { attempt, waits, clock } = failing();
    for (let day = 0; day < 30; day++) {
      await attempt('192.0.2.7', `alice\0mistyped on day ${day}`);
      for (let minute = 0; minute < 60; minute++) {
        clock.at += 60_000;
        await attempt('192.0.2.7', 'bob\0old password');
      }
    }
    expect(waits).toEqual([]);
  });

  test('attack on an office: whoever guesses behind its address holds up nobody who has logged in from there', async () => {
    const { failed, attempt, waits } = failing();
    failed.accepted('192.0.2.7', 'alice\0right');
    for (let i = 0; i < 20; i++) await attempt('192.0.2.7', `alice\0guess ${i}`);
    const before = waits.length;
    const never = new AbortController().signal;
    for (let i = 0; i < 50; i++) expect(await failed.mayTry('192.0.2.7', 'alice\0right', never)).toBe(true);
    expect(waits).toHaveLength(before);
    // Elsewhere, and once it was refused, it is a guess like others.
    for (let i = 0; i < 20; i++) await attempt('192.0.2.8', `alice\0guess ${i}`);
    const slow = waits.length;
    await failed.mayTry('192.0.2.8', 'alice\0right', never);
    expect(waits).toHaveLength(slow + 1);
    failed.failed('192.0.2.7', 'alice\0right');
    await failed.mayTry('192.0.2.7', 'alice\0right', never);
    expect(waits).toHaveLength(slow + 2);
  });

  test('they are forgotten after a while without any', async () => {
    const { attempt, waits, clock } = failing();
    for (let i = 0; i < 12; i++) await attempt('192.0.2.7', null);
    const before = waits.length;
    clock.at += limits.connections.failuresForgottenMs;
    await attempt('192.0.2.7', null);
    expect(waits).toHaveLength(before);
  });

  test('attack: failures from very many addresses take so much memory and no more', async () => {
    const { failed, attempt, waits } = failing();
    for (let i = 0; i < 20; i++) failed.failed('first', null);
    for (let i = 0; i < limits.connections.failedAddresses; i++) failed.failed(`host-${i}`, null);
    await attempt('first', null);
    expect(waits).toEqual([]);
  });
});

test('handshakes: so many of one address and in all; who waits is served in turn, those first that have the fewest', async () => {
  const places = new HandshakePlaces(3, 2);
  const going: string[] = [];
  const ends: (() => void)[] = [];
  const begin = (address: string) =>
    places.within(address, () => {
      going.push(address);
      return new Promise<void>((resolve) => ends.push(resolve));
    });
  const all = ['a', 'a', 'a', 'b', 'b', 'c'].map(begin);
  expect(going).toEqual(['a', 'a', 'b']);
  ends[2]?.();
  await all[3];
  await new Promise((resolve) => setImmediate(resolve));
  expect(going).toEqual(['a', 'a', 'b', 'b']);
  ends[0]?.();
  await all[0];
  await new Promise((resolve) => setImmediate(resolve));
  expect(going).toEqual(['a', 'a', 'b', 'b', 'c']);
  for (let i = 1; i < 6; i++) {
    ends[i]?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(all);
  expect(going).toHaveLength(6);
});

test('attack: addresses with all places, and more of them waiting, let everybody else have the next one', async () => {
  const places = new HandshakePlaces(4, 2);
  const ends: (() => void)[] = [];
  const lying = () => new Promise<void>((resolve) => ends.push(resolve));
  for (let i = 0; i < 50; i++) for (const address of ['x', 'y']) void places.within(address, lying);
  let served = false;
  const other = places.within('z', async () => {
    served = true;
  });
  ends[0]?.();
  await other;
  expect(served).toBe(true);
});

describe('a listener', () => {
  const open: { destroy(): void }[] = [];
  afterEach(() => {
    for (const each of open.splice(0)) each.destroy();
  });

  async function listening(changes: Partial<ListenOptions>): Promise<Listening & { events: Event[] }> {
    const events: Event[] = [];
    const started = await listen({
      ...{ name: 'test', host: '127.0.0.1', port: 0, maxConnections: 100, proxyProtocolFrom: [] },
      log: { write: (event) => void events.push(event) },
      async serve({ socket }) {
        socket.write('hello');
        socket.resume();
        if (!socket.destroyed) await once(socket, 'close');
      },
      tooMany: 'full',
      ...changes,
    });
    open.push(started);
    return { ...started, events };
  }

  async function heard(port: number, header = ''): Promise<{ socket: Socket; text: string }> {
    const socket = connect(port, '127.0.0.1');
    open.push(socket.on('error', () => undefined));
    socket.write(header);
    const [octets] = (await once(socket, 'data')) as [Buffer];
    return { socket, text: octets.toString() };
  }

  const from = (address: string) => `PROXY TCP6 ${address} 2001:db8:9::1 40001 993\r\n`;

  test('attack: one address takes all places; others are served, behind a balancer as well', async () => {
    const { port, events } = await listening({
      ...{ maxConnectionsPerAddress: 2, proxyProtocolFrom: ['127.0.0.1'] },
    });
    const texts: string[] = [];
    for (const host of [1, 2, 3, 4]) texts.push((await heard(port, from(`2001:db8:1::${host}`))).text);
    expect(texts).toEqual(['hello', 'hello', 'full', 'full']);
    expect((await heard(port, from('2001:db8:2::1'))).text).toBe('hello');
    expect(events).toEqual([
      {
        ...{ event: 'listener.too-many-connections', level: 'warn', listener: 'test' },
        remote: '2001:db8:1::3',
      },
    ]);
  });

  test('a place is free again when its client has gone', async () => {
    const { port } = await listening({ maxConnectionsPerAddress: 1 });
    const first = await heard(port);
    expect((await heard(port)).text).toBe('full');
    first.socket.destroy();
    let text: string;
    do ({ text } = await heard(port));
    while (text === 'full');
    expect(text).toBe('hello');
  });

  test('who is listed is not counted', async () => {
    const { port } = await listening({ maxConnectionsPerAddress: 1, unlimitedNetworks: ['127.0.0.0/8'] });
    for (let i = 0; i < 3; i++) expect((await heard(port)).text).toBe('hello');
  });
});
