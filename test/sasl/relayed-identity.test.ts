import { expect, test } from 'vitest';
import { type RelayedMechanism, readRelayedIdentity } from '../../src/sasl/relayed-identity.ts';

function identity(mechanism: RelayedMechanism, text: string): string {
  const read = readRelayedIdentity(mechanism, Buffer.from(text, 'utf8'));
  return read.kind === 'relayed' ? read.login : `refused: ${read.reason}`;
}

test.each([
  ['a user', 'n,,n=alice@EXAMPLE.org,r=abc', 'alice@example.org'],
  ['a user of a client with channel binding', 'y,,n=alice,r=abc', 'alice'],
  ['coded signs', 'n,,n=a=2Cb=3Dc,r=abc', 'a,b=c'],
  ['letters beyond ASCII', 'n,,n=jürgen,r=abc', 'jürgen'],
  ['the same authorization identity', 'n,a=alice,n=alice,r=abc', 'alice'],
  ['extensions', 'n,,n=alice,r=abc,x=1', 'alice'],
  ['a master login, whole', 'n,,n=alice*master,r=abc', 'alice*master'],
  ['attack: another authorization identity', 'n,a=alice,n=mallory,r=abc', 'refused: on-behalf'],
  ['attack: two users', 'n,,n=alice,n=bob,r=abc', 'refused: malformed'],
  ['attack: a user behind the nonce', 'n,,n=alice,r=abc,n=', 'refused: malformed'],
  ['attack: a second user as an extension', 'n,,n=alice,r=abc,n=mallory', 'refused: malformed'],
  ['attack: and behind another one', 'n,,n=alice,r=abc,x=1,N=mallory', 'refused: malformed'],
  ['attack: an authorization identity as an extension', 'n,,n=alice,r=abc,a=mallory', 'refused: malformed'],
  ['attack: a second nonce', 'n,,n=alice,r=abc,r=def', 'refused: malformed'],
  ['channel binding', 'p=tls-unique,,n=alice,r=abc', 'refused: malformed'],
  ['a mandatory extension', 'n,,m=x,n=alice,r=abc', 'refused: malformed'],
  ['nobody', 'n,,n=,r=abc', 'refused: no-identity'],
  ['an unfinished code', 'n,,n=a=2,r=abc', 'refused: malformed'],
  ['a NUL', 'n,,n=ali\0ce,r=abc', 'refused: malformed'],
  ['no nonce', 'n,,n=alice', 'refused: malformed'],
  ['letters in decomposed form', 'n,,n=ju\u0308rgen,r=abc', 'refused: malformed'],
])('SCRAM: %s', (_what, text, expected) => {
  expect(identity('SCRAM-SHA-256', text)).toBe(expected);
});

test.each([
  ['a user', `alice@EXAMPLE.org ${'0'.repeat(32)}`, 'alice@example.org'],
  ['a user with a blank', `alice b ${'0'.repeat(32)}`, 'alice b'],
  ['a short digest', `alice ${'0'.repeat(31)}`, 'refused: malformed'],
  ['capital digits', `alice ${'A'.repeat(32)}`, 'refused: malformed'],
  ['nobody', ` ${'0'.repeat(32)}`, 'refused: malformed'],
  ['a line end', `alice\r\n ${'0'.repeat(32)}`, 'refused: malformed'],
])('CRAM-MD5: %s', (_what, text, expected) => {
  expect(identity('CRAM-MD5', text)).toBe(expected);
});
