import { describe, expect, test } from 'vitest';
import { dnsQuestion, readDnsAnswer, textOfName } from '../../src/dns/message.ts';

const SMIMEA = 53;
const CNAME = 5;
const ASKED = { name: 'a._smimecert.partner.example', type: SMIMEA };
/** Where the name of the question stands. */
const QUESTION_NAME = Buffer.from([0xc0, 12]);

const uint16 = (value: number) => Buffer.from([value >> 8, value & 255]);
const wire = (name: string) =>
  Buffer.concat([
    ...name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
    Buffer.alloc(1),
  ]);

type Written = { owner?: Buffer; type?: number; ofClass?: number; seconds?: number; data?: Buffer };
function record({
  owner = QUESTION_NAME,
  type = SMIMEA,
  ofClass = 1,
  seconds = 300,
  data,
}: Written = {}): Buffer {
  const octets = data ?? Buffer.from([3, 0, 0, 1]);
  const life = Buffer.alloc(4);
  life.writeUInt32BE(seconds);
  return Buffer.concat([owner, uint16(type), uint16(ofClass), life, uint16(octets.length), octets]);
}

type Answer = {
  id?: number;
  flags?: number;
  question?: Buffer;
  questions?: number;
  records?: readonly Buffer[];
  count?: number;
};
/** QR, RD, RA, and AD where it is said. */
function message({
  id = 7,
  flags = 0x8180,
  question,
  questions = 1,
  records = [],
  count,
}: Answer = {}): Buffer {
  return Buffer.concat([
    ...[uint16(id), uint16(flags), uint16(questions), uint16(count ?? records.length), uint16(0), uint16(0)],
    question ?? Buffer.concat([wire(ASKED.name), uint16(SMIMEA), uint16(1)]),
    ...records,
  ]);
}
const read = (octets: Buffer) => readDnsAnswer(octets, ASKED, 7);
const codeOf = (octets: Buffer): string => {
  try {
    read(octets);
    return 'read';
  } catch (error) {
    return (error as { code: string }).code;
  }
};

test('a question is one name, type and class, with RD and AD', () => {
  expect(dnsQuestion({ name: 'x.example', type: SMIMEA }, 0x1234).toString('hex')).toBe(
    '123401200001000000000000' + '0178076578616d706c6500' + '0035' + '0001',
  );
  expect(dnsQuestion({ name: '', type: 6 }, 0).subarray(12).toString('hex')).toBe('0000060001');
  for (const name of ['a..example', `${'a'.repeat(64)}.example`, `${'a.'.repeat(127)}example`]) {
    expect(() => dnsQuestion({ name, type: SMIMEA }, 0)).toThrow(/no answer that can be used/);
  }
});

describe('an answer', () => {
  test('gives the records of the name, what DNSSEC says of them, and the shortest time to live', () => {
    const records = [record({ seconds: 60 }), record({ data: Buffer.from('x') })];
    expect(read(message({ flags: 0x81a0, records }))).toEqual({
      ...{ records: [Buffer.from([3, 0, 0, 1]), Buffer.from('x')], isAuthentic: true, timeToLive: 60 },
      ...{ exists: true, canonical: ASKED.name },
    });
    expect(read(message({ records: [record()] })).isAuthentic).toBe(false);
  });

  test.each([
    [0x8180, true],
    [0x8183, false],
  ])('without records is one too (%i), and says whether the name is there', (flags, exists) => {
    expect(read(message({ flags }))).toEqual({
      ...{ records: [], isAuthentic: false, timeToLive: null, exists, canonical: ASKED.name },
    });
  });

  test('may write the name in other letters, and a time to live that is none', () => {
    const question = Buffer.concat([wire(ASKED.name.toUpperCase()), uint16(SMIMEA), uint16(1)]);
    const records = [record({ owner: wire(ASKED.name.toUpperCase()), seconds: 0x80000000 })];
    expect(read(message({ question, records }))).toMatchObject({ records: [{}], timeToLive: 0 });
  });

  test('leads through aliases, in any order, and gives nothing of other names, types and classes', () => {
    const end = wire('b.partner.example');
    const alias = record({ type: CNAME, data: end, seconds: 20 });
    const records = [
      record({ owner: end, data: Buffer.from('found') }),
      ...[alias, record({ owner: wire('c.partner.example'), data: Buffer.from('other') })],
      ...[record({ owner: end, type: 46 }), record({ owner: end, ofClass: 3 })],
    ];
    expect(read(message({ records }))).toMatchObject({ records: [Buffer.from('found')], timeToLive: 20 });
    expect(read(message({ records: [alias], flags: 0x8183 }))).toMatchObject({
      ...{ records: [], exists: false, canonical: 'b.partner.example' },
    });
    expect(codeOf(message({ records: [record({ type: CNAME, data: Buffer.concat([end, end]) })] }))).toBe(
      'dns.answer',
    );
  });

  test.each<[string, Buffer]>([
    ['to another question (id)', message({ id: 8 })],
    ['that is a question', message({ flags: 0x0100 })],
    ['to another kind of question', message({ flags: 0x8980 })],
    ['that refuses', message({ flags: 0x8185 })],
    ['of a server that does not resolve', message({ flags: 0x8500 })],
    ['to another name', message({ question: Buffer.concat([wire('b.example'), uint16(SMIMEA), uint16(1)]) })],
    ['to another type', message({ question: Buffer.concat([wire(ASKED.name), uint16(1), uint16(1)]) })],
    ['to another class', message({ question: Buffer.concat([wire(ASKED.name), uint16(SMIMEA), uint16(3)]) })],
    ['to two questions', message({ questions: 2 })],
    ['to none', message({ questions: 0 })],
    ['with fewer records than it says', message({ records: [record()], count: 2 })],
    ['with half a record', message({ records: [record()] }).subarray(0, -1)],
    ['with a name that leads to itself', message({ records: [record({ owner: Buffer.from([0xc0, 46]) })] })],
    ['with a name that leads forward', message({ records: [record({ owner: Buffer.from([0xc0, 60]) })] })],
    [
      'with a label of a kind that is none',
      message({ records: [record({ owner: Buffer.from([0x80, 0]) })] }),
    ],
    [
      'with a name that is too long',
      message({
        records: [record({ owner: wire(Array.from({ length: 6 }, () => 'a'.repeat(60)).join('.')) })],
      }),
    ],
    ['of a few octets', Buffer.from('0007')],
    ['of no octets', Buffer.alloc(0)],
  ])('%s is none', (_, octets) => {
    expect(codeOf(octets)).toBe('dns.answer');
  });

  test.each<[string, Buffer]>([
    ['there is none for this name', message({ flags: 0x8182 })],
    ['there is more than a message holds', message({ flags: 0x8380 })],
    ['there are more records than may be', message({ records: Array(201).fill(record()) })],
    ['aliases do not end', message({ records: [record({ type: CNAME, data: QUESTION_NAME })] })],
  ])('attack: that %s says nothing of other names, so no domain takes theirs away', (_, octets) => {
    expect(codeOf(octets)).toBe('dns.unanswered');
  });
});

describe('the name in an MX record', () => {
  const mx = { name: 'partner.example', type: 15 };
  const answer = (data: Buffer) =>
    message({
      question: Buffer.concat([wire(mx.name), uint16(15), uint16(1)]),
      records: [record({ type: 15, data })],
    });
  const exchange = (data: Buffer) => readDnsAnswer(answer(data), mx, 7).records[0]?.subarray(2);

  test('comes whole, whatever of it was left out', () => {
    const compressed = Buffer.concat([uint16(10), Buffer.from('\x02Mx'), QUESTION_NAME]);
    expect(exchange(compressed)).toEqual(wire('mx.partner.example'));
    expect(exchange(Buffer.from('00000000', 'hex').subarray(0, 3))).toEqual(Buffer.alloc(1));
  });

  test.each<[string, Buffer]>([
    ['ends early', Buffer.concat([uint16(10), Buffer.from('\x05mx')])],
    ['is followed by something', Buffer.concat([uint16(10), wire('mx.example'), Buffer.alloc(1)])],
    ['is not there', uint16(10)],
    ['is not even half there', Buffer.alloc(1)],
  ])('is no name where it %s', (_, data) => {
    expect(() => exchange(data)).toThrow(/no answer that can be used/);
  });
});

test.each<[string, Buffer, string | null]>([
  ['a name', wire('Mx_1-a.Partner.example'), 'mx_1-a.partner.example'],
  ['the root', Buffer.alloc(1), ''],
  ['a dot within a label', Buffer.from('\x03a.b\x00'), null],
  ['a letter beyond ASCII', Buffer.from([1, 0xe4, 0]), null],
  ['a name without its end', Buffer.from('\x01a'), null],
  ['more than a name', Buffer.from('\x01a\x00\x00'), null],
  ['a pointer', Buffer.from([0xc0, 12]), null],
])('as text: %s', (_, octets, text) => {
  expect(textOfName(octets)).toBe(text);
});
