import { describe, expect, test } from 'vitest';
import { absentToken } from '../../../src/hsm/process/token-words.ts';
import type { TokenSelector } from '../../../src/hsm/source-kinds.ts';

const ANY: TokenSelector = { label: null, serial: null, model: null, manufacturer: null, reader: null };
const BOB = { label: 'BOB', serial: '22' };

describe('a card that is not there, to its person', () => {
  test.each<[string, Partial<TokenSelector>, string | null, RegExp]>([
    ['any card, never seen', {}, null, /^No card is in the reader; insert it and try again\./],
    ['any card, seen before', {}, 'ALICE', /^The card “ALICE” is not in the reader; insert it/],
    ['by its label', { label: 'ALICE' }, 'ALICE', /^The card “ALICE” is not in the reader; insert it/],
    [
      'by its label, never seen',
      { label: 'ALICE' },
      null,
      /^The card “ALICE” is not in the reader; insert it/,
    ],
    ['by its number', { serial: '11' }, 'ALICE', /^The card “ALICE” with serial “11” is not in the reader;/],
    ['in a reader', { reader: 'R 0' }, null, /^No card is in the reader “R 0”; insert it/],
  ])('%s: insert it', (_, selector, last, sentence) => {
    expect(absentToken({ ...ANY, ...selector }, [], { last })).toMatch(sentence);
  });

  test('another one is in the reader: both are named', () => {
    expect(absentToken({ ...ANY, serial: '11' }, [BOB], { last: 'ALICE' })).toBe(
      'The card “ALICE” with serial “11” is not in the reader, but there is “BOB” (serial 22); insert the right one and try again.',
    );
  });

  test('what cards call themselves does nothing to the sentence', () => {
    const sentence = absentToken(ANY, [{ label: 'A\r\nB\u202e', serial: '\u0007' }], { last: 'C\u001b[2J' });
    expect(sentence).not.toMatch(/\p{C}/u);
  });
});

test('a token that is always there is plugged in and served, and not inserted by a mail user', () => {
  expect(absentToken({ ...ANY, label: 'hsm' }, [], null)).toBe(
    'The token with label “hsm” is not there; no token is, so check that it is plugged in or its service runs.',
  );
  expect(absentToken({ ...ANY, label: 'hsm' }, [BOB], null)).toContain('there are: “BOB” (serial 22)');
});
