import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readFields, readTarget } from '../../src/http/target.ts';
import { limits } from '../../src/limits.ts';

describe('the target of a request', () => {
  test.each([
    ['/', []],
    ['/held', ['held']],
    ['/held/abc-_.~123', ['held', 'abc-_.~123']],
    ['/a%20b/%C3%A9', ['a b', 'é']],
  ])('%s is read', (target, segments) => {
    expect(readTarget(target)).toEqual({ segments, query: [] });
  });

  test.each([
    '',
    'held',
    '*',
    'http://evil.example/held',
    '//evil.example',
    '/held/',
    '/held//x',
    '/../etc/passwd',
    '/held/..',
    '/held/.',
    '/held/%2e%2e/x',
    '/held/%2E',
    '/held/a%2Fb',
    '/held/a%5Cb',
    '/held/a\\b',
    '/held/%00',
    '/held/a%0D%0Ab',
    '/held/%',
    '/held/%zz',
    '/held/%C3',
    '/held/%C0%AE',
    '/held/é',
    '/held x',
    '/held#x',
    '/held/<x>',
    '/held?x=%ff',
  ])('attack: %j is refused', (target) => {
    expect(readTarget(target)).toBeNull();
  });

  test('what is read is read alike by the URL standard, and has no way out', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'/.%2eEfF5cC0?&=+aé\\:@ \r\n\0') }), (text) => {
        const read = readTarget(`/${text}`);
        if (read === null) return;
        const url = new URL(`/${text}`, 'http://host.example');
        expect(url.host).toBe('host.example');
        expect(`/${read.segments.map(encodeURIComponent).join('/')}`).toBe(
          `/${url.pathname
            .slice(1)
            .split('/')
            .map((part) => encodeURIComponent(decodeURIComponent(part)))
            .join('/')}`,
        );
      }),
    );
  });
});

describe('fields', () => {
  test('are read as the URL standard reads them', () => {
    const text = 'email=a%40b.example&choice=send+signed&x&y=&choice=2&%C3%A9=%2B';
    expect(readFields(text)).toEqual([...new URLSearchParams(text)]);
  });

  test.each(['a=%', 'a=%e', 'a=%ff', '%c3=a'])('attack: %j is refused', (text) => {
    expect(readFields(text)).toBeNull();
  });

  test('attack: more fields than there may be are refused', () => {
    const of = (count: number) => Array.from({ length: count }, () => 'a=b').join('&');
    expect(readFields(of(limits.http.fields))).toHaveLength(limits.http.fields);
    expect(readFields(of(limits.http.fields + 1))).toBeNull();
  });

  test('written by a browser, read as they were', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' })), {
          minLength: 1,
          maxLength: 9,
        }),
        (pairs) => {
          expect(readFields(new URLSearchParams(pairs).toString())).toEqual(pairs);
        },
      ),
    );
  });
});
