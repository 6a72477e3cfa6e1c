import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ImapClient, Piece } from './support/imap-client.ts';
import { outerFields } from './support/message-classes.ts';
import { loggedIn, type SeededMailbox, seededMailbox } from './support/seeded-mailbox.ts';

/** What imaptest's scripts ask, of the mail server alone (alice) and through the gateway (bob): one and the same answer. */

let mailbox: SeededMailbox;
beforeAll(async () => {
  mailbox = await seededMailbox();
});
afterAll(() => mailbox?.stop());

const DATE = '"01-Jan-2026 10:00:00 +0100"';

function text(...lines: readonly string[]): Buffer {
  return Buffer.from(lines.join('\r\n'), 'latin1');
}

const NIL_FIELDS = text('Subject:', 'From: <>', 'To: undisclosed-recipients:;', '', 'x', '');
const NO_HEADER = text('', 'only a body', '');
const NESTED = text(
  ...outerFields('nested'),
  'MIME-Version: 1.0',
  'Content-Type: multipart/mixed; boundary=a; x="q\\"uoted"',
  'Content-Language: de, en',
  '',
  'preamble',
  '--a',
  'Content-Type: message/rfc822',
  '',
  'From: user@domain (comment) , "quo\\"ted" <q@d>, group: a@b, c@d;',
  'Subject: =?utf-8?q?inner?=',
  'Content-Type: multipart/alternative; boundary=b',
  '',
  '--b',
  '',
  'no type',
  '--b',
  'Content-Type: text/html',
  'Content-MD5: abc',
  'Content-Location: http://x/',
  '',
  '<p>',
  '--b--',
  '--a',
  'Content-Type: image/gif; name*0=a; name*1=b',
  "Content-Disposition: attachment; filename*=utf-8''%C3%A4",
  '',
  'R0lG',
  '--a--',
  'epilogue',
  '',
);

type Script = {
  name: string;
  messages?: () => readonly Buffer[];
  commands: readonly (string | readonly Piece[])[];
};

const sealed = (): readonly Buffer[] => mailbox.messages.map(({ octets }) => octets);
const plain = (): readonly Buffer[] => [
  NIL_FIELDS,
  NO_HEADER,
  NESTED,
  mailbox.message('plain with parts').octets,
  mailbox.message('clear-signed').octets,
];

const SECTIONS = [
  ...['', 'HEADER', 'TEXT', '1', '1.MIME', '1.HEADER', '1.TEXT', '1.1', '1.1.MIME', '1.2', '1.2.MIME'],
  ...['2', '2.MIME', '3', '1.3', 'HEADER.FIELDS (Subject X-None)', 'HEADER.FIELDS.NOT (Received Date)'],
];

const SCRIPTS: readonly Script[] = [
  {
    name: 'fetch, fetch-envelope, fetch-bodystructure, nil',
    messages: plain,
    commands: [
      ...['ALL', 'FAST', 'FULL', '(BODYSTRUCTURE)', '(ENVELOPE BODY INTERNALDATE RFC822.SIZE UID)'].map(
        (items) => `FETCH 1:* ${items}`,
      ),
      'FETCH 1:* (UID RFC822.HEADER)',
      'FETCH 2 RFC822',
      'FETCH 2 RFC822.TEXT',
    ],
  },
  {
    name: 'fetch-body, fetch-body-mime, fetch-body-message-rfc822, fetch-body-partial',
    messages: plain,
    commands: [
      ...SECTIONS.map((section) => `FETCH 1:* (BODY.PEEK[${section}])`),
      ...['<0.10>', '<5.20>', '<100000.5>', '<0.1>'].flatMap((range) => [
        `UID FETCH 3:4 (BODY.PEEK[]${range})`,
        `UID FETCH 3:4 (BODY.PEEK[1]${range} BODY.PEEK[TEXT]${range})`,
      ]),
    ],
  },
  {
    name: 'append, multiappend',
    commands: [
      ['APPEND Suite (\\Seen \\Flagged word) ', DATE, ' ', NESTED],
      ['APPEND Suite ', NO_HEADER, ' (\\Draft) ', NIL_FIELDS, ` ${DATE} `, NESTED],
      ['APPEND NotThere ', NESTED],
      'NOOP',
      'FETCH 1:* (UID FLAGS RFC822.SIZE)',
      'FETCH 1 INTERNALDATE',
      'STATUS Suite (MESSAGES UIDNEXT UNSEEN)',
    ],
  },
  {
    name: 'uidplus, expunge, copy, move',
    messages: sealed,
    commands: [
      'CREATE Other',
      'UID COPY 1:3,7 Other',
      'COPY 1 NotThere',
      'UID STORE 2:4,9 +FLAGS.SILENT (\\Deleted)',
      'UID EXPUNGE 2:3',
      'UID MOVE 5:6,100 Other',
      'MOVE 1 Other',
      'EXPUNGE',
      'FETCH 1:* (UID FLAGS RFC822.SIZE)',
      'STATUS Other (MESSAGES UIDNEXT)',
      'SELECT Other',
      'FETCH 1:* (UID RFC822.SIZE)',
      'CLOSE',
      'DELETE Other',
    ],
  },
  {
    name: 'search-size, sort-size, esearch, searchres, thread',
    messages: sealed,
    commands: [
      ...[0, 1_000, 1_100, 1_342, 5_000, 7_800, 10_000, 100_000].flatMap((size) => [
        `SEARCH LARGER ${size}`,
        `UID SEARCH NOT SMALLER ${size}`,
      ]),
      'SORT (SIZE) UTF-8 ALL',
      'UID SORT (REVERSE SIZE SUBJECT) UTF-8 LARGER 2000',
      'SORT (SUBJECT) UTF-8 NOT SUBJECT "enveloped"',
      'THREAD REFERENCES UTF-8 ALL',
      'SEARCH RETURN (MIN MAX COUNT ALL) SMALLER 8000',
      'UID SEARCH RETURN (COUNT) FROM alice',
      'UID SEARCH RETURN () 1:4',
      'UID SEARCH RETURN (SAVE) SUBJECT "enveloped"',
      'FETCH $ (UID RFC822.SIZE)',
      'SEARCH OR (FROM "alice" SUBJECT "plain") NOT (TO "bob" UNSEEN)',
      'SEARCH SENTBEFORE 1-Jan-2020',
      'SEARCH BAD-KEY',
    ],
  },
  {
    name: 'list, mutf7, subscribe, rename, status',
    commands: [
      'CREATE "&AOQA9gD8-"',
      'CREATE Tree.Branch.Leaf',
      'LIST "" "*"',
      'LIST "" "%"',
      'LIST (SUBSCRIBED) "" "*" RETURN (CHILDREN)',
      'LIST "" "T*" RETURN (STATUS (MESSAGES UIDNEXT))',
      'SUBSCRIBE Tree.Branch',
      'LSUB "" "*"',
      'RENAME Tree Wood',
      'LIST "" "Wood*"',
      'STATUS "&AOQA9gD8-" (MESSAGES RECENT UIDNEXT UNSEEN)',
      'DELETE "&AOQA9gD8-"',
      'DELETE Wood.Branch.Leaf',
      'EXAMINE NotThere',
      'STATUS NotThere (MESSAGES)',
      'NAMESPACE',
    ],
  },
  {
    name: 'store, modseq, fetch-changedsince',
    messages: plain,
    commands: [
      'STORE 1:2 FLAGS (\\Answered word)',
      'STORE 2 -FLAGS (word)',
      'UID STORE 3 +FLAGS.SILENT (\\Seen)',
      'FETCH 1:* (FLAGS)',
      'SEARCH KEYWORD word',
      'STORE 99 +FLAGS (\\Seen)',
      'STORE 1 +FLAGS (\\Nonsense)',
      'FETCH 1 (BODY[])',
      'FETCH 1 (NONSENSE)',
      'FETCH 0 (UID)',
      'CHECK',
      'UNSELECT',
      'FETCH 1 (UID)',
    ],
  },
];

test.each(SCRIPTS.map((script) => [script.name, script] as const))('26: %s', async (_, script) => {
  const { system } = mailbox;
  const clients = [
    await loggedIn(system.dovecot.imapPort, system, 'alice'),
    await mailbox.through(),
  ] as const;
  for (const [index, client] of clients.entries()) {
    const owner = await loggedIn(system.dovecot.imapPort, system, index === 0 ? 'alice' : 'bob');
    await owner.command('DELETE Suite');
    await owner.create('Suite');
    for (const message of script.messages?.() ?? []) await owner.ok(`APPEND Suite ${DATE} `, message);
    // The first session to see a message is told that it is recent.
    await owner.ok('SELECT Suite');
    owner.close();
    await client.ok('SELECT Suite');
  }
  for (const command of script.commands) {
    const pieces = typeof command === 'string' ? [command] : command;
    const [alone, through] = await Promise.all(clients.map((client) => transcript(client, pieces)));
    expect([String(pieces[0]), through]).toEqual([String(pieces[0]), alone]);
  }
  for (const client of clients) client.close();
});

test('26: pipeline: everything at once is answered like one after another', async () => {
  const { system } = mailbox;
  const commands = [
    'SELECT INBOX',
    'FETCH 1:3 (UID FLAGS)',
    'NOOP',
    'UID SEARCH ALL',
    'FETCH 1 (BODY.PEEK[])',
    'STATUS INBOX (MESSAGES)',
    'LIST "" INBOX',
    'FETCH 2:3 (BODYSTRUCTURE)',
    'EXAMINE INBOX',
    'FETCH 3 (BODY.PEEK[1])',
    'UNSELECT',
  ];
  const slow = await loggedIn(system.dovecot.imapPort, system, 'bob');
  const quick = await mailbox.through();
  const tags = commands.map((command) => quick.send(command));
  // A server may answer several commands at a time, so what is told is compared, not in which order.
  const told: string[][] = [[], []];
  for (const open = new Set(tags); open.size > 0; ) {
    const response = await quick.response();
    if (open.delete(response.tag)) expect(response.text).toMatch(/^OK /);
    else told[0]?.push(comparable(response.octets));
  }
  for (const command of commands) {
    const { untagged } = await slow.ok(command);
    told[1]?.push(...untagged.map(({ octets }) => comparable(octets)));
  }
  const [atOnce, one] = told.map((all) => all.filter((each) => !/RECENT|UNSEEN/.test(each)).sort());
  // Of several FETCHes that a client has under way, any may be told the UID.
  const withoutUid = (all: readonly string[] | undefined): string[] =>
    (all ?? []).map((each) => each.replace(/UID [0-9]+ (?=BODY\[)/, '')).sort();
  expect(withoutUid(atOnce)).toEqual(withoutUid(one));
  slow.close();
  quick.close();
});

async function transcript(client: ImapClient, pieces: readonly Piece[]): Promise<string[]> {
  const { status, text: said, untagged } = await client.command(...pieces);
  return [
    ...untagged.map(({ octets }) => comparable(octets)),
    comparable(Buffer.from(`${status} ${said}`, 'latin1')),
  ];
}

/** Without what is another for each mailbox and each time. */
function comparable(octets: Buffer): string {
  return octets
    .toString('latin1')
    .replace(/ \([0-9.]+ \+ [^)]*\)/g, '')
    .replace(/(UIDVALIDITY|HIGHESTMODSEQ|APPENDUID|COPYUID) [0-9]+/g, '$1 n')
    .replace(/\\Recent ?/g, '')
    .replace(/=_sealgate_[a-z2-7]{26}/g, 'boundary');
}
