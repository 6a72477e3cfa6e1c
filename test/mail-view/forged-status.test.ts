import { expect, test } from 'vitest';
import { withoutForgedStatus } from '../../src/mail-view/forged-status.ts';
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

test('attack: forged status fields lose their names, in any case, folded, or behind a lone CR', () => {
  expect(cleaned('X-Sealgate-7f3a9c2e-Status: v=1\r\n')).toBe('Z-Sealgate-7f3a9c2e-Status: v=1\r\n');
  expect(cleaned('a: b\r\nx-SEALGATE-7F3A9C2E-status : v=1\r\n')).toMatch(/\nZ-SEALGATE/);
  expect(cleaned('Authentication-Results:\r\n sealgate-7F3A9C2E.gw; smime=pass\r\n')).toMatch(/^Xuth/);
  expect(cleaned('A: b\rAuthentication-Results: sealgate-7f3a9c2e; smime=pass\r\n')).toMatch(/\rXuth/);
});

test('other fields that mention the id, and results of other servers, stay', () => {
  const text = 'Subject: about 7f3a9c2e\r\nAuthentication-Results: mx.example.com; spf=pass\r\n';
  expect(cleaned(text)).toBe(text);
});
