import { newSessionId } from '../../../src/ids.ts';
import {
  appendUid,
  isCatenate,
  MessageLiterals,
  mailboxFollows,
  readAppendCommand,
} from '../../../src/imap-proxy/append/append-command.ts';
import { Harvesting, type StoredSigned } from '../../../src/imap-proxy/append/harvesting.ts';
import { KeptAside } from '../../../src/imap-proxy/append/kept-aside.ts';
import { listedMailboxes } from '../../../src/imap-proxy/append/listed-mailboxes.ts';
import { quotedMailboxName, readMailboxName } from '../../../src/imap-proxy/append/mailbox-name.ts';
import { copiedTo } from '../../../src/imap-proxy/refresh/give-new-uid.ts';
import { AtRestMarks } from '../../../src/mail-view/at-rest-marker.ts';
import { atRestOuterHeader } from '../../../src/mail-view/at-rest-object.ts';
import { viewNames } from '../../../src/mail-view/view-names.ts';
import { principalNamed } from '../../support/principal.ts';
import { type FuzzTarget, holds } from '../target.ts';

const marks = new AtRestMarks(
  Buffer.alloc(32, 7),
  viewNames('7f3a9c2e', 'gw.example.net'),
  'bob@example.org',
);
const digest = marks.digest().update('x').digest();
const header = Buffer.from('From: bob@example.org\r\nSubject: words\r\n\r\n');
const field = marks.write({ length: 99, header, digest });
const latin1 = (...texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text, 'latin1'));

/** What is kept of a message that comes in pieces of so many octets and is accepted. */
async function keptOf(message: Buffer, piece: number): Promise<Buffer[]> {
  const kept: Buffer[] = [];
  const harvesting = new Harvesting({ verify: async () => null }, { write: () => undefined });
  harvesting.add = ({ octets, room }: StoredSigned) => {
    kept.push(octets);
    room.leave();
  };
  const principal = principalNamed('bob@example.org');
  const aside = new KeptAside(
    { session: newSessionId(), principal, harvesting, ended: new AbortController().signal },
    'append',
    `Sent {${message.length}}`,
  );
  aside.begin(Buffer.alloc(0), message.length);
  for (let at = 0; at < message.length; at += piece) aside.push(message.subarray(at, at + piece));
  const answer = Promise.resolve({ status: 'OK', line: Buffer.alloc(0) } as const);
  aside.awaits(answer);
  await answer;
  return kept;
}

export const imapAppendTargets: readonly FuzzTarget[] = [
  {
    name: 'imap-append-command',
    form: 'octets',
    allowed: [],
    dictionary: [
      'UTF8 (~{3}',
      '{3+}',
      '(\\Seen)',
      '"02-Jan-2026 03:04:05 +0000"',
      ' CATENATE (',
      '&ZeU-',
      '[APPENDUID 1 2]',
    ],
    prepare: () => ({
      seeds: latin1(
        '"Sent" (\\Seen $x) "02-Jan-2026 03:04:05 +0000" {12}',
        '4 Entw&APw-rfe UTF8 (~{12+}',
        '{12}',
        '* LIST (\\Sent) "/" Sent',
        't OK [COPYUID 7 5 9] x',
      ),
      run(input) {
        const argument = input.toString('latin1');
        for (const verb of ['append', 'replace'] as const) {
          const command = readAppendCommand(argument, verb);
          if (command === null) continue;
          holds(argument.startsWith(command.before), 'what goes on is what the client wrote');
          const literals = new MessageLiterals(verb);
          holds(literals.next(argument) === 'message', 'its literal is the message');
          holds(!/[\r\n\0]/.test(command.before), 'no line ends in what goes on');
          holds(mailboxFollows(argument, verb) === null, 'a name is here or it follows');
        }
        const behind = new MessageLiterals('append');
        behind.next('{4+}');
        if (isCatenate(argument)) holds(behind.next(argument) === 'lost', 'a piece is no message');
        const name = readMailboxName(input);
        holds(readMailboxName(input) === name, 'a name is read in one way');
        const quoted = quotedMailboxName(input);
        if (quoted !== null) {
          const read = readAppendCommand(`${quoted} {1}`, 'append');
          holds(read?.mailbox.equals(input) === true, 'a quoted name is read as it was');
        }
        const listed = listedMailboxes([input, Buffer.from('* STATUS a (UIDVALIDITY 7)\r\n')]);
        holds(
          listed.length <= 1 && listed.every(({ name }) => name.length < input.length),
          'one mailbox is listed',
        );
        const uids = [appendUid(input)?.uid ?? 1, copiedTo(input, 5, 7) ?? 6];
        holds(uids.every(Number.isSafeInteger), 'UIDs are numbers');
        return [name, quoted, uids];
      },
    }),
  },
  {
    name: 'imap-kept-aside',
    form: 'octets',
    allowed: [],
    dictionary: [
      'multipart/signed',
      'smime-type=signed-data',
      '\r\n\r\n',
      '\n\n',
      '\r\n\t',
      'Content-Type: ',
    ],
    prepare: () => ({
      seeds: latin1(
        'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=b\r\n\r\n--b',
        'From: a\nContent-Type: application/pkcs7-mime;\n smime-type=signed-data\n\nMII',
        'Content-Type: text/plain\r\n\r\nwords',
      ),
      async run(input) {
        const [whole, single] = [await keptOf(input, input.length), await keptOf(input, 1)];
        holds(whole.length === single.length, 'it is kept however it is cut');
        holds(
          [...whole, ...single].every((each) => each.equals(input)),
          'its very octets are kept',
        );
        return whole;
      },
    }),
  },
  {
    name: 'imap-append-marker',
    form: 'octets',
    allowed: [],
    dictionary: [`${marks.name}: `, '1; len=', 'sealed=', '\r\n ', 'Subject: ', 'X-TUID: '],
    prepare: () => ({
      seeds: [Buffer.from(`${field}\r\n`), Buffer.from(`X-A: b\r\n${field}From: c\r\n\r\n`), header],
      run(input) {
        const read = marks.read(input);
        // Whoever has no key can only bring what was written.
        if (read !== null) holds(read.length === 99 && read.header.equals(header), 'only what was written');
        const outer = atRestOuterHeader(input, 'protect').toString('latin1');
        holds(outer === '' || outer.endsWith('\r\n'), 'whole lines');
        holds(!/[^\r]\n|\r[^\n]|\0|^\r\n/.test(outer), 'no line end but CRLF, and no empty line');
        return outer;
      },
    }),
  },
];
