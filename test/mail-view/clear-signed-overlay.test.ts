import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readHeader } from '../../src/mail/header.ts';
import { isTraceField, overlaidHeader } from '../../src/mail-view/clear-signed-overlay.ts';
import { viewNames } from '../../src/mail-view/view-names.ts';

const names = viewNames('7f3a9c2e', 'gw.example.net');
const status = `Authentication-Results: ${names.authservId};\r\n smime=pass\r\n${names.statusField}: v=1\r\n`;
test('the size stays, whatever trace there is, and other fields stay what they were', () => {
  const value = fc.array(fc.constantFrom('a', ' b', '\r\n c', '"'), { maxLength: 60 }).map((x) => x.join(''));
  const name = fc.constantFrom(
    'Received',
    'X-Received',
    'ARC-Seal',
    'X-MS-Exchange-Foo',
    'Subject',
    'DKIM-Signature',
    'From',
    'Content-Type',
  );
  let some = 0;
  fc.assert(
    fc.property(fc.array(fc.tuple(name, value), { maxLength: 12 }), (list) => {
      const header = Buffer.from(`${list.map(([n, v]) => `${n}: x${v}\r\n`).join('')}\r\n`);
      const over = overlaidHeader(header, status, names);
      if (over === null) return;
      some++;
      expect(over.length).toBe(header.length);
      expect(
        over
          .toString()
          .split('\r\n')
          .every((l) => l.length <= 78 || header.includes(l)),
      ).toBe(true);
      expect(over.toString()).not.toMatch(/\r\n[ \t]*\r\n./);
      const rest = (h: Buffer) =>
        readHeader(h, 0, h.length)
          .fields.filter(
            (f) =>
              !isTraceField(f.name.toLowerCase()) && !/^(x-sealgate|authentication-results)/i.test(f.name),
          )
          .map((f) => h.toString('latin1', f.range.start, f.range.end));
      expect(rest(over)).toEqual(rest(header));
    }),
    { numRuns: 3000 },
  );
  expect(some).toBeGreaterThan(100);
});
test('exact room for every length of the filler', () => {
  for (let n = 1; n < 500; n++) {
    const header = Buffer.from(`Received: ${'x'.repeat(status.length + n)}\r\n\r\n`);
    const over = overlaidHeader(header, status, names);
    if (over !== null) expect(over.length).toBe(header.length);
  }
});

test('attack: a header that begins with a blank continues no field of ours', () => {
  for (const begin of [' sig=valid\r\n', '\t\r\n', ' \n']) {
    const header = `Received: ${'x'.repeat(1_000)}\r\n\r\n`;
    expect(overlaidHeader(Buffer.from(header), status, names)).not.toBeNull();
    expect(overlaidHeader(Buffer.from(begin + header), status, names)).toBeNull();
  }
});
