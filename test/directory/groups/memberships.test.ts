import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { type MembershipSettings, openMemberships } from '../../../src/directory/groups/open-memberships.ts';
import type { Event } from '../../../src/log/events.ts';
import type { GroupQuestion, GroupSubject } from '../../../src/pipeline/ports.ts';
import type { Started } from '../../support/services/disposable.ts';
import { type LdapEntry, type Slapd, slapd } from '../../support/services/slapd.ts';

const person = (name: string, ...lines: readonly string[]): LdapEntry => ({
  rdn: `cn=${name}`,
  lines: [
    'objectClass: inetOrgPerson',
    `cn: ${name}`,
    'sn: Somebody',
    `uid: ${name.toLowerCase()}`,
    ...lines,
  ],
});
const ENTRIES = [
  person('Alice', 'mail: alice@example.org', 'employeeType: board'),
  person('Bob', 'mail: bob@example.org', 'employeeType: staff'),
  person('Carol', 'mail: carol@my_host.example.org', 'employeeType: board'),
  ...Array.from({ length: 25 }, (_, i) =>
    person(`Many${i}`, 'mail: many@example.org', 'employeeType: board'),
  ),
];
const BOARD: GroupQuestion = {
  source: 'people',
  addresses: '(&(mail={address})(employeeType=board))',
  logins: '(&(uid={login})(employeeType=board))',
};
const address = (text: string): GroupSubject => ({ kind: 'address', text });
const login = (text: string): GroupSubject => ({ kind: 'login', text });

let server: Started<Slapd>;
beforeAll(async () => {
  server = await slapd({ entries: ENTRIES });
});
afterAll(() => server?.stop());

let events: Event[];
beforeEach(() => {
  events = [];
});
afterEach(() => {
  vi.restoreAllMocks();
});

type Source = MembershipSettings['groupSources'][number];
async function open(changed: Partial<Source> = {}, failures = 3) {
  const { securePort: port, caFile, base } = server;
  const source: Source = {
    ...{ name: 'people', servers: [{ name: 'ldap', host: 'localhost', port, tls: 'implicit' }] },
    ...{ ca: caFile, serverName: null, allowPlaintext: false, bind: null, base, scope: 'sub', domains: null },
    ...{ keptMinutes: 10, timeoutSeconds: 5, ...changed },
  };
  const opened = await openMemberships(
    { groupSources: [source], lookup: { timeoutSeconds: 10, failures, retrySeconds: 3_600 } },
    { write: (event) => void events.push(event) },
  );
  if (opened === null) throw new Error('there is a source');
  return opened;
}

/** Time goes on by so much, for what is remembered. */
function later(milliseconds: number): void {
  const now = performance.now.bind(performance);
  vi.spyOn(performance, 'now').mockImplementation(() => now() + milliseconds);
}

describe('who is in a group', () => {
  test.each<[GroupSubject, boolean]>([
    [address('alice@example.org'), true],
    [address('Alice@EXAMPLE.org'), true],
    [address('bob@example.org'), false],
    [address('nobody@example.org'), false],
    // Names that no certificate can have, and to which mail is sent all the same.
    [address('carol@my_host.example.org'), true],
    [address('*@my_host.example.org'), false],
    [address('alice@ｅxample.org'), true],
    [address('bob@ｅxample.org'), false],
    [login('alice'), true],
    [login('bob'), false],
    // What means something in a filter means nothing in an address or a login.
    [address('*@example.org'), false],
    [login('*'), false],
    [login('x)(|(uid=*'), false],
    [address('no address'), false],
  ])('is said by the directory: %j %s', async (subject, isMember) => {
    const people = await open({ domains: ['example.org', '*.example.org'] });
    expect(await people.ask(BOARD, subject)).toBe(isMember);
    expect(people.known(BOARD, subject)).toBe(isMember);
  });

  test('is asked neither for a kind without a filter, nor for other domains', async () => {
    const people = await open({
      servers: [{ name: 'nobody', host: '127.0.0.1', port: 1, tls: 'implicit' }],
      domains: ['example.org'],
    });
    expect(await people.ask({ ...BOARD, logins: null }, login('alice'))).toBe(false);
    expect(await people.ask({ ...BOARD, addresses: null }, address('alice@example.org'))).toBe(false);
    expect(await people.ask(BOARD, address('alice@elsewhere.example'))).toBe(false);
    expect(events).toEqual([]);
  });

  test('is asked once at a time, and again after its time', async () => {
    const people = await open();
    const subject = address('alice@example.org');
    expect(people.known(BOARD, subject)).toBeNull();
    const both = [people.ask(BOARD, subject), people.ask(BOARD, subject)];
    expect(await Promise.all(both)).toEqual([true, true]);
    await server.restart([]);
    try {
      expect(await people.ask(BOARD, subject)).toBe(true);
      // Another filter is another question.
      expect(await people.ask({ ...BOARD, addresses: '(mail={address})' }, subject)).toBe(false);
      later(10 * 60_000);
      expect(people.known(BOARD, subject)).toBeNull();
      expect(await people.ask(BOARD, subject)).toBe(false);
    } finally {
      await server.restart(ENTRIES);
    }
  });
});

describe('nobody knows', () => {
  test('while the directory is away, though it said something once', async () => {
    const people = await open({}, 2);
    const subject = address('alice@example.org');
    expect(await people.ask(BOARD, subject)).toBe(true);
    await server.end();
    try {
      expect(await people.ask(BOARD, subject)).toBe(true);
      expect(await people.ask(BOARD, address('bob@example.org'))).toBeNull();
      later(10 * 60_000);
      expect(await people.ask(BOARD, subject)).toBeNull();
      expect(await people.ask(BOARD, subject)).toBeNull();
    } finally {
      await server.restart(ENTRIES);
    }
    const told = events.map(({ event }) => event);
    expect(told).toEqual(['directory.source-failed', 'directory.source-away', 'directory.source-failed']);
  });

  test('while it says nothing, and waits no longer than may be', async () => {
    const people = await open({ timeoutSeconds: 1 });
    server.pause();
    try {
      expect(await people.ask(BOARD, login('alice'))).toBeNull();
    } finally {
      server.resume();
    }
  });

  test('where a filter finds a crowd, or nobody is there to be asked', async () => {
    const people = await open();
    expect(await people.ask(BOARD, address('many@example.org'))).toBeNull();
    expect(await people.ask({ ...BOARD, source: 'others' }, login('alice'))).toBeNull();
    expect(people.known({ ...BOARD, source: 'others' }, login('alice'))).toBeNull();
  });
});
