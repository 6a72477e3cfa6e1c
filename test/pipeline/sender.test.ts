import { describe, expect, it } from 'vitest';
import { readMessage } from '../../src/mail/entity-tree.ts';
import { comparable, senderOf } from '../../src/pipeline/sender.ts';
import { mail } from './support/ports.ts';

function senderIn(...fields: readonly string[]) {
  return senderOf(readMessage(mail(fields)).root.fields);
}

describe('the one From address', () => {
  it.each([
    ['From: alice@example.org', 'alice@example.org'],
    ['From: "Alice, at home" <alice@example.org>', 'alice@example.org'],
    ['FROM: Alice\r\n <alice@EXAMPLE.org>', 'alice@example.org'],
    // The local part is exact (RFC 5321 §2.4).
    ['From: Alice@example.org', 'Alice@example.org'],
    ['From: "alice"@example.org', 'alice@example.org'],
    // RFC 6532: UTF-8 in local part and domain.
    ['From: jürgen@bücher.example', 'jürgen@xn--bcher-kva.example'],
    ['From: 用户 <用户@example.org>', '用户@example.org'],
  ])('%s', (field, address) => {
    expect(senderIn(field)).toEqual({ from: address, sender: null });
  });

  it.each([
    ['none', ['To: bob@example.org']],
    ['an empty one', ['From:']],
    ['two fields', ['From: alice@example.org', 'From: alice@example.org']],
    ['two addresses', ['From: alice@example.org, bob@example.org']],
    ['a group (RFC 6854 would allow it)', ['From: Team: alice@example.org;']],
    ['an empty group', ['From: undisclosed:;']],
    ['a route', ['From: <@relay.example:alice@example.org>']],
    ['a second From for lenient clients', ['From: alice@example.org', 'From : bob@example.org']],
    ['an address in a comment', ['From: alice@example.org (bob@example.org)']],
    ['an encoded word in the local part', ['From: =?utf-8?q?bob=40example.com=3E?=@example.org']],
  ])('is null for %s', (_, fields) => {
    expect(senderIn(...fields).from).toBeNull();
  });
});

describe('octets', () => {
  it('that are no UTF-8 are no address', () => {
    const octets = Buffer.from('From: j\xfcrgen@example.org\r\n\r\n', 'latin1');
    expect(senderOf(readMessage(octets).root.fields).from).toBeNull();
  });
});

describe('the Sender address', () => {
  const FROM = 'From: alice@example.org';
  it.each([
    ['none', [], null],
    ['one', ['Sender: Bob <bob@EXAMPLE.org>'], 'bob@example.org'],
    ['two fields', ['Sender: alice@example.org', 'Sender: alice@example.org'], ''],
    ['two addresses', ['Sender: alice@example.org, bob@example.org'], ''],
    ['a group', ['Sender: Team: alice@example.org;'], ''],
    ['an unreadable one', ['Sender: <<'], ''],
    ['an empty one', ['Sender: '], ''],
    ['one that only lenient clients see', ['Sender : bob@example.org'], ''],
  ])('%s', (_, fields, sender) => {
    expect(senderIn(FROM, ...fields)).toEqual({ from: 'alice@example.org', sender });
  });
});

describe('the one spelling of a mailbox', () => {
  it.each([
    ['alice', 'EXAMPLE.org', 'alice@example.org'],
    ['"alice"', 'example.org', 'alice@example.org'],
    ['"al\\ice"', 'example.org', 'alice@example.org'],
    ['"a b"', 'example.org', '"a b"@example.org'],
    ['"a\\"b"', 'example.org', '"a\\"b"@example.org'],
    ['"a\\b c"', 'example.org', '"ab c"@example.org'],
    ['"a@b"', 'example.org', '"a@b"@example.org'],
    ['""', 'example.org', '""@example.org'],
    ['".a"', 'example.org', '".a"@example.org'],
    ['alice', '[192.0.2.1]', 'alice@[192.0.2.1]'],
    ['alice', 'Bücher.example', 'alice@xn--bcher-kva.example'],
    ['Postmaster', '', 'Postmaster@'],
  ])('%s at %s', (localPart, domain, text) => {
    expect(comparable({ localPart, domain })).toBe(text);
  });
});
