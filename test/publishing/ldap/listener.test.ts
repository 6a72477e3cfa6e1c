import { afterEach, describe, expect, test } from 'vitest';
import type { LdapListenerOptions } from '../../../src/publishing/ldap/listener.ts';
import { own, peopleOf } from '../people.ts';
import {
  bind,
  control,
  del,
  extended,
  filters as f,
  message,
  START_TLS,
  saslBind,
  search,
  text,
  unbind,
} from './requests.ts';
import { codeOf, RawClient, served } from './served.ts';

const ALICE = 'alice@example.org';
const people = peopleOf(
  [ALICE, 'albert@example.org', 'alfred@example.org'].map((address) => own({ address })),
);
const forAlice = search({ filter: f.equal('mail', ALICE), attributes: ['mail'] });
const root = search({ base: '', scope: 0 });

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close();
});

async function client(changed: Partial<LdapListenerOptions> = {}) {
  const server = await served(people, changed);
  open.push({ close: () => server.stop() });
  const connected = () => {
    const one = new RawClient(server.port);
    open.push(one);
    return one;
  };
  return Object.assign(connected(), { another: connected, events: server.events });
}

/** The result codes of the answers to one request. */
async function codes(one: RawClient, request: Buffer): Promise<(number | null)[]> {
  one.send(request);
  const all: (number | null)[] = [];
  for (;;) {
    const answer = await one.next();
    all.push(answer === null ? null : codeOf(answer));
    // Entries come first.
    if (answer === null || !/^30(?:8\d(?:..)+?|..)0201..64/.test(answer)) return all;
  }
}

describe('a client', () => {
  test.each<[string, Buffer, number]>([
    ['is anonymous', bind(), 0],
    ['has no password', bind(3, 'cn=admin', 'secret'), 49],
    ['has no name without one (RFC 4513 §5.1.2)', bind(3, 'cn=admin', ''), 53],
    ['speaks version 3', bind(2), 2],
    ['does not log in by SASL', saslBind('EXTERNAL'), 7],
    ['changes nothing', del, 53],
    ['asks for no other extension', extended('1.3.6.1.4.1.4203.1.11.1'), 2],
    ['is told that it is nobody', extended('1.3.6.1.4.1.4203.1.11.3'), 0],
  ])('%s', async (_, operation, code) => {
    const one = await client();
    expect(await codes(one, message(7, operation))).toEqual([code]);
    // And goes on.
    expect((await codes(one, message(8, root))).at(-1)).toBe(0);
  });

  test.each<[string, Buffer, number]>([
    ['pages that must be', control('1.2.840.113556.1.4.319', true), 12],
    ['pages that may be', control('1.2.840.113556.1.4.319', false), 0],
    ['what is not known and must be', control('1.2.3.4', true), 12],
    ['what changes nothing', control('2.16.840.1.113730.3.4.2', true), 0],
  ])('gets an answer to a control: %s', async (_, asked, code) => {
    const one = await client();
    expect((await codes(one, message(1, forAlice, asked))).at(-1)).toBe(code);
  });

  test('gets its answers in order, however its octets come', async () => {
    const one = await client();
    const requests = Buffer.concat([message(1, forAlice), message(2, bind()), message(3, forAlice)]);
    for (const octet of requests) one.send(Buffer.from([octet]));
    const answers = [];
    for (let i = 0; i < 5; i++)
      answers.push((await one.next())?.match(/^30(?:81)?..0201(..)(..)/)?.slice(1, 3));
    expect(answers).toEqual([
      ['01', '64'],
      ['01', '65'],
      ['02', '61'],
      ['03', '64'],
      ['03', '65'],
    ]);
    one.send(message(4, unbind));
    expect(await one.next()).toBeNull();
  });

  test('is not answered an abandoned request', async () => {
    const one = await client();
    one.send(message(1, Buffer.from('500101', 'hex')), message(2, bind()));
    expect(await one.next()).toMatch(/^30..020102/);
  });

  test('that is silent is not waited for', async () => {
    const one = await client({ silenceMs: 50 });
    expect(await one.send(Buffer.from([0x30])).next()).toBeNull();
  });
});

describe('what is no LDAP ends the connection with a notice', () => {
  const hex = (octets: string) => Buffer.from(octets.replaceAll(' ', ''), 'hex');
  test.each<[string, Buffer, string]>([
    ['HTTP', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'no LDAP message'],
    ['an indefinite length', hex('3080 020101 4200 0000'), 'length'],
    ['an indefinite length inside', message(1, hex('6080 020103 0400 8000 0000')), 'indefinite length'],
    ['a length of many octets', hex('3085000000000 5020101 4200'), 'length'],
    ['a string in pieces', message(1, hex('600b 020103 2404 0402 6162 8000')), 'constructed'],
    [
      'a boolean that is neither',
      message(1, hex(search({}).toString('hex').replace('010100', '010101'))),
      'BOOLEAN',
    ],
    ['a number too large', hex('3009 02050080000000 4200'), 'out of bounds'],
    ['a negative number', hex('3005 0201ff 4200'), 'out of bounds'],
    ['an unknown operation', message(1, hex('7e00')), 'operation'],
    ['octets behind the operation that are no element', hex('3006 020101 4200 a0'), 'too early'],
    ['an unknown scope', message(1, search({ scope: 3 })), 'scope'],
    ['a filter of an unknown kind', message(1, search({ filter: hex('ac00') })), 'filter of an unknown kind'],
    ['a filter that is too deep', message(1, search({ filter: nested(13) })), 'too deep'],
    [
      'a filter with too many parts',
      message(1, search({ filter: f.or(...Array(60).fill(f.present('cn'))) })),
      'too many parts',
    ],
    ['too many attributes', message(1, search({ attributes: Array(201).fill('x') })), 'too many attributes'],
    ['too many controls', message(1, bind(), ...Array(11).fill(control('1.2', false))), 'too many controls'],
    [
      'substrings out of order',
      message(1, search({ filter: hex('a40c 0402636e 3006 820161 800162') })),
      'order',
    ],
    ['an empty substring', message(1, search({ filter: hex('a408 0402636e 3002 8100') })), 'empty substring'],
  ])('%s', async (_, octets, cause) => {
    const one = await client();
    const answer = Buffer.from((await one.send(octets).next()) ?? '', 'hex').toString('latin1');
    expect(answer).toContain('1.3.6.1.4.1.1466.20036');
    expect(await one.next()).toBeNull();
    const closed = () => one.events.find(({ event }) => event === 'ldap.closed');
    await expect.poll(closed).toMatchObject({ cause: expect.stringContaining(cause) });
  });

  test('a request that would be too long, before it has come', async () => {
    const one = await client();
    expect(codeOf(await one.send(hex('3082 3ffd')).next())).toBe(2);
    expect(await one.next()).toBeNull();
    const longest = one.another();
    longest.send(hex('3082 3ffc'), Buffer.alloc(0x3ffc));
    expect(codeOf(await longest.next())).toBe(2);
  });

  function nested(depth: number): Buffer {
    return depth === 0 ? f.present('cn') : f.not(nested(depth - 1));
  }
});

describe('TLS', () => {
  test('begins by StartTLS, and is told of until then', async () => {
    const one = await client({ allowPlaintext: false });
    one.send(message(1, root));
    expect(Buffer.from((await one.next()) ?? '', 'hex').toString('latin1')).toContain(START_TLS);
    await one.next();
    expect(await codes(one, message(2, forAlice))).toEqual([13]);
    expect(await codes(one, message(3, extended(START_TLS)))).toEqual([0]);
    await one.begunTls();
    expect(await codes(one, message(4, forAlice))).toEqual([null, 0]);
    expect(await codes(one, message(5, extended(START_TLS)))).toEqual([1]);
  });

  test('what follows StartTLS in the clear is never taken for what is said under TLS', async () => {
    const one = await client();
    one.send(message(1, extended(START_TLS)), message(2, forAlice));
    expect(codeOf(await one.next())).toBe(2);
    expect(await one.next()).toBeNull();
  });

  test('is not there without a certificate for it', async () => {
    const one = await client({ tls: 'none' });
    expect(await codes(one, message(1, extended(START_TLS)))).toEqual([52]);
    expect(await codes(one, message(2, forAlice))).toEqual([null, 0]);
  });
});

describe('going through the alphabet', () => {
  const bounded = (entriesPerHour: number) => client({ entriesPerHour, unlimitedNetworks: [] });
  const told = ({ event }: { event: string }) => event === 'ldap.asks-for-many';

  test('comes to an end for one address, over all its connections; the log says so once', async () => {
    const one = await bounded(4);
    const all = search({ filter: f.like('mail', '*@example.org') });
    expect(await codes(one, message(1, all))).toEqual([11]);
    const three = search({ filter: f.or(...['alb*', 'alf*', 'alice*'].map((each) => f.like('mail', each))) });
    expect(await codes(one, message(2, three))).toEqual([null, null, null, 0]);
    expect(await codes(one.another(), message(1, three))).toEqual([51]);
    expect(await codes(one.another(), message(1, forAlice))).toEqual([null, 0]);
    expect(await codes(one.another(), message(1, forAlice))).toEqual([51]);
    expect(await codes(one, message(3, root))).toEqual([null, 0]);
    expect(one.events.filter(told)).toHaveLength(1);
    expect(JSON.stringify(one.events)).not.toContain('alice');
  });

  test('does so where nobody is found too, however many names are tried in one search', async () => {
    const one = await bounded(100);
    const names = (from: number) => Array.from({ length: 50 }, (_, i) => `name${from + i}@example.org`);
    const tries = (from: number) =>
      search({ filter: f.or(...names(from).map((each) => f.equal('mail', each))), attributes: ['1.1'] });
    expect(await codes(one, message(1, tries(0)))).toEqual([0]);
    expect(await codes(one, message(2, tries(50)))).toEqual([0]);
    expect(await codes(one.another(), message(1, forAlice))).toEqual([51]);
    expect(one.events.filter(told)).toHaveLength(1);
  });

  test('does so where names are tried on many connections at once', async () => {
    const one = await bounded(10);
    const clients = Array.from({ length: 20 }, () => one.another());
    const last = await Promise.all(
      clients.map(async (each) => (await codes(each, message(1, forAlice))).at(-1)),
    );
    expect(last.filter((code) => code === 0)).toHaveLength(10);
    expect(last.filter((code) => code === 51)).toHaveLength(10);
  });

  test('takes as much from one who looks for a name in many attributes as in one', async () => {
    const one = await bounded(1);
    const book = f.or(...['mail', 'cn', 'givenName', 'sn'].map((each) => f.like(each, '*alic*')));
    expect(await codes(one, message(1, search({ filter: book })))).toEqual([null, 0]);
  });
});

test('requests of ours are what they should be', () => {
  expect(text('a').toString('hex')).toBe('040161');
});
