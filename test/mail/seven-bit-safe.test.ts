import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { canonicalLines, hazardsIn, isSafe } from '../../src/mail/canonical.ts';
import { joinMessage, splitMessage } from '../../src/mail/compose.ts';
import { decodeEncodedWords } from '../../src/mail/encoded-word.ts';
import { readEntity, readMessage } from '../../src/mail/entity-tree.ts';
import { sevenBitSafe } from '../../src/mail/seven-bit-safe.ts';

const crlf = (text: string) => Buffer.from(text.replace(/\r?\n/g, '\r\n'));
const safe = (text: string) => sevenBitSafe(Buffer.from(text)).toString('latin1');

/** Decoded leaves as python sees them: what a reader gets. */
function leavesByPython(octets: Buffer): string[] {
  const program = `
import sys, json, email
m = email.message_from_bytes(sys.stdin.buffer.read())
json.dump([(p.get_content_type() + ' ' + str(p.get_filename())) if False else p.get_payload(decode=True).decode('latin1') for p in m.walk() if not p.is_multipart()], sys.stdout)
`;
  const run = spawnSync('python3', ['-c', program], { input: octets });
  if (run.status !== 0) throw new Error(run.stderr.toString());
  return JSON.parse(run.stdout.toString()) as string[];
}

describe('canonical lines', () => {
  it('turns LF into CRLF, keeps CR, and has nothing to do a second time', () => {
    expect(canonicalLines(Buffer.from('\na\r\n\rb\n\r\n\n')).toString()).toBe('\r\na\r\n\rb\r\n\r\n\r\n');
    fc.assert(
      fc.property(fc.array(fc.constantFrom('\r', '\n', 'x')), (chars) => {
        const once = canonicalLines(Buffer.from(chars.join('')));
        expect(canonicalLines(once)).toBe(once);
        expect(once.toString().replace(/\r\n/g, '')).not.toContain('\n');
      }),
    );
  });

  it('sees every hazard', () => {
    const found = (text: string) =>
      Object.entries(hazardsIn(Buffer.from(text, 'latin1')))
        .filter(([, is]) => is)
        .map(([name]) => name);
    expect(found('ok\r\nFrom: x\r\n From x\r\n\r\n')).toEqual([]);
    expect(found('\xe9')).toEqual(['eightBit']);
    expect(found('\0')).toEqual(['eightBit']);
    expect(found('a\nb')).toEqual(['bareLineEnd']);
    expect(found('a\rb')).toEqual(['bareLineEnd']);
    expect(found('a\r')).toEqual(['bareLineEnd']);
    expect(found('\r\r\n')).toEqual(['bareLineEnd']);
    expect(found('a \r\nb')).toEqual(['trailingBlank']);
    expect(found('a\t')).toEqual(['trailingBlank']);
    expect(found('x\r\nFrom me')).toEqual(['fromLine']);
    expect(found(`${'x'.repeat(998)}\r\n`)).toEqual([]);
    expect(found(`${'x'.repeat(999)}\r\n`)).toEqual(['longLine']);
  });

  it('sees every octet wherever it lies in memory', () => {
    const octet = fc.oneof(fc.constantFrom(0, 9, 10, 13, 14, 32, 70, 127, 128, 255), fc.nat(255));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 3 }), fc.array(octet, { maxLength: 60 }), (before, octets) => {
        // `before` moves the octets off the borders of words.
        const moved = Buffer.concat([before, Buffer.from(octets)]).subarray(before.length);
        const text = Buffer.from(octets).toString('latin1');
        const found = hazardsIn(moved);
        expect(found.eightBit).toBe(/[\0\x80-\xff]/.test(text));
        expect(found.bareLineEnd).toBe(/\r(?!\n)|(?<!\r)\n/.test(text));
        expect(found.trailingBlank).toBe(/[ \t](?:\r?\n|$)/.test(text));
        expect(found.fromLine).toBe(/(?:^|\n)From /.test(text));
      }),
    );
  });
});

describe('making an entity safe to sign (RFC 8551 §3.1)', () => {
  it('refuses a Content-Type that only repairing its octets would make readable (found by fuzzing)', () => {
    const entity = Buffer.from('Content-Type: a/a; a*=\x89\n\n ', 'latin1');
    expect(() => sevenBitSafe(entity)).toThrow(expect.objectContaining({ code: 'mail.cannot-make-safe' }));
    // One that can be read is repaired, as ever.
    const quoted = Buffer.from('Content-Type: a/a; name="\xfc"\r\n\r\nx\r\n', 'latin1');
    expect(sevenBitSafe(quoted).toString('latin1')).toMatch(/^Content-Type: a\/a;\r\n name\*=/);
  });

  it('leaves a safe entity untouched, byte for byte', () => {
    const entity = crlf(`Content-Type: multipart/mixed;
\tboundary="b"

preamble
--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

caf=C3=A9
--b
Content-Type: application/pdf
Content-Transfer-Encoding: base64

aGVsbG8=

--b
X-Only: header
--b

text
--b--
epilogue
`);
    expect(sevenBitSafe(entity).equals(entity)).toBe(true);
  });

  it('encodes 8bit text as quoted-printable and 8bit or binary data as base64', () => {
    expect(
      safe('Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\ncafé\n'),
    ).toBe(
      'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=C3=A9\r\n',
    );
    expect(safe('Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n\n\0\xff\r')).toBe(
      `Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from('\n\0\xff\r').toString('base64')}\r\n`,
    );
    expect(safe('Content-Type: application/x; charset=utf-8\r\n\r\né\n')).toBe(
      `Content-Type: application/x; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n${Buffer.from('é\r\n').toString('base64')}\r\n`,
    );
  });

  it.each([
    ['trailing blanks', 'a \r\nb', 'a=20\r\nb'],
    ['From at a line start', 'From me', '=46rom me'],
    ['a long line', 'x'.repeat(1_000), `${`${'x'.repeat(75)}=\r\n`.repeat(13)}${'x'.repeat(25)}`],
    ['a lone CR', 'a\rb', 'a=0Db'],
  ])('encodes text with %s', (_, body, expected) => {
    expect(safe(`Content-Type: text/plain\r\n\r\n${body}`)).toBe(
      `Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n${expected}`,
    );
  });

  it('encodes text that is mostly 8bit as base64, which is less than half of it in quoted-printable', () => {
    const words = 'Увидимся в пятницу у старого лодочного сарая.\r\n'.repeat(100);
    const made = safe(
      `Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n${words}`,
    );
    expect(made).toContain('Content-Transfer-Encoding: base64');
    expect(made.length).toBeLessThan(Buffer.byteLength(words) * 1.4);
    expect(Buffer.from(made.slice(made.indexOf('\r\n\r\n')), 'base64').toString()).toBe(words);
  });

  it('only turns line ends where nothing else is wrong', () => {
    expect(safe('Content-Type: text/plain\n\na\nb\n')).toBe('Content-Type: text/plain\r\n\r\na\r\nb\r\n');
  });

  it('repairs encoded parts without changing what they decode to', () => {
    expect(
      safe(
        'Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nFrom =C3=A9 é=  \r\nx = y\r\n',
      ),
    ).toBe(
      'Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=46rom =C3=A9 =C3=A9=\r\nx =3D y\r\n',
    );
    const long = 'QUJD'.repeat(400);
    const rewrapped = safe(`Content-Transfer-Encoding: base64\r\n\r\n${long}\r\n`);
    expect(rewrapped.split('\r\n\r\n')[1]?.replaceAll('\r\n', '')).toBe(long);
    expect(rewrapped.split('\r\n').every((line) => line.length <= 76)).toBe(true);
  });

  it('never touches a multipart/signed inside', () => {
    const signed =
      'Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\ntrailing \r\nFrom x\r\n--s\r\n\r\nsig\r\n--s--\r\n';
    const entity = `Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n${signed}\r\n--m\r\n\r\ncafé\r\n--m--\r\n`;
    const out = safe(entity);
    expect(out).toContain(signed);
    expect(out).toContain('caf=C3=A9');
  });

  it('makes the inside of a forwarded message safe, never the message as a whole (RFC 2046 §5.2.1)', () => {
    const out = safe(
      'Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nFrom: "Jürgen" <j@x.test>\r\nTo: Zoë <z@x.test>, a@x.test\r\nSubject: Grüße an dich\r\n\r\ncafé\r\n',
    );
    expect(out).toBe(
      'Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n' +
        'From: =?utf-8?B?SsO8cmdlbg==?= <j@x.test>\r\nTo: =?utf-8?B?Wm/Dqw==?= <z@x.test>, a@x.test\r\n' +
        'Subject: =?utf-8?B?R3LDvMOfZQ==?= an dich\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\ncaf=C3=A9\r\n',
    );
  });

  it('refuses what cannot be made safe', () => {
    const refused = (text: string) =>
      expect(() => safe(text)).toThrow(expect.objectContaining({ code: 'mail.cannot-make-safe' }));
    refused('Content-Type: message/rfc822\r\n\r\nFrom: jürgen@x.test\r\n\r\n');
    refused('Content-Transfer-Encoding: x-uuencode\r\n\r\né');
    refused('Content-Type: text/plain; x="\r\n\r\né');
    refused('Content-Type: multipart/mixed\r\n\r\né');
  });

  it('writes raw file names by RFC 2231', () => {
    expect(
      safe(
        'Content-Type: application/pdf;\r\n name="Über (1).pdf"\r\nContent-Disposition: attachment; filename="Über (1).pdf"; size=3\r\n\r\nabc',
      ),
    ).toBe(
      "Content-Type: application/pdf;\r\n name*=utf-8''%C3%9Cber%20%281%29.pdf\r\nContent-Disposition: attachment;\r\n filename*=utf-8''%C3%9Cber%20%281%29.pdf; size=3\r\n\r\nabc",
    );
  });

  it('never turns a line of blanks in a header into the end of the header', () => {
    expect(safe('X-A: 1\r\n \t\r\nContent-Type: text/plain \r\n\r\nx')).toBe(
      'X-A: 1\r\nContent-Type: text/plain\r\n\r\nx',
    );
  });

  it('keeps octets at the end of a field that only JavaScript takes for blanks', () => {
    const field = Buffer.from('X: a\xa0 \r\n\r\n', 'latin1');
    expect(sevenBitSafe(field).toString()).toBe('X: =?utf-8?B?YcKg?=\r\n\r\n');
    expect(isSafe(hazardsIn(sevenBitSafe(Buffer.from('X: \xa0\r\n\r\n', 'latin1'))))).toBe(true);
  });

  it('drops unsafe preambles and blanks after boundaries, and closes what was not closed', () => {
    expect(
      safe('Content-Type: multipart/mixed; boundary=b\r\n\r\npre \r\n--b \r\n\r\none\r\n--b  \r\n\r\ntwo'),
    ).toBe('Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n');
  });

  it('keeps format=flowed text and reports readable', () => {
    expect(safe('Content-Type: text/plain; format=flowed\r\n\r\nsoft \r\nend\r\n')).toContain(
      'soft=20\r\nend',
    );
    expect(safe('Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x \r\n')).toBe(
      'Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n',
    );
  });

  it('keeps what python decodes, is safe, and is its own safe form', () => {
    const word = fc.constantFrom(
      'text',
      ' ',
      '\t',
      'From ',
      'é',
      '=',
      '=C3',
      '--b',
      '.',
      'x'.repeat(200),
      '\n',
    );
    const header = fc.constantFrom(
      'Content-Type: text/plain; charset=utf-8\n\n',
      'Content-Type: text/html\nContent-Transfer-Encoding: 8bit\n\n',
      'Content-Type: application/octet-stream\nContent-Transfer-Encoding: binary\n\n',
      'Content-Type: image/png\n\n',
      '\n',
    );
    const leaf = fc
      .tuple(header, fc.array(word, { maxLength: 25 }))
      .map(([head, words]) => `${head}${words.join('')}`);
    const entities = fc
      .array(leaf, { minLength: 1, maxLength: 4 })
      .map((leaves) =>
        crlf(
          `Content-Type: multipart/mixed; boundary=bound\n\n--bound\n${leaves.join('\n--bound\n')}\n--bound--\n`,
        ),
      );
    const sample = fc.sample(entities, { numRuns: 40, seed: 8_551 });
    for (const octets of sample) {
      const out = sevenBitSafe(octets);
      expect(isSafe(hazardsIn(out)), out.toString()).toBe(true);
      expect(sevenBitSafe(out).equals(out)).toBe(true);
      expect(leavesByPython(out)).toEqual(leavesByPython(octets));
    }
  });

  it('either makes octets safe or refuses them, and is idempotent', () => {
    const word = fc.constantFrom(
      '--b',
      '--b--',
      '\r\n',
      '\n',
      '\r',
      'Content-Type: message/rfc822',
      'Content-Type: multipart/mixed; boundary=b',
      'Content-Transfer-Encoding: base64',
      ': ',
      ' ',
      'é',
      '\0',
    );
    fc.assert(
      fc.property(fc.array(word, { maxLength: 30 }), (words) => {
        let once: Buffer;
        try {
          once = sevenBitSafe(Buffer.from(words.join('')));
        } catch (error) {
          expect(error).toBeInstanceOf(SealgateError);
          return;
        }
        expect(sevenBitSafe(once).toString('latin1')).toBe(once.toString('latin1'));
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('taking a message apart', () => {
  it('moves Content-* fields inside and keeps the others in order', () => {
    const { outer, entity } = splitMessage(
      readMessage(
        Buffer.from(
          'Received: a\r\nContent-Language: de\r\nFrom: a@x.test\r\nMIME-Version: 1.0\r\nSubject: a\r\n\tb\r\ncontent-type: text/html\r\nTo: b@x.test\r\n\r\nbody',
        ),
      ),
    );
    expect(outer.toString()).toBe('Received: a\r\nFrom: a@x.test\r\nSubject: a\r\n\tb\r\nTo: b@x.test\r\n');
    expect(entity.toString()).toBe('Content-Language: de\r\ncontent-type: text/html\r\n\r\nbody');
    expect(joinMessage(outer, 'Content-Type: x/y\r\n', Buffer.from('z')).toString()).toBe(
      `${outer.toString()}MIME-Version: 1.0\r\nContent-Type: x/y\r\n\r\nz`,
    );
  });

  it.each([
    ['ASCII', 'hello', 'us-ascii'],
    ['UTF-8', 'café', 'utf-8'],
  ])('declares a body of %s that nobody declared', (_, body, charset) => {
    const { entity } = splitMessage(readMessage(Buffer.from(`From: a@x.test\r\n\r\n${body}`)));
    expect(entity.toString()).toBe(`Content-Type: text/plain; charset=${charset}\r\n\r\n${body}`);
  });

  it('does not guess other charsets', () => {
    const { entity } = splitMessage(readMessage(Buffer.from('From: a@x.test\r\n\r\ncaf\xe9', 'latin1')));
    expect(entity.toString('latin1')).toContain('charset=unknown-8bit');
  });

  it.each([
    ['a line that is no field', 'From: a@x.test\r\nbogus\r\n\r\n'],
    ['two Content-Type fields', 'Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n'],
    [
      'two transfer encodings',
      'Content-Transfer-Encoding: 7bit\r\nContent-Transfer-Encoding: base64\r\n\r\n',
    ],
  ])('refuses %s', (_, text) => {
    expect(() => splitMessage(readMessage(Buffer.from(text)))).toThrow(
      expect.objectContaining({ code: 'mail.malformed-header' }),
    );
  });

  it('reads its own entity back', () => {
    const { entity } = splitMessage(readMessage(Buffer.from('From: a@x.test')));
    expect(readEntity(entity).declared).toBe(true);
  });
});

describe('header fields of a message inside, in raw UTF-8', () => {
  const safeField = (field: string): string => {
    const octets = Buffer.from(`Content-Type: message/rfc822\r\n\r\n${field}\r\n\r\nx`);
    return sevenBitSafe(octets).toString('latin1').split('\r\n\r\n')[1] ?? '';
  };

  it('say the same as encoded words, whichever octets the characters are made of', () => {
    // UTF-8 for à and for Р has the octet A0, which is a blank in Latin-1.
    const texts = [
      'From: Роман à la carte <a@example.org>',
      'To: "Роман, à" <a@example.org>, b@example.org',
      'Cc: Рабочая группа: "é" ü <a@example.org>, (à) b@example.org;',
      'Subject: Роман à la  à x',
    ];
    for (const text of texts) {
      const safe = safeField(text);
      expect(safe).toMatch(/^[\x20-\x7e\r\n]*$/);
      expect(decodeEncodedWords(safe)).toBe(
        text.replaceAll(/"([^",]*)"/g, '$1').replace('"Роман, à"', 'Роман, à'),
      );
    }
  });

  it('are refused where an address itself is beyond ASCII', () => {
    for (const text of ['From: é@example.org', 'From: <a@éxample.org>', 'From: "é"@example.org']) {
      expect(() => safeField(text)).toThrow(expect.objectContaining({ code: 'mail.cannot-make-safe' }));
    }
  });

  it('cost no more for being of one long word, or of quotation marks', () => {
    // Each took the square of its length.
    const octets = 100_000;
    for (const field of [
      `Subject: é ${'a'.repeat(octets)}`,
      `To: é <${'a'.repeat(octets)}>`,
      `To: é "${'\\"'.repeat(octets / 2)}`,
      `To: ${'é '.repeat(octets / 3)}`,
    ]) {
      expect(safeField(field).length).toBeGreaterThan(octets);
    }
  });
});
