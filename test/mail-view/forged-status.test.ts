import { expect, test } from 'vitest';
import { HeaderCleaner, withoutForgedStatus } from '../../src/mail-view/forged-status.ts';
import { viewNames } from '../../src/mail-view/view-names.ts';

const names = viewNames('7f3a9c2e', 'gw.example.net');

function cleaned(text: string): string {
  const before = Buffer.from(text, 'latin1');
  const after = withoutForgedStatus(before, names);
  expect(after.length).toBe(before.length);
  return after.toString('latin1');
}

test('a header without our id is the same buffer', () => {
  const header = Buffer.from('Subject: x\r\n\r\n');
  expect(withoutForgedStatus(header, names)).toBe(header);
});

test('attack: forged status fields lose our id, in any case, folded, behind a lone CR, as quoted pairs', () => {
  expect(cleaned('X-Sealgate-7f3a9c2e-Status: v=1\r\n')).toBe('X-Sealgate-7f3a9c2--Status: v=1\r\n');
  expect(cleaned('a: b\r\nx-SEALGATE-7F3A9C2E-status : v=1\r\n')).toMatch(/\nx-SEALGATE-7F3A9C2--/);
  const result = 'Authentication-Results:\r\n sealgate-7F3A9C2E.gw; smime=pass\r\n';
  expect(cleaned(result)).toBe(result.replace('2E', '2-'));
  expect(cleaned('A: b\rAuthentication-Results: sealgate-7f3a9c2e; smime=pass\r\n')).toContain('9c2-;');
  expect(cleaned('Authentication-Results: "sealgate-7f3\\a9c\\2e.gw"; smime=pass\r\n')).toContain('c\\2-.gw');
});

test('attack: wherever a header is cut into pieces, the pieces together are what the whole would be', () => {
  const header =
    'A: b\r\nX-Sealgate-7f3a9c2e-Status: v=1\r\nAuthentication-Results:\r\n "sealgate-7f\\3a9c2e.gw"; a=pass\r\n\r\n';
  const octets = Buffer.from(`${header}X-Sealgate-7f3a9c2e-Status: in the body\r\n`, 'latin1');
  const whole = cleaned(octets.toString('latin1'));
  expect(whole).toMatch(/X-Sealgate-7f3a9c2e-Status: in the body\r\n$/);
  expect(whole.slice(0, header.length)).not.toMatch(/7f\\?3a9c2e/);
  for (let first = 0; first <= octets.length; first++) {
    for (const second of [first + 1, first + 7]) {
      const cleaner = new HeaderCleaner(names);
      const pieces = [octets.subarray(0, first), octets.subarray(first, second), octets.subarray(second)];
      const together = Buffer.concat(pieces.map((piece) => cleaner.clean(piece)));
      expect(together.toString('latin1')).toBe(whole);
      expect(cleaner.ended).toBe(true);
    }
  }
});

test('the header ends where servers say it does: an empty line, CRLF or LF, not a lone CR', () => {
  for (const [text, ended] of [
    ['a: b\r\n\r\n', true],
    ['a: b\n\n', true],
    ['a: b\n\r\n', true],
    ['\r\n', true],
    ['a: b\r\r\n', false],
    ['a: b\r\n\r', false],
    ['a: b\r\n\r\r\n', false],
  ] as const) {
    const cleaner = new HeaderCleaner(names);
    cleaner.clean(Buffer.from(text));
    expect([text, cleaner.ended]).toEqual([text, ended]);
  }
});

test('other fields that mention the id, and results of other servers, stay', () => {
  const text = 'Subject: about 7f3a9c2e\r\nAuthentication-Results: mx.example.com; spf=pass\r\n';
  expect(cleaned(text)).toBe(text);
});
