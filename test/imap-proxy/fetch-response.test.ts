import { expect, test } from 'vitest';
import { readFetchItem } from '../../src/imap-proxy/fetch-item.ts';
import {
  choosingModifiers,
  FetchItems,
  planFetch,
  readFetchCommand,
  withUid,
} from '../../src/imap-proxy/fetch-plan.ts';
import { FetchResponseReader } from '../../src/imap-proxy/fetch-response.ts';
import { Framer } from '../../src/imap-proxy/framer.ts';
import { viewNames } from '../../src/mail-view/view-names.ts';

const names = viewNames('7f3a9c2e', 'gw.example.net');

/** Items as `label=value`; literals as `{size}`. null: not in the grammar. */
function read(response: string): string[] | null {
  const framer = new Framer('server', 1_000_000);
  framer.push(Buffer.from(response, 'latin1'));
  const reader = new FetchResponseReader(new FetchItems(names));
  for (let event = framer.next(); event !== null; event = framer.next()) {
    if (event.type === 'literal') {
      if (reader.nested) reader.nestedLiteral(event.octets);
      continue;
    }
    const at = event.first ? '* 1 FETCH '.length : 0;
    if (reader.line(event.octets.subarray(at), event.literal, event.first) === false) return null;
  }
  expect(reader.ended).toBe(true);
  return reader.items.map(
    ({ label, value }) =>
      `${label}=${value.kind === 'text' ? value.octets.toString('latin1') : `{${value.size}}`}`,
  );
}

test('items of every kind, in any order', () => {
  expect(
    read(
      '* 1 FETCH (FLAGS (\\Seen $X) UID 7 RFC822.SIZE 3 INTERNALDATE "a ) b" BODY[HEADER.FIELDS (From "To")] {3}\r\na)b' +
        ' BODY[]<0> {2}\r\nxy BODY[1.2.MIME] NIL ENVELOPE ("d" {4}\r\n(")" ((NIL NIL "a" "b")) NIL) BODY[TEXT] "q\\"x)" MODSEQ (5))\r\n',
    ),
  ).toEqual([
    'FLAGS=(\\Seen $X)',
    'UID=7',
    'RFC822.SIZE=3',
    'INTERNALDATE="a ) b"',
    'BODY[HEADER.FIELDS (From "To")]={3}',
    'BODY[]<0>={2}',
    'BODY[1.2.MIME]=NIL',
    'ENVELOPE=("d" {4}\r\n(")" ((NIL NIL "a" "b")) NIL)',
    'BODY[TEXT]="q\\"x)"',
    'MODSEQ=(5)',
  ]);
});

test.each([
  '* 1 FETCH UID 7\r\n',
  '* 1 FETCH (UID)\r\n',
  '* 1 FETCH (UID 7\r\n',
  '* 1 FETCH (UID 7) \r\n',
  '* 1 FETCH (FLAGS (a)\r\n',
  '* 1 FETCH (X "unfinished)\r\n',
  '* 1 FETCH (BODY[HEADER 7)\r\n',
])('not in the grammar: %j', (response) => {
  expect(read(response)).toBeNull();
});

test('item labels', () => {
  expect(readFetchItem('body.peek[1.2.header.fields.not (a "b c")]<5.10>')).toEqual({
    kind: 'section',
    section: {
      kind: 'part',
      path: [1, 2],
      text: { kind: 'fields', names: new Set(['a', 'b c']), not: true },
    },
    partial: { origin: 5, count: 10 },
  });
  expect(readFetchItem('BINARY[1]x')).toEqual({ kind: 'unknown' });
  expect(readFetchItem('BODY[0]')).toEqual({ kind: 'unknown' });
});

test.each<[string, boolean, { classifyFirst: boolean; alone: boolean }]>([
  ['1:* (UID FLAGS RFC822.SIZE ENVELOPE)', false, { classifyFirst: false, alone: false }],
  [
    '1:* (FLAGS BODY.PEEK[HEADER.FIELDS (From Subject X-TUID)])',
    false,
    { classifyFirst: false, alone: false },
  ],
  ['1:* (UID BODY.PEEK[HEADER.FIELDS (From Content-Type)])', false, { classifyFirst: false, alone: false }],
  ['7 (BODY.PEEK[])', true, { classifyFirst: false, alone: false }],
  ['7 (BODY.PEEK[] BODYSTRUCTURE)', true, { classifyFirst: false, alone: false }],
  ['7 (BODY.PEEK[])', false, { classifyFirst: false, alone: false }],
  ['7 RFC822', false, { classifyFirst: false, alone: false }],
  ['7 (UID BODYSTRUCTURE)', false, { classifyFirst: false, alone: true }],
  ['7 FULL', true, { classifyFirst: false, alone: true }],
  ['7 ALL', false, { classifyFirst: false, alone: false }],
  ['7 BODY.PEEK[]<0.65536>', true, { classifyFirst: true, alone: true }],
  ['7 BODY.PEEK[HEADER.FIELDS (Content-Disposition)]', true, { classifyFirst: true, alone: true }],
  ['7 (UID BODY.PEEK[HEADER.FIELDS (Authentication-Results)])', false, { classifyFirst: true, alone: true }],
  ['7 BODY.PEEK[1]', true, { classifyFirst: true, alone: true }],
  ['7 BINARY.PEEK[1]', true, { classifyFirst: true, alone: true }],
  ['7 (UID BINARY.SIZE[1])', true, { classifyFirst: true, alone: true }],
  ['7 PREVIEW (LAZY)', true, { classifyFirst: true, alone: true }],
  [
    '7 (PREVIEW (LAZY) BODY.PEEK[HEADER.FIELDS (Content-Type)])',
    true,
    { classifyFirst: false, alone: false },
  ],
  ['$ (BODYSTRUCTURE)', true, { classifyFirst: false, alone: true }],
])('plan for FETCH %s', (argument, byUid, expected) => {
  const command = readFetchCommand(byUid, argument);
  expect(command).not.toBeNull();
  expect(planFetch(command, names)).toMatchObject(expected);
});

test.each([
  ['1:* (FLAGS BODY.PEEK[1])', '1:* (UID FLAGS BODY.PEEK[1])'],
  ['7 ALL', '7 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)'],
  ['7 full', '7 (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY)'],
  ['7 RFC822.SIZE', '7 (UID RFC822.SIZE)'],
  ['7 PREVIEW (lazy)', '7 (UID PREVIEW (lazy))'],
  ['1:9 ENVELOPE (CHANGEDSINCE 12)', '1:9 (UID ENVELOPE) (CHANGEDSINCE 12)'],
  ['7 BODY.PEEK[HEADER.FIELDS (To "a b")]<0.5>', '7 (UID BODY.PEEK[HEADER.FIELDS (To "a b")]<0.5>)'],
])('UID is added to FETCH %s', (argument, expected) => {
  const command = readFetchCommand(false, argument);
  expect(command === null ? null : withUid(command)).toBe(expected);
  expect(planFetch(command, names).addUid).toBe(true);
});

test.each(['7 (FLAGS)', '7 (UID ENVELOPE)', '7 (FLAGS MODSEQ) (CHANGEDSINCE 3)'])(
  'UID is not added to FETCH %s',
  (argument) => {
    const plan = planFetch(readFetchCommand(false, argument), names);
    expect(plan.addUid).toBe(false);
  },
);

test.each(['7 (FLAGS', '7 (FLAGS))', '7 (FLAGS) x', '7 (FLAGS)(X)', '7 PREVIEW (LAZY', 'x (FLAGS)', '7 '])(
  'not in the grammar: FETCH %s',
  (argument) => {
    expect(readFetchCommand(true, argument)).toBeNull();
  },
);

test('modifiers that choose messages go with every FETCH of the same ones, those that report do not', () => {
  const command = readFetchCommand(true, '1:* (FLAGS BODY.PEEK[1]) (CHANGEDSINCE 12 VANISHED)');
  expect(command === null ? null : choosingModifiers(command)).toBe(' (CHANGEDSINCE 12)');
  const partial = readFetchCommand(true, '1:* PREVIEW (PARTIAL -1:-100)');
  expect(partial === null ? null : choosingModifiers(partial)).toBe(' (PARTIAL -1:-100)');
});

test.each([
  ['BINARY[]<0>', { kind: 'binary', path: [], partial: { origin: 0, count: null } }],
  ['BINARY.PEEK[1.2]<5.10>', { kind: 'binary', path: [1, 2], partial: { origin: 5, count: 10 } }],
  ['binary.size[3]', { kind: 'binary-size', path: [3] }],
  ['BINARY.SIZE[3]<0.1>', { kind: 'unknown' }],
  ['BINARY[1.MIME]', { kind: 'unknown' }],
  ['BINARY[0]', { kind: 'unknown' }],
])('item %s', (text, item) => {
  expect(readFetchItem(text)).toEqual(item);
});
