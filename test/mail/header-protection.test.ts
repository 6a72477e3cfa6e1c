import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { splitMessage } from '../../src/mail/compose.ts';
import { readEntity, readMessage } from '../../src/mail/entity-tree.ts';
import type { HeaderProtection } from '../../src/mail/header-protection.ts';
import { valueKey } from '../../src/mail/header-protection-fields.ts';
import {
  compareWithOuter,
  type FieldComparison,
  type ReadProtectedHeader,
  readProtectedHeader,
} from '../../src/mail/header-protection-reading.ts';
import { sevenBitSafe } from '../../src/mail/seven-bit-safe.ts';

const CLEAR: HeaderProtection = { kind: 'clear' };
const KEEP: HeaderProtection = { kind: 'cipher', confidentiality: 'none' };
const HIDE: HeaderProtection = { kind: 'cipher', confidentiality: 'baseline' };

const HEADER = [
  'Date: Fri, 20 Nov 2026 10:11:12 +0100',
  'From: Ada <ada@example.org>',
  'To: Bob <bob@example.org>',
  'Subject: the cellar door',
  'Message-ID: <1@example.org>',
  'X-Mailer: quill 1.0',
];

function message(header: readonly string[], body = 'Bring the lamp.\r\n'): Buffer {
  return Buffer.from(`${header.join('\r\n')}\r\n\r\n${body}`);
}

/** What is signed or encrypted, and what stays outside. */
function protect(octets: Buffer, protection: HeaderProtection): { outer: string; payload: Buffer } {
  const { outer, inner, entity } = splitMessage(readMessage(octets), protection);
  return { outer: outer.toString('latin1'), payload: Buffer.concat([inner, sevenBitSafe(entity)]) };
}

function read(payload: Buffer, outer: string): ReadProtectedHeader {
  const found = readProtectedHeader(
    readMessage(payload),
    readMessage(Buffer.from(outer, 'latin1')).root.fields,
  );
  if (found === null) throw new Error('not protected');
  return found;
}

function compared(
  payload: Buffer,
  outer: string,
  encrypted = true,
): Partial<Record<string, FieldComparison>> {
  const fields = readMessage(Buffer.from(outer, 'latin1')).root.fields;
  const found = compareWithOuter(read(payload, outer), fields, encrypted);
  return Object.fromEntries(found.map((each) => [each.name, each]));
}

describe('what is protected (RFC 9788 §5.2)', () => {
  it('is every field of the header when a mail is signed, and nothing of it is hidden', () => {
    const { outer, payload } = protect(message(HEADER), CLEAR);
    expect(outer).toBe(`${HEADER.join('\r\n')}\r\n`);
    expect(payload.toString()).toBe(
      `${HEADER.join('\r\n')}\r\nContent-Type: text/plain; charset=us-ascii;\r\n hp="clear"\r\n\r\nBring the lamp.\r\n`,
    );
  });

  it('has a record of what stays outside when the mail is encrypted', () => {
    const { outer, payload } = protect(message(HEADER), KEEP);
    expect(outer).toBe(`${HEADER.join('\r\n')}\r\n`);
    const lines = payload.toString().split('\r\n');
    expect(lines.filter((line) => line.startsWith('HP-Outer: '))).toEqual(
      HEADER.map((line) => `HP-Outer: ${line}`),
    );
    expect(lines).toContain(' hp="cipher"');
  });

  it('hides Subject, Keywords, Comments and Thread-Topic where asked, in the places where they stand', () => {
    const words = ['Keywords: cellar', 'COMMENTS: a second key', 'Thread-Topic: the cellar door'];
    const { outer, payload } = protect(message([...HEADER.slice(0, 4), ...words, ...HEADER.slice(4)]), HIDE);
    expect(outer).toBe(`${HEADER.join('\r\n')}\r\n`.replace('the cellar door', '[...]'));
    const lines = payload.toString().split('\r\n');
    expect(lines).toEqual(expect.arrayContaining(['Subject: the cellar door', ...words]));
    expect(lines).toContain('HP-Outer: Subject: [...]');
    expect(lines.filter((line) => /^HP-Outer: (?:keywords|comments|thread)/i.test(line))).toEqual([]);
  });

  it('never says who gets a blind copy, what servers have noted or what another HP-Outer claims', () => {
    const others = [
      'Bcc: eve@example.org',
      'Received: by x',
      'HP-Outer: Subject: lies',
      'Resent-Bcc: eve@example.org',
    ];
    const { payload } = protect(message([...others, ...HEADER]), HIDE);
    expect(payload.toString()).not.toMatch(/eve|by x|lies/);
  });

  it('takes the Content-* fields along once, and the claim of a client away', () => {
    const type = 'Content-Type: text/plain; hp="cipher"; charset="utf-8"';
    const { outer, payload } = protect(message([...HEADER, type, 'MIME-Version: 1.0']), CLEAR);
    expect(outer).not.toMatch(/content-|mime-version/i);
    const { mediaType } = readEntity(payload);
    expect([...mediaType.parameters]).toEqual([
      ['charset', 'utf-8'],
      ['hp', 'clear'],
    ]);
    expect(payload.toString()).not.toContain('MIME-Version');
  });

  it('is refused, and nothing hidden, where the Content-Type cannot carry the word for it', () => {
    const broken = message([...HEADER, 'Content-Type: text; plain']);
    expect(() => protect(broken, HIDE)).toThrow(SealgateError);
    // Nothing is promised to be hidden: the mail goes as it always did.
    expect(protect(broken, KEEP).payload.toString()).not.toContain('Subject:');
  });

  it('is refused where readers could not read that much', () => {
    const many = Array.from({ length: 600 }, (_, i) => `X-Field-${i}: x`);
    expect(() => protect(message([...HEADER, ...many]), KEEP)).toThrow(/too large/);
    expect(() => protect(message([...HEADER, ...many]), CLEAR)).not.toThrow();
  });

  it('survives relays: 8-bit text is encoded, addresses beyond ASCII are kept, blanks at line ends go, long lines are folded', () => {
    const to = Array.from({ length: 80 }, (_, i) => `person-${i}@example.org`).join(', ');
    const { payload } = protect(
      message([`From: jürgen@example.org`, `To: ${to}`, 'Subject: Grüße \r\n ', 'X-Empty: ']),
      KEEP,
    );
    const lines = payload.toString().split('\r\n');
    expect(lines.filter((line) => /[ \t]$/.test(line))).toEqual([]);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(998);
    expect(payload.toString()).toContain('From: jürgen@example.org');
    expect(payload.toString()).toMatch(/Subject: =\?utf-8\?B\?/);
    const { fields } = readEntity(payload);
    expect(fields.find(({ name }) => name === 'To')?.value).toBe(to);
    expect(fields.find(({ value }) => value.startsWith('To: '))?.value).toBe(`To: ${to}`);
  });
});

describe('reading it back', () => {
  it.each([
    ['clear', CLEAR, []],
    ['cipher', KEEP, []],
    ['cipher', HIDE, ['subject']],
  ] as const)('%s gives the fields, and nothing differs outside', (kind, protection, hidden) => {
    const { outer, payload } = protect(message(HEADER), protection);
    const found = read(payload, outer);
    expect(found.kind).toBe(kind);
    const fields = found.fields.map(({ name, value }) => `${name}: ${value}`);
    expect(fields).toEqual(HEADER);
    const comparison = Object.values(compared(payload, outer, kind === 'cipher'));
    expect(comparison.filter((each) => each?.hidden === true).map((each) => each?.name)).toEqual(hidden);
    expect(comparison.filter((each) => each?.differs === true)).toEqual([]);
    expect(found.contentHeader.toString()).not.toContain('Subject');
  });

  it('gives back any fields (property)', () => {
    const marks = ['a', '"', '<', ',', '\\', ' ', '  ', '\t', '\r\n ', ':', '='];
    const pieces = (...others: string[]) => fc.array(fc.constantFrom(...marks, ...others), { maxLength: 12 });
    // What is written in raw octets beside an encoded word, nobody reads alike.
    const text = fc
      .oneof(pieces('Zoë', '日本'), pieces(' =?utf-8?Q?x=20y?= '))
      .map((parts) => `x${parts.join('')}`);
    const person = fc.constantFrom(
      'a@x.example',
      '"Zoë, 日本" <zoe@x.example>',
      'Zoë Müller\r\n <zoe@x.example>',
      'jürgen@x.example',
      '=?utf-8?Q?=C3=A9?= "q" (c) <q@x.example>',
    );
    const people = fc.array(person, { minLength: 1, maxLength: 3 }).map((all) => all.join(', '));
    const field = fc.oneof(
      fc.tuple(fc.constantFrom('Subject', 'Keywords', 'X-Thing', 'comments', 'Date'), text),
      fc.tuple(fc.constantFrom('To', 'From', 'Reply-To'), people),
    );
    const protection = fc.constantFrom(CLEAR, KEEP, HIDE);
    fc.assert(
      fc.property(fc.array(field, { maxLength: 12 }), protection, (header, how) => {
        const octets = message(['Message-ID: <1@x>', ...header.map((field) => field.join(': '))]);
        const { outer, payload } = protect(octets, how);
        const given = readMessage(octets).root.fields;
        const found = read(payload, outer).fields;
        expect(found.map((each) => each.name)).toEqual(given.map((each) => each.name));
        for (const [i, each] of found.entries()) {
          const kind = ['To', 'From', 'Reply-To'].includes(each.name) ? 'to' : 'subject';
          expect(valueKey(kind, each.value)).toBe(valueKey(kind, given[i]?.value ?? ''));
        }
        // From, To and the like may stand there twice here, which is a difference by itself.
        const names = header.map(([each]) => each.toLowerCase());
        const once = names.filter((each) => names.indexOf(each) === names.lastIndexOf(each));
        const comparison = compared(payload, outer, how.kind === 'cipher');
        expect(once.filter((each) => comparison[each]?.differs === true)).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  it.each([
    ['Subject: the garden door', 'subject'],
    ['Subject: the cellar door\r\nSubject: [...]', 'subject'],
    ['Cc: eve@evil.example', 'cc'],
    ['Reply-To: eve@evil.example', 'reply-to'],
    ['References: <2@example.org>', 'references'],
  ])('%s outside differs from what the author left there', (line, name) => {
    for (const [protection, encrypted] of [
      [CLEAR, false],
      [HIDE, true],
    ] as const) {
      const { outer, payload } = protect(message(HEADER), protection);
      const changed = name === 'subject' ? outer.replace(/Subject: .*/, line) : `${outer}${line}\r\n`;
      expect(compared(payload, changed, encrypted)[name]?.differs).toBe(true);
    }
  });

  it('a server may fold, encode and decode, rewrite dates and add what is missing', () => {
    const header = HEADER.map((line) =>
      line.startsWith('Subject') ? 'Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=' : line,
    );
    const { outer, payload } = protect(
      message(header.filter((line) => !line.startsWith('Message-ID'))),
      CLEAR,
    );
    const relayed = outer
      .replace('=?utf-8?Q?Gr=C3=BC=C3=9Fe?=', '=?iso-8859-1?Q?Gr=FC=DFe?=')
      .replace('Ada <ada@example.org>', '"Ada"\r\n <ada@EXAMPLE.org>')
      .replace('Fri, 20 Nov 2026 10:11:12 +0100', 'Fri, 20 Nov 2026 09:11:12 +0000 (UTC)');
    const comparison = Object.values(
      compared(payload, `Received: by x\r\n${relayed}Message-ID: <9@relay>\r\n`, false),
    );
    expect(comparison.filter((each) => each?.differs === true)).toEqual([]);
  });

  it('another name in From is a difference, though the address is the same', () => {
    const { outer, payload } = protect(message(HEADER), CLEAR);
    expect(compared(payload, outer.replace('Ada <', 'The Bank <'), false).from?.differs).toBe(true);
  });
});

it('attack: a thousand fields inside and two thousand outside are compared, not each with each', () => {
  const inside = Array.from({ length: 900 }, (_, i) => `Comments: =?utf-8?Q?a${i}?=`);
  const outside = Array.from({ length: 1_900 }, (_, i) => `Comments: =?utf-8?Q?b${i}?=`);
  const payload = message([...inside, 'Content-Type: text/plain; hp="cipher"']);
  expect(compared(payload, `${outside.join('\r\n')}\r\n`).comments).toMatchObject({
    hidden: true,
    differs: true,
  });
});

describe('claims that are none', () => {
  const claims = (type: string, header = HEADER): ReadProtectedHeader | null =>
    readProtectedHeader(
      readMessage(message([...header, `Content-Type: ${type}`])),
      readMessage(message(HEADER)).root.fields,
    );

  it.each([
    ['text/plain'],
    ['text/plain; hp'],
    ['text/plain; hp=other'],
    ['text/plain; hp="clear"; hp="cipher"'],
    ['text/plain; hp="clear"\r\nContent-Type: text/plain'],
    ['multipart/mixed; boundary=x; hp="clear" (comment)'],
    ['text; hp="clear"'],
  ])('%s', (type) => {
    expect(claims(type)).toBeNull();
  });

  it('of a part inside the payload', () => {
    const part = `--x\r\nContent-Type: text/plain; hp="clear"\r\nSubject: lies\r\n\r\nHi\r\n--x--\r\n`;
    const octets = message([...HEADER, 'Content-Type: multipart/mixed; boundary=x'], part);
    expect(readProtectedHeader(readMessage(octets), [])).toBeNull();
  });

  it.each([
    ['message/rfc822; forwarded=no', HEADER, true],
    ['message/rfc822', HEADER, true],
    ['message/rfc822; forwarded=yes', HEADER, false],
    ['message/rfc822', HEADER.map((line) => line.replace('ada@', 'carol@')), false],
    ['message/rfc822; forwarded=no', HEADER.map((line) => line.replace('ada@', 'carol@')), true],
    ['message/rfc822; forwarded=no; hp=clear', HEADER, true],
    ['message/rfc822; forwarded=no; hp=other', HEADER, false],
    ['message/rfc822; forwarded=no', [...HEADER, 'Content-Type: text/plain; hp="clear"'], false],
    [
      'message/rfc822; forwarded=no',
      [...HEADER, 'Content-Type: multipart/signed; boundary=x; protocol=y'],
      false,
    ],
    ['message/rfc822; forwarded=no', [...HEADER, 'Content-Type: application/pkcs7-mime'], false],
    [
      'message/rfc822; forwarded=no',
      [...HEADER, 'Content-Type: x', 'Content-Type: application/pkcs7-mime'],
      false,
    ],
    ['text/plain; forwarded=no', HEADER, false],
  ])('a message in %s with %j is the header itself: %s (RFC 9788 §4.10.1)', (type, header, is) => {
    const payload = message([`Content-Type: ${type}`], message(header).toString());
    const found = readProtectedHeader(readMessage(payload), readMessage(message(HEADER)).root.fields);
    expect(found !== null).toBe(is);
    if (found?.scheme === 'wrapped') {
      expect(payload.subarray(found.body.start, found.body.end).toString()).toBe('Bring the lamp.\r\n');
    }
  });

  it('any octets are read without an error but that of a header too large', () => {
    const octets = fc.array(
      fc.constantFrom(
        'Content-Type: text/plain; hp="cipher"\r\n',
        'Content-Type: message/rfc822; forwarded=no\r\n',
        'HP-Outer: Subject: [...]\r\n',
        'HP-Outer: \r\n',
        'HP-Outer: : x\r\n',
        'Subject: a\r\n',
        'From: a@b.example\r\n',
        'From : a@b.example\r\n',
        '\r\n',
        ' \r\n',
        '\xff\0\r',
        'x'.repeat(300),
      ),
      { maxLength: 20 },
    );
    fc.assert(
      fc.property(octets, octets, fc.boolean(), (payload, outside, encrypted) => {
        const outer = readMessage(Buffer.from(outside.join(''), 'latin1')).root.fields;
        const found = readProtectedHeader(readMessage(Buffer.from(payload.join(''), 'latin1')), outer);
        if (found !== null) expect(compareWithOuter(found, outer, encrypted).length).toBeLessThan(30);
      }),
      { numRuns: 500 },
    );
    const many = 'Subject: x\r\n'.repeat(limits.mail.headerOctets / 12 - 10);
    const marked = readMessage(Buffer.from(`Content-Type: text/plain; hp=clear\r\n${many}\r\n`));
    const found = readProtectedHeader(marked, marked.root.fields);
    expect(found?.fields.length).toBeGreaterThan(20_000);
    if (found !== null)
      expect(compareWithOuter(found, marked.root.fields, true).map(({ name }) => name)).toEqual(['subject']);
  });
});
