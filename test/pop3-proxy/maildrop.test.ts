import { expect, test } from 'vitest';
import { limits } from '../../src/limits.ts';
import { Maildrop } from '../../src/pop3-proxy/maildrop.ts';

const { remembered } = limits.pop3;

test('attack: however many messages there are, a unique id never passes from one to another', () => {
  const maildrop = new Maildrop(false);
  maildrop.learnUidl('1 same');
  for (let message = 2; message <= remembered + 10; message++) maildrop.learnUidl(`${message} u${message}`);
  maildrop.learnUidl(`${remembered + 11} same`);
  expect(maildrop.name(1)).toEqual({ protocol: 'pop3', uidl: 'same' });
  expect(maildrop.name(remembered + 11)).toBeNull();
});

test('a message that is shown as it is stored stays so, however many come behind it', () => {
  const maildrop = new Maildrop(false);
  maildrop.learnKind(1, 'shell');
  maildrop.learnKind(1, 'identity');
  for (let message = 2; message <= remembered + 10; message++) maildrop.learnKind(message, 'shell');
  expect(maildrop.kind(1)).toBe('identity');
  expect(maildrop.kind(remembered + 10)).toBeNull();
});
