import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { namesAnotherAddress, readAddresses, readFrom } from '../../src/mail/address.ts';
import { readMessage } from '../../src/mail/entity-tree.ts';

function from(...lines: string[]) {
  return readFrom(readMessage(Buffer.from(`${lines.join('\r\n')}\r\n\r\n`)).root.fields);
}

function addresses(value: string): string[] {
  return readAddresses(Buffer.from(value).toString('latin1')).map((each) => each.address);
}

describe('address lists (RFC 5322 §3.4)', () => {
  it.each([
    ['john.doe@example.org', ['john.doe@example.org']],
    ['John Doe <jdoe@machine.example>', ['jdoe@machine.example']],
    ['"Joe Q. Public" <john.q.public@example.com>', ['john.q.public@example.com']],
    ['Who? <one@y.test>', ['one@y.test']],
    [
      'Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>',
      ['mary@x.test', 'jdoe@example.org', 'one@y.test'],
    ],
    [
      'A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;',
      ['c@a.test', 'joe@where.test', 'jdoe@one.test'],
    ],
    ['Undisclosed recipients:;', []],
    ['"Giant; \\"Big\\" Box" <sysservices@example.net>', ['sysservices@example.net']],
    ['Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>', ['pete@silly.test']],
    ['joe@[192.0.2.1]', ['joe@[192.0.2.1]']],
    ['Joe Q. Public <john@example.com>', ['john@example.com']],
    ['"john.doe"@example.com', ['john.doe@example.com']],
    ['"a b"@example.com', ['"a b"@example.com']],
    ['<>@example.com', null],
    ['Jürgen <jürgen@dömäin.example>', ['jürgen@dömäin.example']],
    ['<@route.example:joe@example.com>', null],
    ['@route.example,@b.example:joe@example.com', null],
    ['a@b.example,,c@d.example', null],
    ['a@b@c.example', null],
    ['a@b.example c@d.example', null],
    ['a.@b.example', null],
    ['a..b@b.example', null],
    ['a@b..example', null],
    ['a@.example', null],
    ['a b@c.example', null],
    ['joe@example.com (unended', null],
    ['"unended <joe@example.com>', null],
    ['<joe@example.com', null],
    ['joe@example.com>', null],
    ['joe', null],
    ['', null],
    ['jo\0e@example.com', null],
    ['joe@example.com\0@evil.example', null],
    ['joe\u202e@example.com', null],
    ['joe\u200b@example.com', null],
  ])('%j', (value, expected) => {
    if (expected === null) expect(() => addresses(value)).toThrow(SealgateError);
    else expect(addresses(value)).toEqual(expected);
  });

  it('keeps the name, decoded, and the group', () => {
    expect(readAddresses('Friends: =?utf-8?Q?J=C3=BCrgen?= =?utf-8?B?IE0u?= <j@x.test>;')).toEqual([
      { displayName: 'Jürgen M.', localPart: 'j', domain: 'x.test', address: 'j@x.test', group: 'Friends' },
    ]);
  });

  it('refuses octets that are not UTF-8', () => {
    expect(() => readAddresses('J\xfcrgen <j@x.test>')).toThrow(SealgateError);
  });

  it('either reads or refuses whatever comes, and what it read it reads again', () => {
    const piece = fc.constantFrom(
      '<',
      '>',
      '@',
      ',',
      ':',
      ';',
      '(',
      ')',
      '"',
      '\\',
      '.',
      ' ',
      'a',
      'x.test',
      'é',
      '\0',
      '=?',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
        let read: readonly { address: string }[];
        try {
          read = readAddresses(Buffer.from(pieces.join('')).toString('latin1'));
        } catch (error) {
          expect(error).toBeInstanceOf(SealgateError);
          return;
        }
        for (const { address } of read) expect(addresses(address)).toEqual([address]);
      }),
      { numRuns: 2_000 },
    );
  });

  it('stays quick on nested comments and long input', () => {
    expect(() => addresses('('.repeat(100_000))).toThrow(SealgateError);
    expect(() => addresses('"\\"'.repeat(50_000))).toThrow(SealgateError);
    expect(() => addresses(`${'a.'.repeat(50_000)}@x.test`)).toThrow(SealgateError);
  });
});

describe('who a message is from', () => {
  it.each(['a', 'a@', '=?a?b?', '=?a?b?x?= ', '\\"'])(
    'is found in time in a long name made of %j',
    (piece) => {
      const found = from(`From: "${piece.repeat(Math.floor(200_000 / piece.length))}" <a@x.test>`);
      if (found.kind === 'one') expect(namesAnotherAddress(found.address)).toBe(piece === 'a@');
      else expect(found.kind).toBe('malformed');
    },
  );

  it('is one address', () => {
    expect(from('From: "Alice" <alice@example.com>')).toMatchObject({
      kind: 'one',
      address: { address: 'alice@example.com', displayName: 'Alice' },
    });
  });

  it.each([
    ['no From', ['Sender: a@x.test'], 'none'],
    ['two From fields', ['From: a@x.test', 'From: b@x.test'], 'duplicate'],
    ['two equal From fields', ['From: a@x.test', 'fRoM: a@x.test'], 'duplicate'],
    ['two authors', ['From: a@x.test, b@x.test'], 'several'],
    ['a group (RFC 6854)', ['From: G: a@x.test;'], 'malformed'],
    ['an empty group', ['From: G:;'], 'malformed'],
    ['an empty field', ['From: '], 'malformed'],
    ['a blank before the colon', ['From: a@x.test', 'From : b@x.test'], 'malformed'],
    ['a blank before the colon alone', ['From : b@x.test'], 'malformed'],
    ['a folded line that begins the header', [' From: b@x.test', 'From: a@x.test'], 'malformed'],
    ['a NUL', ['From: a@x.test\0'], 'malformed'],
    ['a lone CR', ['From: a@x.test\rFrom: b@x.test'], 'malformed'],
    [
      'an encoded word as local part (Mailsploit)',
      ['From: =?utf-8?Q?victim=40good.test=00?=@evil.test'],
      'malformed',
    ],
    ['an address in the comment', ['From: victim@good.test (<evil@evil.test>)'], 'malformed'],
    ['a quoted local part with an address', ['From: "victim@good.test>"@evil.test'], 'malformed'],
    ['a route', ['From: <@good.test:evil@evil.test>'], 'malformed'],
    ['two addresses in brackets', ['From: <victim@good.test> <evil@evil.test>'], 'malformed'],
    ['an address before the brackets', ['From: victim@good.test <evil@evil.test>'], 'malformed'],
    ['a domain literal', ['From: a@[192.0.2.1]'], 'malformed'],
  ])('%s', (_, lines, kind) => {
    expect(from(...lines).kind).toBe(kind);
  });

  it('survives folding, comments and UTF-8', () => {
    expect(from('From: Alice', ' (at home)', '\t<alice@example.com>')).toMatchObject({
      address: { address: 'alice@example.com' },
    });
    expect(from('From: Jürgen <jürgen@example.com>')).toMatchObject({
      address: { address: 'jürgen@example.com' },
    });
  });

  it.each([
    ['"victim@good.test" <evil@evil.test>', true],
    ['=?utf-8?Q?victim=40good.test?= <evil@evil.test>', true],
    ['=?utf-8?B?dmljdGltQGdvb2Q=?= =?utf-8?Q?.test?= <evil@evil.test>', true],
    ['"victim＠good.test" <evil@evil.test>', true],
    ['"Victim <victim@good.test>" <evil@evil.test>', true],
    ['"evil@evil.test" <Evil@evil.test>', false],
    ['"R & D @ Home" <evil@evil.test>', false],
    ['Alice <evil@evil.test>', false],
    ['evil@evil.test', false],
  ])('sees whether the name %s shows another address', (value, expected) => {
    const found = from(`From: ${value}`);
    if (found.kind !== 'one') throw new Error(found.kind);
    expect(namesAnotherAddress(found.address)).toBe(expected);
  });
});
