import { isDeepStrictEqual } from 'node:util';
import { SealgateError } from '../../../src/errors.ts';
import { readAddresses, readFrom, readSender } from '../../../src/mail/address.ts';
import { canonicalLines, hazardsIn, isSafe } from '../../../src/mail/canonical.ts';
import { joinMessage, splitMessage } from '../../../src/mail/compose.ts';
import { splitSafely } from '../../../src/mail/compose-source.ts';
import { decodeEncodedWords, encodeWords } from '../../../src/mail/encoded-word.ts';
import type { Entity } from '../../../src/mail/entity.ts';
import { readEntity, readMessage } from '../../../src/mail/entity-tree.ts';
import { readHeader } from '../../../src/mail/header.ts';
import type { HeaderProtection } from '../../../src/mail/header-protection.ts';
import { withoutLegacyDisplay } from '../../../src/mail/header-protection-display.ts';
import {
  compareWithOuter,
  readProtectedHeader,
  shownFields,
} from '../../../src/mail/header-protection-reading.ts';
import { readMediaType, readParameterised } from '../../../src/mail/media-type.ts';
import { protectedContent } from '../../../src/mail/protected-content.ts';
import { sevenBitSafe } from '../../../src/mail/seven-bit-safe.ts';
import {
  decodeBase64,
  decodeBody,
  decodeQuotedPrintable,
  encodeBase64,
  encodeQuotedPrintable,
} from '../../../src/mail/transfer-encoding.ts';
import { collect } from '../../../src/octets/collect.ts';
import type { OctetSource } from '../../../src/octets/source.ts';
import { type FuzzTarget, holds, isViewOf, liesIn } from '../target.ts';
import { corpusFiles } from './corpus.ts';

const crlf = (text: string): Buffer => Buffer.from(text.replace(/\n/g, '\r\n'), 'latin1');

export const mailDictionary = [
  'Content-Type: multipart/mixed; boundary="b"\r\n',
  'Content-Type: multipart/digest; boundary=b\r\n',
  'Content-Type: message/rfc822\r\n',
  'Content-Transfer-Encoding: base64\r\n',
  'Content-Transfer-Encoding: quoted-printable\r\n',
  'Content-Transfer-Encoding: (c) 8bit\r\n',
  'MIME-Version: 1.0\r\n',
  'From: Bob <bob@example.org>\r\n',
  'From : x@y\r\n',
  "charset*0*=utf-8''%C3",
  '=?utf-8?Q?=C3=BC?=',
  '=?iso-8859-1?B?/A==?=',
  '--b\r\n',
  '--b--\r\n',
  '--b \r\n',
  '\r\n\r\n',
  '\n\n',
  '\r',
  '\0',
  '\x80',
  '"',
  '\\',
  '(',
  ')',
  '<',
  '>',
  ';',
  '=',
  '%',
  "'",
  ' ',
  '\t',
  'From ',
];

export const mails: readonly Buffer[] = [
  crlf('From: Bob <bob@example.org>\nTo: a@example.org\nSubject: x\n\nHello\n'),
  crlf(
    'From: "B, o" <b@example.org> (c)\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\npre\n--b\n' +
      'Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=DFe =\n \n' +
      '--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\n\nx\n--c--\nepi\n--b\n' +
      'Content-Type: application/octet-stream; name*0=a; name*1*=%20b\nContent-Transfer-Encoding: base64\n\nAAECAw==\n--b--\n',
  ),
  crlf(
    'Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\n =?utf-8?B?w7w=?=\nContent-Type: message/rfc822\n\nFrom: x@y\n' +
      'Content-Type: multipart/digest; boundary=d\n\n--d\n\nFrom: z@y\n\nbody\n--d--\n',
  ),
  crlf(
    'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=s\n\n--s\n\nx\n--s\n\ny\n--s--\n',
  ),
  Buffer.from('Subject: bare\nFrom: a@b\n\nFrom here on\nline \n\xe4\xf6\n.\n', 'latin1'),
];

function seeds(): Buffer[] {
  return [...mails, ...corpusFiles('', /\.eml$/, 12)];
}

const allowed = ['mail.'];

const PROTECTIONS: readonly (HeaderProtection | null)[] = [
  null,
  { kind: 'clear' },
  { kind: 'cipher', confidentiality: 'baseline' },
];

/** What comes out, or the code of the refusal. */
function outcomeOf(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    if (error instanceof SealgateError) return error.code;
    throw error;
  }
}

/** Nothing of it is in memory as one Buffer. */
function inPieces(octets: Buffer): OctetSource {
  return {
    length: octets.length,
    async *read(start = 0, end = octets.length) {
      for (let at = start; at < end; at += 997) yield octets.subarray(at, Math.min(end, at + 997));
    },
  };
}

/** Ten thousand parts may be in it. */
const budget = { ms: 100, usPerOctet: 4 };

/** Ranges lie in one another, in order. */
function checkEntity(entity: Entity, octets: Buffer): number {
  const { range, header, body, fields, parts } = entity;
  holds(liesIn(range, octets.length), 'an entity lies in the message');
  holds(
    header.start === range.start && header.end <= body.start && body.end === range.end,
    'header, body, end',
  );
  holds(body.start >= range.start && body.start <= body.end, 'the body lies in the entity');
  let at = header.start;
  for (const field of fields) {
    holds(field.range.start === at && field.range.end > at, 'every octet of the header is in one field');
    at = field.range.end;
  }
  holds(at === header.end, 'fields make up the header');
  let from = body.start;
  let count = 1;
  for (const part of parts) {
    holds(
      part.range.start >= from && part.range.end <= body.end,
      'parts lie in the body and follow each other',
    );
    from = part.range.end;
    count += checkEntity(part, octets);
  }
  return count;
}

export const mailTargets: readonly FuzzTarget[] = [
  {
    name: 'mail-header',
    form: 'lines',
    allowed,
    budget,
    dictionary: mailDictionary,
    prepare: () => ({
      seeds: seeds(),
      run(input) {
        const { range, fields, bodyStart } = readHeader(input, 0, input.length);
        let at = 0;
        for (const field of fields) {
          holds(
            field.range.start === at && field.range.end > at,
            'every octet of the header is in one field',
          );
          at = field.range.end;
        }
        holds(
          at === range.end && bodyStart >= at && bodyStart <= input.length,
          'the body follows the header',
        );
        return { range, fields, bodyStart, from: readFrom(fields), sender: readSender(fields) };
      },
    }),
  },
  {
    name: 'mail-entity-tree',
    form: 'lines',
    allowed,
    budget,
    dictionary: mailDictionary,
    prepare: () => ({
      seeds: seeds(),
      run(input) {
        const message = readMessage(input);
        checkEntity(message.root, input);
        holds(message.root.range.end === input.length, 'the root is the whole message');
        // A part read by itself is the same as within, but for what enclosing boundaries had to say.
        const alone = readEntity(input, message.root.range);
        return [message.root, alone.parts.length];
      },
    }),
  },
  {
    name: 'mail-decode-body',
    form: 'lines',
    allowed,
    budget,
    dictionary: mailDictionary,
    prepare: () => ({
      seeds: seeds(),
      run(input) {
        const { octets, root } = readMessage(input);
        const found: unknown[] = [];
        const visit = (entity: Entity): void => {
          if (entity.parts.length === 0 && found.length < 50) {
            found.push(orCode(() => decodeBody(octets, entity).length));
          }
          entity.parts.forEach(visit);
        };
        visit(root);
        return found;
      },
    }),
  },
  {
    name: 'mail-compose',
    form: 'lines',
    allowed,
    budget,
    dictionary: mailDictionary,
    prepare: () => ({
      seeds: seeds(),
      run(input) {
        const { outer, entity } = splitMessage(readMessage(input));
        holds(
          outer.length === 0 || outer.subarray(-2).equals(Buffer.from('\r\n')),
          'what stays outside ends its line',
        );
        const joined = joinMessage(outer, 'Content-Type: text/plain\r\n', Buffer.from('x'));
        const again = readMessage(joined).root;
        holds(
          again.declared && again.mediaType.subtype === 'plain',
          'nothing outside can hide the new Content-Type',
        );
        return [outer, entity];
      },
    }),
  },
  {
    // What of a mail is signed or encrypted, as it leaves: in memory, put together before, and in pieces.
    name: 'mail-protected-content',
    form: 'lines',
    allowed,
    budget: { ms: 200, usPerOctet: 20 },
    dictionary: [
      ...mailDictionary,
      'Content-Type: multipart/alternative; boundary=b\r\n',
      '\r',
      '\xa0',
      'hp=clear',
    ],
    prepare: () => ({
      seeds: seeds(),
      async run(input) {
        const found: unknown[] = [];
        for (const protection of PROTECTIONS) {
          const quick = outcomeOf(() => protectedContent(readMessage(input), protection));
          const slow = outcomeOf(() => {
            const { outer, inner, entity } = splitMessage(readMessage(input), protection);
            return { outer, content: Buffer.concat([inner, sevenBitSafe(entity)]) };
          });
          holds(
            isDeepStrictEqual(quick, slow),
            'what is put together at once is what is put together before',
          );
          const streamed = await splitSafely(inPieces(input), protection).then(
            async ({ outer, content }) => ({ outer, content: await collect(content.read()) }),
            (error: unknown) => error,
          );
          const last = outcomeOf(() => {
            if (streamed instanceof Error) throw streamed;
            return streamed;
          });
          holds(isDeepStrictEqual(quick, last), 'and what is read in pieces');
          found.push(quick);
        }
        return found;
      },
    }),
  },
  {
    // What is protected inside and shown in the place of the fields outside (RFC 9788).
    name: 'mail-header-protection',
    form: 'lines',
    allowed,
    budget,
    dictionary: [
      ...mailDictionary,
      'hp="clear"',
      'hp="cipher"',
      '; hp-legacy-display="1"',
      'HP-Outer: Subject: [...]\r\n',
      'HP-Outer: ',
      'protected-headers="v1"',
      'Subject: [...]\r\n',
      'forwarded=no',
    ],
    prepare: () => {
      const outer = readMessage(mails[0] as Buffer).root.fields;
      return {
        seeds: [
          ...seeds(),
          crlf(
            'From: Bob <bob@example.org>\nSubject: x\nHP-Outer: Subject: [...]\nHP-Outer: From: Bob <bob@example.org>\n' +
              'Content-Type: text/plain; charset=utf-8; hp="cipher"; hp-legacy-display="1"\n\nSubject: x\n\nHello\n',
          ),
          crlf(
            'Content-Type: message/rfc822; forwarded=no\n\nFrom: Bob <bob@example.org>\nSubject: y\n\nHello\n',
          ),
        ],
        run(input) {
          const plain = withoutLegacyDisplay(input);
          const header = readProtectedHeader(readMessage(input), outer);
          if (header === null) return plain;
          const shown = shownFields(header, true);
          const { fields } = readHeader(shown, 0, shown.length);
          holds(
            fields.every(({ name }) => name !== ''),
            'what is shown in the place of a header is fields',
          );
          return [
            plain,
            shown,
            compareWithOuter(header, outer, true),
            compareWithOuter(header, outer, false),
          ];
        },
      };
    },
  },
  {
    name: 'mail-address',
    form: 'octets',
    allowed,
    dictionary: mailDictionary,
    prepare: () => ({
      seeds: [
        'a@b',
        '"B, o" <b@x> (c (d)), G: e@f, <g@h>;',
        '=?utf-8?Q?x?= <ü@ü>',
        '"a b"@[192.0.2.1]',
        'a . b @ c',
      ].map((text) => Buffer.from(text)),
      run: (input) => readAddresses(input.toString('latin1')),
    }),
  },
  {
    name: 'mail-media-type',
    form: 'octets',
    allowed,
    dictionary: mailDictionary,
    prepare: () => ({
      seeds: [
        'text/plain; charset="utf-8"',
        'application/pkcs7-mime; smime-type=enveloped-data; name="smime.p7m"',
        "attachment; filename*0*=utf-8''a%20; filename*1=b; filename*2*=%C3%BC",
        'multipart/signed; boundary="a b"; micalg=sha-256 (c (n))',
      ].map((text) => Buffer.from(text)),
      run(input) {
        const value = input.toString('latin1');
        const type = readMediaType(value);
        if (type !== null) holds(type.type === type.type.toLowerCase(), 'types are in lower case');
        return [type, readParameterised(value)];
      },
    }),
  },
  {
    name: 'mail-encoded-words',
    form: 'octets',
    allowed,
    dictionary: [
      '=?',
      '?=',
      '?Q?',
      '?B?',
      'utf-8',
      'utf-16',
      'iso-2022-jp',
      'gb18030',
      '=C3',
      ' ',
      '\r\n ',
      '*en',
    ],
    prepare: () => ({
      seeds: ['=?utf-8?Q?=C3=BC_?= =?utf-8*en?B?w7w=?= x', 'Grüße', '=?iso-2022-jp?B?GyRCRnxLXBsoQg==?='].map(
        (text) => Buffer.from(text),
      ),
      run(input) {
        const text = input.toString('utf8').toWellFormed();
        const encoded = encodeWords(text);
        holds(/^[\x20-\x7e\r\n]*$/.test(encoded), 'encoded words are ASCII');
        // A decoder takes a byte order mark at the start of a word for its own.
        if (!text.includes('\u{FEFF}'))
          holds(decodeEncodedWords(encoded) === text, 'words are decoded as they were encoded');
        return decodeEncodedWords(input.toString('latin1'));
      },
    }),
  },
  {
    name: 'mail-base64',
    form: 'octets',
    allowed,
    dictionary: ['=', '==', '\r\n', ' ', '\t', 'AAAA', '-', '_'],
    prepare: () => ({
      seeds: [encodeBase64(Buffer.alloc(100, 7)), Buffer.from('QQ==\r\n'), Buffer.from('Q U\tI=')],
      run(input) {
        const encoded = encodeBase64(input);
        holds(decodeBase64(encoded).equals(input), 'base64 is decoded as it was encoded');
        holds(isSafe(hazardsIn(encoded)), 'base64 passes any relay');
        return decodeBase64(input);
      },
    }),
  },
  {
    name: 'mail-quoted-printable',
    form: 'lines',
    allowed,
    budget,
    dictionary: ['=', '=\r\n', '=3D', '= \r\n', ' \r\n', '\t', 'From ', '\xfc', '=fc', '\r', '.'],
    prepare: () => ({
      seeds: [crlf('Gr=C3=BC=DFe =\n\nFrom here =20\n'), Buffer.from('a'.repeat(200)), mails[4] as Buffer],
      run(input) {
        const binary = encodeQuotedPrintable(input, 'binary');
        holds(decodeQuotedPrintable(binary).equals(input), 'octets are decoded as they were encoded');
        const text = encodeQuotedPrintable(input, 'text');
        const lines = canonicalLines(input);
        holds(decodeQuotedPrintable(text).equals(lines), 'lines are decoded as they were encoded');
        holds(isSafe(hazardsIn(binary)) && isSafe(hazardsIn(text)), 'quoted-printable passes any relay');
        for (const line of text.toString('latin1').split('\r\n')) holds(line.length <= 76, 'lines are short');
        return decodeQuotedPrintable(input);
      },
    }),
  },
  {
    name: 'mail-seven-bit-safe',
    form: 'lines',
    allowed,
    budget: { ms: 100, usPerOctet: 10 },
    dictionary: mailDictionary,
    prepare: () => ({
      seeds: seeds(),
      run(input) {
        const safe = sevenBitSafe(input);
        holds(sevenBitSafe(safe).equals(safe), 'the safe form of the safe form is itself');
        // A signature inside is somebody else's: its octets stay.
        if (!/multipart\/signed|message\//i.test(input.toString('latin1'))) {
          holds(!hazardsIn(safe).eightBit, 'the safe form has seven bits');
        }
        return safe;
      },
    }),
  },
  {
    name: 'mail-canonical',
    form: 'lines',
    allowed,
    dictionary: ['\r', '\n', '\r\n', '\r\r\n', 'From ', ' ', '\0', '\x80', 'x'.repeat(998)],
    prepare: () => ({
      seeds: seeds(),
      run(input) {
        const lines = canonicalLines(input);
        const hazards = hazardsIn(input);
        holds(!/(?<!\r)\n/.test(lines.toString('latin1')), 'every LF has its CR');
        holds(canonicalLines(lines) === lines, 'canonical lines stay as they are');
        holds(lines === input || !isViewOf(lines, input), 'what changed is a copy');
        const text = input.toString('latin1');
        holds(hazards.eightBit === /[\0\x80-\xff]/.test(text), 'eight bits are seen');
        holds(hazards.bareLineEnd === /\r(?!\n)|(?<!\r)\n/.test(text), 'bare line ends are seen');
        holds(hazards.fromLine === /(?:^|\n)From /.test(text), 'From lines are seen');
        holds(
          hazards.longLine === text.split(/\r?\n/).some((line) => line.length > 998),
          'long lines are seen',
        );
        holds(hazards.trailingBlank === /[ \t](?:\r?\n|$)/.test(text), 'blanks at line ends are seen');
        return [canonicalLines(input), hazards];
      },
    }),
  },
];

function orCode<T>(read: () => T): T | string {
  try {
    return read();
  } catch (error) {
    if (error instanceof SealgateError) return error.code;
    throw error;
  }
}
