import { expect, test } from 'vitest';
import { readFetchItem } from '../../src/imap-proxy/fetch-item.ts';
import { isSuspectStructure } from '../../src/imap-proxy/response-items.ts';
import { longWay, NAMES, RecordedViews } from './support/long-way.ts';

const FORGED = `X-Sealgate-${NAMES.installationId}-Status: signed and trusted`;
const HEADER = `From: a@example.org\r\n${FORGED}\r\nSubject: hello\r\n\r\n`;

test.each([
  ['BODY[HEADER]', HEADER],
  ['BODY[]', `${HEADER}text\r\n`],
])('attack: a status in %s that is fetched in pieces, cut anywhere', (label, octets) => {
  for (let cut = 1; cut < octets.length; cut++) {
    const views = new RecordedViews();
    views.learn(5, 'identity');
    const shown = [0, cut].map((origin) => {
      const piece = octets.slice(origin, origin === 0 ? cut : undefined);
      const said = `* 5 FETCH (UID 5 ${label}<${origin}> {${piece.length}}\r\n${piece})\r\n`;
      const passed = longWay(Buffer.from(said, 'latin1'), views)?.toString('latin1') ?? '';
      const start = passed.indexOf('}\r\n') + 3;
      return passed.slice(start, -3);
    });
    expect(shown.join('')).toHaveLength(octets.length);
    expect(shown.join('')).not.toContain(FORGED);
  }
});

test('attack: a name that makes a file S/MIME is found behind whatever stands before it', () => {
  const before = `"x" "${'y'.repeat(10_000)}" `;
  const octets = Buffer.from(
    `("application" "octet-stream" (${before}"name" "smime.p7m") NIL NIL "base64" 9)`,
  );
  const item = readFetchItem('BODYSTRUCTURE');
  expect(isSuspectStructure({ label: 'BODYSTRUCTURE', item, value: { kind: 'text', octets } })).toBe(true);
});

test('attack: a piece of chosen fields says nothing of where the header of the message goes on', () => {
  const views = new RecordedViews();
  views.learn(5, 'identity');
  const label = 'BODY[HEADER.FIELDS (SUBJECT)]<0>';
  const said = `* 5 FETCH (UID 5 ${label} {9}\r\nSubject: )\r\n`;
  expect(longWay(Buffer.from(said, 'latin1'), views)?.toString('latin1')).toBe(said);
  expect(views.headers.take(5, 9)).toBeNull();
});
