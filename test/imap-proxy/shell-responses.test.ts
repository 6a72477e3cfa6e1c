import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FetchItems } from '../../src/imap-proxy/fetch-plan.ts';
import { ShellResponses } from '../../src/imap-proxy/shell-responses.ts';
import { answeredTheLongWay, NAMES, RecordedViews } from './support/long-way.ts';

const LIST = 'BODY[HEADER.FIELDS (FROM SUBJECT CONTENT-TYPE)]';
const ENCRYPTED = 'Content-Type: application/pkcs7-mime; smime-type=enveloped-data;\r\n name="smime.p7m"\r\n';
const ID = NAMES.installationId;

function first(octets: Buffer, views = new RecordedViews()) {
  return { response: new ShellResponses(new FetchItems(NAMES), views).first(octets), views };
}

function listed(header: string, label = LIST, before = 'UID 5 RFC822.SIZE 2078 FLAGS (\\Seen $x)'): Buffer {
  return Buffer.from(`* 5 FETCH (${before} ${label} {${header.length}}\r\n${header})\r\n`, 'latin1');
}

async function isAsTheLongWay(octets: Buffer): Promise<boolean> {
  const { response, views } = first(octets);
  if (response === null) return false;
  const slow = new RecordedViews();
  const passed = octets.subarray(0, response.length);
  expect(response.said.toString('latin1')).toBe(
    (await answeredTheLongWay(passed, slow))?.toString('latin1') ?? 'nothing',
  );
  expect(views.learnt).toEqual(slow.learnt);
  return true;
}

const SHELLS: readonly [name: string, octets: Buffer][] = [
  ['an encrypted message', listed(`From: a\r\n${ENCRYPTED}Subject: b\r\n c\r\n\r\n`)],
  ['nothing but its Content-Type', listed(`${ENCRYPTED}\r\n`)],
  ['the Content-Type last', listed(`SUBJECT:\r\n\tx\r\n${ENCRYPTED.toUpperCase()}\r\n`)],
  ['MIME-Version asked for', listed(`${ENCRYPTED}\r\n`, 'BODY[HEADER.FIELDS (MIME-VERSION CONTENT-TYPE)]')],
  ['an opaque signature', listed('Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n\r\n')],
  [
    'a clear signature, shown as stored',
    listed('Content-Type: multipart/signed; protocol="application/pkcs7-signature"\r\n\r\n'),
  ],
  ['no S/MIME', listed('From: a\r\nContent-Type: application/pdf\r\n\r\n')],
];

test.each(SHELLS)('%s: as the long way has it, and it teaches the same', async (_name, octets) => {
  expect(await isAsTheLongWay(octets)).toBe(true);
});

const LONG: readonly [name: string, octets: Buffer][] = [
  ['two Content-Types', listed(`${ENCRYPTED}${ENCRYPTED}\r\n`)],
  [
    'a MIME-Version',
    listed(`Mime-Version: 1.0\r\n${ENCRYPTED}\r\n`, 'BODY[HEADER.FIELDS (MIME-VERSION CONTENT-TYPE)]'),
  ],
  ['a field nobody asked for', listed(`To: b\r\n${ENCRYPTED}\r\n`)],
  ['a line that is no field', listed(`From a\r\n${ENCRYPTED}\r\n`)],
  ['a blank before the colon', listed(`From : a\r\n${ENCRYPTED}\r\n`)],
  ['a status of ours', listed(`X-Sealgate-${ID}: valid\r\n${ENCRYPTED}\r\n`)],
  ['a lone LF', listed(`From: a\n${ENCRYPTED}\r\n`)],
  ['a lone CR', listed(`From: a\rb\r\n${ENCRYPTED}\r\n`)],
  ['a NUL', listed(`From: \0\r\n${ENCRYPTED}\r\n`)],
  ['no empty line', listed(ENCRYPTED)],
  ['a line behind the empty one', listed(`${ENCRYPTED}\r\nFrom: a\r\n`)],
  ['a header that begins with a blank', listed(` x\r\n${ENCRYPTED}\r\n`)],
  ['a piece', listed(`${ENCRYPTED}\r\n`, `${LIST}<0>`)],
  ['a whole header', listed(`${ENCRYPTED}\r\n`, 'BODY[HEADER]')],
  ['a whole message', listed(`${ENCRYPTED}\r\n`, 'BODY[]')],
  ['no UID', listed(`${ENCRYPTED}\r\n`, LIST, 'FLAGS ()')],
  ['no blank between two items', listed(`${ENCRYPTED}\r\n`, LIST, 'UID 5 FLAGS ()MODSEQ (7)')],
  ['a preview beside it', listed(`${ENCRYPTED}\r\n`, LIST, 'UID 5 PREVIEW "words"')],
  ['a structure beside it', listed(`${ENCRYPTED}\r\n`, LIST, 'UID 5 BODYSTRUCTURE (x)')],
  [
    'a name in other letters',
    Buffer.from(listed(`${ENCRYPTED}\r\n`).toString('latin1').replace(' FETCH ', ' FeTCH ')),
  ],
  [
    'something behind it',
    Buffer.from(
      listed(`${ENCRYPTED}\r\n`)
        .toString('latin1')
        .replace(/\)\r\n$/, ' UID 5)\r\n'),
    ),
  ],
];

test.each(LONG)('attack or not: %s takes the long way', (_name, octets) => {
  const { response, views } = first(octets);
  expect(response).toBe(null);
  expect(views.learnt).toEqual([]);
});

test('cut off anywhere it is nothing yet', () => {
  for (const [, octets] of SHELLS) {
    for (let cut = 0; cut < octets.length; cut++) expect(first(octets.subarray(0, cut)).response).toBe(null);
  }
});

test('hostile headers: where it answers, it answers as the long way', async () => {
  const piece = fc.constantFrom(
    ...[
      'From',
      'Subject',
      'content-type',
      'Content-Type',
      'MIME-Version',
      'DKIM-Signature',
      'X-Orig-From',
      'To',
    ],
    ...[
      `X-Sealgate-${ID}`,
      'Authentication-Results',
      'application/pkcs7-mime',
      'multipart/signed',
      'text/plain',
    ],
    ...[
      '; smime-type=signed-data',
      '; smime-type=enveloped-data',
      '; protocol="application/pkcs7-signature"',
    ],
    ...[
      ': ',
      ':',
      ' ',
      '\t',
      '\r\n',
      '\r\n ',
      '\r\n\r\n',
      '\r',
      '\n',
      '\0',
      '"',
      '(',
      ')',
      '{3}',
      '\xe9',
      '\x7f',
      'a',
    ],
    ...[ENCRYPTED, 'From: a\r\n', 'Subject: b\r\n c\r\n'],
  );
  const label = fc.constantFrom(
    LIST,
    'BODY[HEADER.FIELDS (From To DKIM-Signature CONTENT-TYPE Mime-Version X-Orig-From)]',
  );
  const before = fc.constantFrom(
    'UID 5',
    'UID 5 FLAGS ()',
    'UID 5 RFC822.SIZE 7',
    'UID 5 INTERNALDATE "x"',
    'UID 5 X (y)',
    'FLAGS () UID 5',
  );
  let answered = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(piece, { maxLength: 8 }),
      label,
      before,
      fc.boolean(),
      async (pieces, item, items, ends) => {
        const header = `${pieces.join('')}${ends ? `\r\n${ENCRYPTED}\r\n` : ''}`;
        for (const each of [header, header.replace(/^\r\n/, '')]) {
          if (await isAsTheLongWay(listed(each, item, items))) answered++;
        }
      },
    ),
    { numRuns: 3_000 },
  );
  expect(answered).toBeGreaterThan(50);
});
