import { isDeepStrictEqual } from 'node:util';
import { FetchItems } from '../../../src/imap-proxy/fetch-plan.ts';
import { PlainResponses } from '../../../src/imap-proxy/plain-responses.ts';
import { ShellResponses } from '../../../src/imap-proxy/shell-responses.ts';
import { answeredTheLongWay, longWay, NAMES, RecordedViews } from '../../imap-proxy/support/long-way.ts';
import { type FuzzTarget, holds } from '../target.ts';

const LABEL = 'BODY[HEADER.FIELDS (FROM CONTENT-TYPE)]';
const HEADER = 'From: a\r\nContent-Type: text/plain\r\n b\r\n\r\n';

const ENCRYPTED =
  'From: a\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data;\r\n name="smime.p7m"\r\n\r\n';

function response(label: string, header: string): string {
  return `* 5 FETCH (UID 5 FLAGS (\\Seen) ${label} {${header.length}}\r\n${header})\r\n`;
}

/** What leaves by the short way is what the long way would have said, and teaches what it would have taught. */
export const imapPlainTargets: readonly FuzzTarget[] = [
  {
    name: 'imap-plain-responses',
    form: 'octets',
    allowed: [],
    dictionary: [
      'Content-Type: application/pkcs7-mime',
      'multipart/signed',
      `X-Sealgate-${NAMES.installationId}: x`,
      `Authentication-Results: ${NAMES.installationId}`,
      ...['BODY[]', 'BODY[HEADER]', '<0>', 'RFC822.SIZE 5', 'INTERNALDATE "x"', 'MODSEQ (5)', 'ENVELOPE NIL'],
      ...['\r\n', '\n', '\r', '\0', ' ', '\t', '(', ')', '"', '\\', '{3}\r\nabc', ':'],
    ],
    prepare: () => ({
      seeds: [
        response(LABEL, HEADER) + response(LABEL, HEADER),
        response('BODY[]', `${HEADER}text\r\n`),
        response('BODY[HEADER]', HEADER),
        '* 5 FETCH (UID 5 RFC822.SIZE 7 INTERNALDATE "x" MODSEQ (5) FLAGS ())\r\n',
      ].map((text) => Buffer.from(text, 'latin1')),
      run(input) {
        const views = new RecordedViews();
        const length = new PlainResponses(new FetchItems(NAMES), views).length(input);
        const passed = input.subarray(0, length);
        const slow = new RecordedViews();
        holds(longWay(passed, slow)?.equals(passed) === true, 'the long way passes it on as it is');
        holds(isDeepStrictEqual(views.learnt, slow.learnt), 'the long way learns the same');
        return length;
      },
    }),
  },
  {
    name: 'imap-shell-responses',
    form: 'octets',
    allowed: [],
    dictionary: [
      'application/pkcs7-mime; smime-type=enveloped-data',
      'multipart/signed; protocol="application/pkcs7-signature"',
      ...['Content-Type: ', 'MIME-Version: 1.0', 'DKIM-Signature: x', 'X-Orig-From: x', 'From: a', 'UID 5'],
      `X-Sealgate-${NAMES.installationId}: x`,
      ...[
        '\r\n',
        '\n',
        '\r',
        '\0',
        ' ',
        '\t',
        '(',
        ')',
        '"',
        '\\',
        '{3}\r\nabc',
        ':',
        'FLAGS ()',
        'RFC822.SIZE 5',
      ],
    ],
    prepare: () => ({
      seeds: [
        response(LABEL, ENCRYPTED),
        response(LABEL, 'Content-Type: multipart/signed; protocol="application/pkcs7-signature"\r\n\r\n'),
        response('BODY[HEADER.FIELDS (FROM MIME-VERSION CONTENT-TYPE)]', ENCRYPTED),
      ].map((text) => Buffer.from(text, 'latin1')),
      async run(input) {
        const views = new RecordedViews();
        const first = new ShellResponses(new FetchItems(NAMES), views).first(input);
        if (first === null) return null;
        const slow = new RecordedViews();
        const said = await answeredTheLongWay(input.subarray(0, first.length), slow);
        holds(said?.equals(first.said) === true, 'the long way says the same');
        holds(isDeepStrictEqual(views.learnt, slow.learnt), 'the long way learns the same');
        return first.length;
      },
    }),
  },
];
