import { expect, test } from 'vitest';
import { FetchItems } from '../../src/imap-proxy/fetch-plan.ts';
import { PlainResponses } from '../../src/imap-proxy/plain-responses.ts';
import { longWay, NAMES, RecordedViews } from './support/long-way.ts';

const LIST = 'BODY[HEADER.FIELDS (FROM SUBJECT CONTENT-TYPE)]';
const ID = NAMES.installationId;

function plain(octets: Buffer, views = new RecordedViews()): { length: number; views: RecordedViews } {
  return { length: new PlainResponses(new FetchItems(NAMES), views).length(octets), views };
}

function literal(text: string): string {
  return `{${text.length}}\r\n${text}`;
}

function listed(uid: number, header: string, label = LIST): string {
  return `* ${uid} FETCH (UID ${uid} RFC822.SIZE 2078 FLAGS (\\Seen $Forwarded) ${label} ${literal(header)})\r\n`;
}

const HEADER =
  'From: a@example.org\r\nSubject: hello\r\n there\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n';

const PLAIN: readonly [name: string, response: string][] = [
  ['a listing', listed(5, HEADER)],
  ['a header without Content-Type', listed(5, 'From: a@example.org\r\n\r\n')],
  ['a multipart', listed(5, 'Content-Type: multipart/mixed;\r\n boundary="x"\r\n\r\n')],
  ['no fields', listed(5, '\r\n')],
  [
    'a whole message',
    listed(5, `${HEADER}Content-Type: application/pkcs7-mime\r\n\0\n\r text\r\n`, 'BODY[]'),
  ],
  ['a whole header', listed(5, HEADER, 'BODY[HEADER]')],
  ['flags', '* 5 FETCH (UID 5 FLAGS (\\Seen) MODSEQ (7))\r\n'],
  ['flags without a UID', '* 5 FETCH (FLAGS ())\r\n'],
  ['sizes and dates', '* 5 FETCH (UID 5 RFC822.SIZE 1 INTERNALDATE "22-Nov-2026 10:00:00 +0000")\r\n'],
  ['a field that begins like ours', listed(5, 'X-Priority: 1\r\nApproved: x\r\n\r\n')],
];

test.each(PLAIN)('%s leaves as the long way would have it, and teaches the same', (_name, response) => {
  const octets = Buffer.from(response, 'latin1');
  const { length, views } = plain(octets);
  expect(length).toBe(octets.length);
  const slow = new RecordedViews();
  expect(longWay(octets, slow)).toEqual(octets);
  expect(views.learnt).toEqual(slow.learnt);
});

test('many leave together, up to the first that is not whole', () => {
  const whole = Array.from({ length: 50 }, (_, n) => listed(n + 1, HEADER)).join('');
  const next = listed(51, HEADER);
  for (let cut = 0; cut < next.length; cut++) {
    expect(plain(Buffer.from(whole + next.slice(0, cut), 'latin1')).length).toBe(whole.length);
  }
});

test('a tagged line, other responses and other numbers of messages stay', () => {
  for (const line of [
    'f1 OK done\r\n',
    '* 5 EXISTS\r\n',
    '* 05 FETCH (FLAGS ())\r\n',
    '* 0 FETCH (FLAGS ())\r\n',
    '+ x\r\n',
  ])
    expect(plain(Buffer.from(line)).length).toBe(0);
});

const LONG: readonly [name: string, response: string][] = [
  [
    'an encrypted message',
    listed(5, 'Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n'),
  ],
  ['a signed message', listed(5, 'content-type: multipart/signed; protocol="x"\r\n\r\n')],
  ['a Content-Type on its second line', listed(5, 'Content-Type:\r\n application/pkcs7-mime\r\n\r\n')],
  ['a Content-Type with a comment', listed(5, 'Content-Type: appli(x)cation/pkcs7-mime\r\n\r\n')],
  ['a blank before the colon', listed(5, 'Content-Type : text/plain\r\n\r\n')],
  ['another field whose name begins so', listed(5, 'Content-Type-X: application/pkcs7-mime\r\n\r\n')],
  ['a status of ours', listed(5, `X-Sealgate-${ID}: valid\r\n\r\n`)],
  ['our Authentication-Results', listed(5, `AUTHENTICATION-RESULTS: ${ID}.gw; smime=pass\r\n\r\n`, 'BODY[]')],
  ['a lone LF', listed(5, 'From: a\nContent-Type: application/pkcs7-mime\r\n\r\n')],
  ['a lone CR', listed(5, `From: a\rX-Sealgate-${ID}: valid\r\n\r\n`)],
  ['a NUL', listed(5, 'From: a\0\r\n\r\n')],
  ['a header that begins with a blank', listed(5, ' x\r\nContent-Type: text/plain\r\n\r\n')],
  ['a header that does not end', listed(5, 'From: a', 'BODY[]')],
  ['a last line that is cut', listed(5, 'From: a\r')],
  ['fields behind the empty line', listed(5, 'From: a\r\n\r\nContent-Type: application/pkcs7-mime\r\n\r\n')],
  ['a piece', listed(5, HEADER, 'BODY[]<0>')],
  ['a part', listed(5, HEADER, 'BODY[1]')],
  ['fields that do not tell', listed(5, 'From: a\r\n\r\n', 'BODY[HEADER.FIELDS (FROM)]')],
  ['fields that are left out', listed(5, 'From: a\r\n\r\n', 'BODY[HEADER.FIELDS.NOT (CONTENT-TYPE)]')],
  ['no UID', `* 5 FETCH (${LIST} ${literal(HEADER)})\r\n`],
  ['a UID behind', `* 5 FETCH (${LIST} ${literal(HEADER)} UID 5)\r\n`],
  ['an envelope', '* 5 FETCH (UID 5 ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL))\r\n'],
  ['a structure', '* 5 FETCH (UID 5 BODYSTRUCTURE ("application" "pkcs7-mime" NIL NIL NIL "base64" 3))\r\n'],
  ['a literal8', listed(5, HEADER).replace(' {', ' ~{')],
  ['a literal that a server must not send', listed(5, HEADER).replace('}', '+}')],
  ['a line end in a flag', '* 5 FETCH (FLAGS (\\Seen\r\n))\r\n'],
  ['a UID of ten digits', '* 5 FETCH (UID 4294967295 FLAGS ())\r\n'],
];

test.each(LONG)('attack or not: %s takes the long way', (_name, response) => {
  expect(plain(Buffer.from(response, 'latin1')).length).toBe(0);
});

test('a message that has a view is never taken for plain again, whatever its header says', () => {
  const views = new RecordedViews();
  views.learn(5, 'shell');
  for (const response of [listed(5, HEADER), '* 5 FETCH (UID 5 RFC822.SIZE 1)\r\n'])
    expect(plain(Buffer.from(response, 'latin1'), views).length).toBe(0);
});
