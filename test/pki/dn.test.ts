import { describe, expect, test } from 'vitest';
import { parseDn, relativeDn } from '../../src/pki/dn.ts';

describe('distinguished names', () => {
  test.each<[string, string]>([
    ['a#b', 'mail=a#b'],
    ['#a', 'mail=\\#a'],
    [' ', 'mail=\\ '],
    [' a ', 'mail=\\ a\\ '],
    ['a\\', 'mail=a\\\\'],
    ['a,b+c="d"', 'mail=a\\,b\\+c\\=\\"d\\"'],
    ['a\nb\0', 'mail=a\\0ab\\00'],
  ])('%j is written as one value, and read as one (RFC 4514 §2.4)', (value, written) => {
    expect(relativeDn('mail', value)).toBe(written);
    expect(parseDn(`${written},dc=x`)).toEqual([parseDn(written)?.[0], 'dc=x']);
  });

  test('are the same without regard to letter case, blanks, escapes, names of attributes and their order', () => {
    const one = parseDn('CN=Alice  Able+mail=a@x,DC=Example');
    expect(
      parseDn(' rfc822Mailbox = A\\40x + commonName=\\41lice able , 0.9.2342.19200300.100.1.25=example'),
    ).toEqual(one);
  });

  test.each(['x', 'dc', '=x', 'dc=x,', 'dc=#04024869', 'dc=x;dc=y', 'dc=<x>', 'dc=\\zz', 'dc=\\ff', 'd c=x'])(
    '%s is none',
    (text) => {
      expect(parseDn(text)).toBeNull();
    },
  );
});
