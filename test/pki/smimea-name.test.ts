import { describe, expect, test } from 'vitest';
import { smimeaName } from '../../src/pki/smimea-name.ts';

/** SHA-256 of "hugh", as RFC 7929 §3 has it for the same way of making names. */
const HUGH = 'c93f1e400f26708f98cb19d936620da35eec8f72e57f9eec01c1afd6';

describe('the name of an address in DNS (RFC 8162)', () => {
  test.each([
    ['hugh@example.com', `${HUGH}._smimecert.example.com`],
    ['hugh@EXAMPLE.com', `${HUGH}._smimecert.example.com`],
    ['"hugh"@example.com', `${HUGH}._smimecert.example.com`],
    ['"h\\ugh"@example.com', `${HUGH}._smimecert.example.com`],
    ['hugh@bücher.example', `${HUGH}._smimecert.xn--bcher-kva.example`],
  ])('of %s', (address, name) => {
    expect(smimeaName(address)).toBe(name);
  });

  test('knows letter case in the local part, and one form of a letter with an accent', () => {
    expect(smimeaName('Hugh@example.com')).not.toBe(smimeaName('hugh@example.com'));
    expect(smimeaName('jose\u0301@example.com')).toBe(smimeaName('jos\u00e9@example.com'));
  });

  test('is none where there is no address, or no room', () => {
    const long = `${'a'.repeat(60)}.`.repeat(3);
    expect(smimeaName('hugh')).toBeNull();
    expect(smimeaName(`hugh@${long}example`)).toBeNull();
    expect(smimeaName(`hugh@${long}`.slice(0, -1))).toHaveLength(56 + 12 + 182);
  });
});
