import fc from 'fast-check';
import { simpleParser } from 'mailparser';
import { describe, expect, it } from 'vitest';
import { readHeader } from '../../src/mail/header.ts';
import { selectFields, shapeOfFields, shellFields } from '../../src/mail-view/shape.ts';
import { viewBoundary, viewNames } from '../../src/mail-view/view-names.ts';
import type { ViewOutcome } from '../../src/mail-view/view-outcome.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import type { HeaderProtectionReport } from '../../src/smime/report.ts';
import { rendered } from './support/rendered.ts';

const names = viewNames('7f3a9c2e', 'gw.example.net');
const boundary = viewBoundary(Buffer.alloc(32, 1), 'bob@example.org', 'imap 7 3 INBOX');
const OUTER = [
  'Received: from a by b',
  'From: Alice <alice@example.org>',
  'To: bob@example.org',
  'Subject: [...]',
];
const INSIDE = ['From: Alice <alice@example.org>', 'To: bob@example.org', 'Subject: the cellar door'];

function stored(outer: readonly string[] = OUTER, octets = 4_000): Buffer {
  const header = [...outer, 'Content-Type: application/pkcs7-mime; smime-type=enveloped-data'].join('\r\n');
  return Buffer.from(
    `${header}\r\n\r\n${'QUJD'.repeat(16)}\r\n`.padEnd(octets - 2, 'A').concat('\r\n'),
    'latin1',
  );
}

function opened(inside: readonly string[], protection: Partial<HeaderProtectionReport> = {}): ViewOutcome {
  return {
    kind: 'opened',
    entity: bufferSource(Buffer.from('Content-Type: text/plain\r\n\r\nHello\r\n')),
    header: Buffer.from(inside.map((line) => `${line}\r\n`).join(''), 'latin1'),
    verdict: { kind: 'unsigned' },
    report: {
      layers: [{ kind: 'encrypted', algorithm: 'aes256-gcm', authenticated: true, outcome: 'opened' }],
      headerProtection: {
        scheme: 'rfc9788',
        kind: 'cipher',
        signed: false,
        encrypted: true,
        shown: 'inside',
        shownFrom: 'inside',
        fromMismatch: false,
        fields: [{ name: 'subject', inside: true, hidden: true, differs: false }],
        ...protection,
      },
    },
  };
}

async function render(outcome: ViewOutcome, original = stored()) {
  const view = await rendered({ original, outcome, boundary, names });
  const { range, bodyStart, fields } = readHeader(view.octets, 0, view.octets.length);
  return {
    ...view,
    original,
    header: view.octets.subarray(0, bodyStart),
    text: view.octets.toString('latin1'),
    fields: fields.map((each) => view.octets.toString('latin1', each.range.start, each.range.end).trim()),
    end: range.end,
  };
}

describe('a view with protected header fields', () => {
  it('shows them in the places of those outside, once, in the octets of the original', async () => {
    const view = await render(opened([...INSIDE, 'Keywords: cellar']));
    expect(view.octets.length).toBe(view.original.length);
    expect(view.fields.slice(2)).toEqual([
      'Received: from a by b',
      'From: Alice <alice@example.org>',
      'To: bob@example.org',
      'Subject: the cellar door',
      'Keywords: cellar',
      'MIME-Version: 1.0',
      `Content-Type: multipart/mixed; boundary="${boundary}"`,
    ]);
    expect(view.text).not.toContain('[...]');
    const mail = await simpleParser(view.octets);
    expect([mail.subject, mail.text?.trim()]).toEqual(['the cellar door', 'Hello']);
  });

  it('does not show what somebody has added outside, but what servers write', async () => {
    const outer = [
      ...OUTER,
      'Cc: eve@evil.example',
      'Reply-To: eve@evil.example',
      'Subject: again',
      'List-Id: <list.example.org>',
      'Date: Fri, 20 Nov 2026 10:11:12 +0100',
      'Message-ID: <relay@example.org>',
    ];
    const view = await render(opened(INSIDE), stored(outer));
    expect(view.text).not.toMatch(/eve|again/);
    expect(view.text).toMatch(/List-Id|Date: Fri|Message-ID: <relay/);
    expect(view.fields.filter((line) => /^(?:List-Id|Date|Message-ID)/.test(line))).toHaveLength(3);
  });

  it('keeps the From outside where the one inside is not to be shown', async () => {
    const view = await render(opened(INSIDE.slice(1), { fromMismatch: true, shownFrom: 'outside' }));
    expect(view.fields).toContain('From: Alice <alice@example.org>');
    expect(view.text).toContain('sender=outside');
    expect(view.text).toContain('Inside, this message names another sender');
  });

  it('takes nothing from inside that servers or this gateway write, and no line end that is none', async () => {
    const view = await render(
      opened([
        'Authentication-Results: sealgate-7f3a9c2e.gw.example.net; smime=pass',
        'X-Sealgate-7f3a9c2e-Status: v=1; verdict=trusted',
        'Received: forged',
        'Subject: a\rFrom: boss@example.org\0',
      ]),
    );
    expect(view.text).not.toMatch(/smime=pass|verdict=trusted|forged/);
    expect(view.fields).toContain('Subject: a From: boss@example.org');
  });

  it('says in its status what protects the header, what was hidden and what differs', async () => {
    const fields: HeaderProtectionReport['fields'] = [
      { name: 'from', inside: true, hidden: false, differs: false },
      { name: 'to', inside: true, hidden: false, differs: true },
      { name: 'subject', inside: true, hidden: true, differs: false },
      { name: 'keywords', inside: true, hidden: true, differs: false },
    ];
    const view = await render(opened(INSIDE, { signed: true, fields }));
    const status = view.fields[1]?.replace(/\r\n/g, '') ?? '';
    expect(status).toContain('hp=cipher; hdr=signed+encrypted; hidden=subject,keywords; differ=to');
    expect(status.replace(/\r\n/g, '')).not.toContain('cellar');
    expect(view.text).toContain('changed on the way outside the message');
    expect((await render(opened(INSIDE))).text).not.toContain('Sealgate warning');
    expect((await render(opened(INSIDE, { scheme: 'wrapped', kind: null, fields }))).text).toContain(
      'hp=wrapped',
    );
  });

  it('is longer than the original only where the header inside is, and says so', async () => {
    const long = await render(opened([...INSIDE, `Comments: ${'x'.repeat(900)}`]), stored(OUTER, 1_200));
    expect(long.overflow).toBe(true);
    const subject = `Subject: ${'long '.repeat(100)}`;
    expect((await render(opened([...INSIDE.slice(0, 2), subject]), stored(OUTER, 2_500))).overflow).toBe(
      false,
    );
  });

  it('keeps its words and fields when it is made again, whatever is believed then', async () => {
    const first = await render(opened(INSIDE));
    const later = await rendered({
      original: first.original,
      outcome: opened(INSIDE.slice(1), { fromMismatch: true, shownFrom: 'outside' }),
      boundary,
      names,
      frozen: first.annotation,
    });
    expect(later.octets.equals(first.octets)).toBe(true);
  });
});

it('any list of fields that is asked for agrees with the view (property)', async () => {
  const field = fc.constantFrom(
    'Subject: a',
    'subject: b',
    'To: c@example.org',
    'Cc: d@example.org',
    'From: e@example.org',
    'Date: Fri, 20 Nov 2026 10:11:12 +0100',
    'Keywords: f',
    'Keywords: g',
    'Received: h',
    'X-Other: i',
    'Message-ID: <j@example.org>',
  );
  const fields = fc.array(field, { maxLength: 8 });
  const asked = fc.subarray([
    'subject',
    'to',
    'cc',
    'from',
    'date',
    'keywords',
    'received',
    'x-other',
    'message-id',
    'content-type',
  ]);
  await fc.assert(
    fc.asyncProperty(fields, fields, asked, async (outer, inside, list) => {
      const view = await render(opened(inside), stored(outer));
      const wanted = new Set(list);
      const header = view.original.subarray(0, readHeader(view.original, 0, view.original.length).bodyStart);
      const { header: shown } = view.annotation;
      const answer = shapeOfFields(
        selectFields(header, wanted, false),
        wanted,
        Object.values(shellFields(boundary)),
        names,
        shown?.fields,
      );
      expect(answer.toString('latin1')).toBe(selectFields(view.header, wanted, false).toString('latin1'));
      for (const once of ['Subject', 'Cc', 'To', 'From', 'Date']) {
        const count = (lines: readonly string[]) =>
          lines.filter((line) => line.toLowerCase().startsWith(`${once.toLowerCase()}:`)).length;
        expect(count(view.fields)).toBeLessThanOrEqual(Math.max(count(inside), count(outer)));
        if (count(inside) > 0) expect(count(view.fields)).toBe(count(inside));
      }
    }),
    { numRuns: 200 },
  );
});

it('the ENVELOPE of an opened message is that of its view', async () => {
  const inside = [
    'Date: Fri, 20 Nov 2026 10:11:12 +0100',
    'From: =?utf-8?Q?Zo=C3=AB?= <alice@example.org>',
    'Subject: the "cellar" door',
    'Message-ID: <1@example.org>',
  ];
  expect((await render(opened(inside))).annotation.header?.envelope).toBe(
    '("Fri, 20 Nov 2026 10:11:12 +0100" "the \\"cellar\\" door" (("=?utf-8?B?Wm/Dqw==?=" NIL "alice" "example.org")) ' +
      '(("=?utf-8?B?Wm/Dqw==?=" NIL "alice" "example.org")) (("=?utf-8?B?Wm/Dqw==?=" NIL "alice" "example.org")) ' +
      'NIL NIL NIL NIL "<1@example.org>")',
  );
});
