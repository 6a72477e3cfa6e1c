import { connect } from 'node:net';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { FailedLogins } from '../../src/connections/failed-logins.ts';
import { limits } from '../../src/limits.ts';
import { encryptedSpool } from '../../src/octets/encrypted-spool.ts';
import { reply } from '../../src/smtp/reply.ts';
import { sourceFiles } from '../structure/source-files.ts';
import { certificateFor } from '../support/certificate.ts';
import { PLAIN, TestClient } from './support/client.ts';
import { ForwardingStory, loggedIn, type TestGateway, testGateway } from './support/gateway.ts';

/**
 * Every reply of RFC 5321 §4.3.2, verb by verb: each one that the gateway gives is provoked in a session, and each one that it never
 * gives is named with the reason. `upstream`: the mail server's own, handed on.
 */
type Verb =
  | 'CONNECT'
  | 'EHLO'
  | 'HELO'
  | 'MAIL'
  | 'RCPT'
  | 'DATA'
  | 'end of data'
  | 'RSET'
  | 'VRFY'
  | 'EXPN'
  | 'HELP'
  | 'NOOP'
  | 'QUIT'
  | 'any'
  // Of extensions: RFC 3030, 3207, 4954.
  | 'BDAT'
  | 'STARTTLS'
  | 'AUTH';

/** The table of the RFC: success, intermediate, error. 500, 501 and 421 are of any verb. */
const RFC_5321: Partial<Record<Verb, readonly number[]>> = {
  CONNECT: [220, 554],
  EHLO: [250, 502, 504, 550],
  HELO: [250, 502, 504, 550],
  MAIL: [250, 451, 452, 455, 503, 550, 552, 553, 555],
  RCPT: [250, 251, 450, 451, 452, 455, 503, 550, 551, 552, 553, 555],
  DATA: [354, 503, 554],
  'end of data': [250, 450, 451, 452, 550, 552, 554],
  RSET: [250],
  VRFY: [250, 251, 252, 502, 504, 550, 551, 553],
  EXPN: [250, 252, 500, 502, 504, 550],
  HELP: [211, 214, 502, 504],
  NOOP: [250],
  QUIT: [221],
  any: [421, 500, 501],
};

const KNOWS_NOBODY = 'who exists is nobody’s business (§7.3)';
const NO_ARGUMENTS = 'there is no argument that it would know and not do';
const NEVER: readonly (readonly [Verb, number, string])[] = [
  ['CONNECT', 554, 'nobody is refused for good before he has spoken; those who are too many hear 421'],
  ['EHLO', 502, 'it is known'],
  ['EHLO', 504, 'any name of a client will do'],
  ['EHLO', 550, 'any name of a client will do'],
  ['HELO', 502, 'it is known'],
  ['HELO', 504, 'any name of a client will do'],
  ['HELO', 550, 'any name of a client will do'],
  ['VRFY', 250, KNOWS_NOBODY],
  ['VRFY', 251, KNOWS_NOBODY],
  ['VRFY', 502, '252 says as little'],
  ['VRFY', 504, NO_ARGUMENTS],
  ['VRFY', 550, KNOWS_NOBODY],
  ['VRFY', 551, KNOWS_NOBODY],
  ['VRFY', 553, KNOWS_NOBODY],
  ['EXPN', 250, KNOWS_NOBODY],
  ['EXPN', 252, KNOWS_NOBODY],
  ['EXPN', 500, 'it is known, and 502'],
  ['EXPN', 504, NO_ARGUMENTS],
  ['EXPN', 550, KNOWS_NOBODY],
  ['HELP', 211, 'there is no system status'],
  ['HELP', 502, 'it is there'],
  ['HELP', 504, 'it has no arguments'],
];

type Setting = {
  fake?: Parameters<typeof testGateway>[0];
  options?: Parameters<typeof testGateway>[1];
  story?: ForwardingStory;
  /** Not logged in. */
  stranger?: true;
};
type Row = readonly [verb: Verb, code: number, whose: 'gateway' | 'upstream', sends: string, Setting?];

const MAIL = 'MAIL FROM:<a@example.org>\r\n';
const RCPT = 'RCPT TO:<b@example.net>\r\n';
const DATA = `${MAIL}${RCPT}DATA\r\n`;
const STRANGER: Setting = { stranger: true };
const material = certificateFor('localhost');
afterAll(() => material.remove());

const says = (verb: string, text: string): Setting => ({ fake: { script: { [verb]: `${text}\r\n` } } });
const FULL = reply(452, '4.3.1', 'The queue is full');
const NEVER_KEPT = () => {
  throw new Error('nothing is to be kept');
};
const bounded = (bound: { messages?: number; recipients?: number }): Setting => ({
  options: {
    sendingBounds: {
      login: { messages: null, recipients: null, minutes: 60, atOnce: null, ...bound },
      ...{ address: null, network: null },
    },
  },
});
const ownMailbox = {
  isOwn: ({ localPart }: { localPart: string }) => localPart === 'gateway',
  judge: async () => reply(250, '2.1.5', 'ok'),
  take: async () => reply(250, '2.0.0', 'taken'),
};

/** Says for itself why a mail does not leave. */
class RefusingStory extends ForwardingStory {
  override async submit() {
    return { kind: 'refused' as const, reply: reply(550, '5.7.1', 'A rule says so') };
  }
}

const PROVOKED: readonly Row[] = [
  ['CONNECT', 220, 'gateway', '', STRANGER],
  ['EHLO', 250, 'gateway', 'EHLO x\r\n'],
  ['HELO', 250, 'gateway', 'HELO x\r\n'],
  ['MAIL', 250, 'upstream', MAIL],
  ['MAIL', 451, 'upstream', MAIL, says('MAIL', '451 4.3.0 later')],
  ['MAIL', 452, 'upstream', MAIL, says('MAIL', '452 4.3.1 full')],
  ['MAIL', 455, 'upstream', MAIL, says('MAIL', '455 4.5.4 not now')],
  ['MAIL', 550, 'upstream', MAIL, says('MAIL', '550 5.7.1 no')],
  ['MAIL', 552, 'gateway', 'MAIL FROM:<a@example.org> SIZE=99999999999\r\n'],
  ['MAIL', 552, 'upstream', MAIL, says('MAIL', '552 5.3.4 quota')],
  ['MAIL', 553, 'gateway', 'MAIL FROM:<jürgen@example.org>\r\n'],
  ['MAIL', 553, 'upstream', MAIL, says('MAIL', '553 5.1.8 no')],
  ['MAIL', 503, 'gateway', `${MAIL}${MAIL}`],
  ['MAIL', 555, 'gateway', 'MAIL FROM:<a@example.org> WHAT=1\r\n'],
  ['MAIL', 450, 'gateway', `${DATA}x\r\n.\r\n${MAIL}`, bounded({ messages: 1 })],
  ['MAIL', 530, 'gateway', `EHLO x\r\n${MAIL}`, STRANGER],
  ['MAIL', 501, 'gateway', 'MAIL FROM:a\r\n'],
  ['RCPT', 250, 'upstream', `${MAIL}${RCPT}`],
  ['RCPT', 251, 'upstream', `${MAIL}${RCPT}`, says('RCPT', '251 2.1.5 will forward')],
  ['RCPT', 450, 'upstream', `${MAIL}${RCPT}`, says('RCPT', '450 4.2.0 greylisted')],
  ['RCPT', 450, 'gateway', `${MAIL}${RCPT}${RCPT}`, bounded({ recipients: 1 })],
  ['RCPT', 451, 'upstream', `${MAIL}${RCPT}`, says('RCPT', '451 4.3.0 later')],
  ['RCPT', 452, 'upstream', `${MAIL}${RCPT}`, says('RCPT', '452 4.2.2 full')],
  ['RCPT', 452, 'gateway', `${MAIL}${RCPT.repeat(limits.smtp.recipients + 1)}`],
  ['RCPT', 455, 'upstream', `${MAIL}${RCPT}`, says('RCPT', '455 4.5.4 not now')],
  ['RCPT', 503, 'gateway', RCPT],
  ['RCPT', 530, 'gateway', RCPT, STRANGER],
  ['RCPT', 550, 'gateway', `${MAIL}${RCPT}RCPT TO:<gateway@example.org>\r\n`, { options: { ownMailbox } }],
  ['RCPT', 550, 'upstream', `${MAIL}${RCPT}`, says('RCPT', '550 5.1.1 nobody')],
  ['RCPT', 551, 'upstream', `${MAIL}${RCPT}`, says('RCPT', '551 5.1.6 moved')],
  ['RCPT', 552, 'upstream', `${MAIL}${RCPT}`, says('RCPT', '552 5.2.2 full')],
  ['RCPT', 553, 'gateway', `${MAIL}RCPT TO:<jürgen@example.org>\r\n`],
  ['RCPT', 553, 'upstream', `${MAIL}${RCPT}`, says('RCPT', '553 5.1.3 no')],
  ['RCPT', 555, 'gateway', `${MAIL}RCPT TO:<b@example.net> WHAT=1\r\n`],
  ['RCPT', 501, 'gateway', `${MAIL}RCPT TO:<>\r\n`],
  ['DATA', 354, 'gateway', DATA],
  ['DATA', 503, 'gateway', 'DATA\r\n'],
  ['DATA', 554, 'gateway', `${MAIL}DATA\r\n`],
  [
    'DATA',
    452,
    'gateway',
    DATA,
    { options: { storeAndForward: { full: async () => FULL, begin: NEVER_KEPT } } },
  ],
  ['DATA', 501, 'gateway', 'DATA now\r\n'],
  ['end of data', 250, 'upstream', `${DATA}x\r\n.\r\n`],
  [
    'end of data',
    250,
    'gateway',
    `${MAIL}RCPT TO:<gateway@example.org>\r\nDATA\r\nx\r\n.\r\n`,
    { options: { ownMailbox } },
  ],
  ['end of data', 450, 'upstream', `${DATA}x\r\n.\r\n`, says('END', '450 4.7.1 later')],
  ['end of data', 451, 'upstream', `${DATA}x\r\n.\r\n`, says('END', '451 4.3.0 later')],
  ['end of data', 451, 'gateway', `${DATA}x\r\n.\r\n`, { fake: { script: { END: { close: true } } } }],
  ['end of data', 452, 'upstream', `${DATA}x\r\n.\r\n`, says('END', '452 4.3.1 full')],
  [
    'end of data',
    452,
    'gateway',
    `${DATA}${`${'x'.repeat(70)}\r\n`.repeat(15_000)}.\r\n`,
    { options: { spool: encryptedSpool({ folder: '/nowhere/at/all' }) } },
  ],
  ['end of data', 550, 'upstream', `${DATA}x\r\n.\r\n`, says('END', '550 5.7.1 no')],
  ['end of data', 550, 'gateway', `${DATA}x\r\n.\r\n`, { story: new RefusingStory() }],
  ['end of data', 552, 'upstream', `${DATA}x\r\n.\r\n`, says('END', '552 5.2.2 full')],
  ['end of data', 552, 'gateway', `${DATA}too long\r\n.\r\n`, { options: { maxMessageOctets: 5 } }],
  ['end of data', 554, 'upstream', `${DATA}x\r\n.\r\n`, says('END', '554 5.6.0 no')],
  ['end of data', 554, 'gateway', `${DATA}x\ny\r\n.\r\n`],
  ['BDAT', 250, 'gateway', `${MAIL}${RCPT}BDAT 0\r\n`],
  ['BDAT', 250, 'upstream', `${MAIL}${RCPT}BDAT 0 LAST\r\n`],
  ['BDAT', 501, 'gateway', 'BDAT\r\n'],
  ['BDAT', 503, 'gateway', 'BDAT 1 LAST\r\nx'],
  ['BDAT', 552, 'gateway', `${MAIL}${RCPT}BDAT 9\r\nxxxxxxxxx`, { options: { maxMessageOctets: 5 } }],
  ['BDAT', 554, 'gateway', `${MAIL}BDAT 0\r\n`],
  [
    'BDAT',
    452,
    'gateway',
    `${MAIL}${RCPT}BDAT 0\r\n`,
    { options: { storeAndForward: { full: async () => FULL, begin: NEVER_KEPT } } },
  ],
  ['RSET', 250, 'gateway', 'RSET\r\n'],
  ['RSET', 250, 'upstream', `${MAIL}RSET\r\n`],
  ['RSET', 501, 'gateway', 'RSET now\r\n'],
  ['VRFY', 252, 'gateway', 'VRFY b\r\n'],
  ['VRFY', 501, 'gateway', 'VRFY\r\n'],
  ['EXPN', 502, 'gateway', 'EXPN b\r\n'],
  ['EXPN', 501, 'gateway', 'EXPN\r\n'],
  ['HELP', 214, 'gateway', 'HELP\r\n'],
  ['NOOP', 250, 'gateway', 'NOOP\r\n', STRANGER],
  ['NOOP', 250, 'upstream', 'NOOP\r\n'],
  ['QUIT', 221, 'gateway', 'QUIT\r\n'],
  [
    'STARTTLS',
    220,
    'gateway',
    'EHLO x\r\nSTARTTLS\r\n',
    { ...STRANGER, options: { tls: 'starttls', tlsMaterial: material } },
  ],
  ['STARTTLS', 502, 'gateway', 'STARTTLS\r\n'],
  [
    'STARTTLS',
    503,
    'gateway',
    'STARTTLS\r\n',
    { ...STRANGER, options: { tls: 'starttls', tlsMaterial: material } },
  ],
  ['AUTH', 235, 'upstream', `EHLO x\r\nAUTH PLAIN ${PLAIN}\r\n`, STRANGER],
  ['AUTH', 334, 'gateway', 'EHLO x\r\nAUTH PLAIN\r\n', STRANGER],
  [
    'AUTH',
    454,
    'gateway',
    `EHLO x\r\nAUTH PLAIN ${PLAIN}\r\n`,
    {
      ...STRANGER,
      options: { failedLogins: Object.assign(new FailedLogins(), { mayTry: async () => false }) },
    },
  ],
  ['AUTH', 500, 'gateway', `EHLO x\r\nAUTH PLAIN\r\n${'x'.repeat(70_000)}\r\n`, STRANGER],
  ['AUTH', 501, 'gateway', 'EHLO x\r\nAUTH PLAIN\r\n*\r\n', STRANGER],
  ['AUTH', 503, 'gateway', `AUTH PLAIN ${PLAIN}\r\n`],
  ['AUTH', 504, 'gateway', 'EHLO x\r\nAUTH EXTERNAL\r\n', STRANGER],
  ['AUTH', 535, 'gateway', 'EHLO x\r\nAUTH PLAIN AAAA\r\n', STRANGER],
  [
    'AUTH',
    535,
    'upstream',
    `EHLO x\r\nAUTH PLAIN ${PLAIN}\r\n`,
    { ...STRANGER, ...says('AUTH', '535 5.7.8 no') },
  ],
  [
    'AUTH',
    538,
    'gateway',
    `EHLO x\r\nAUTH PLAIN ${PLAIN}\r\n`,
    {
      ...STRANGER,
      options: { tls: 'starttls', tlsMaterial: material },
    },
  ],
  ['any', 421, 'gateway', 'EHLO x\r\n', { ...STRANGER, fake: { script: { GREETING: { close: true } } } }],
  ['any', 421, 'upstream', MAIL, says('MAIL', '421 4.7.0 tired')],
  ['any', 500, 'gateway', 'WHAT\r\n'],
  ['any', 501, 'gateway', 'EHLO\r\n'],
  ['any', 502, 'gateway', 'GET / HTTP/1.1\r\n'],
];

let gateway: TestGateway | null = null;
afterEach(async () => {
  await gateway?.close();
  gateway = null;
});

/** How many replies are due: one for each line, but for those of a message and the octets of a chunk. */
function repliesTo(sends: string): number {
  const [commands = '', message = ''] = sends.split(/(?<=\nDATA\r\n)/);
  const lines = commands.split(/(?<=\r\n)/).filter((line) => line.endsWith('\r\n')).length;
  if (message === '') return lines;
  const [, behind = ''] = message.split(/(?<=(?:^|\n)\.\r\n)/);
  return lines + 1 + (behind === '' ? 0 : repliesTo(behind));
}

/** What is said last, once the gateway has nothing more to say of what was sent. */
async function lastReply(sends: string, setting: Setting): Promise<string | undefined> {
  const { fake = {}, options = {}, story, stranger } = setting;
  gateway = await testGateway(fake, options, story);
  if (sends === '') {
    const client = new TestClient(connect(gateway.port, '127.0.0.1'));
    const greeting = await client.reply();
    client.end();
    return greeting ?? undefined;
  }
  const client = stranger === true ? await TestClient.open(gateway.port) : await loggedIn(gateway.port);
  client.send(sends);
  let last: string | null = null;
  for (let i = 0; i < repliesTo(sends); i++) {
    const said = await client.reply();
    if (said === null) break;
    last = said;
    if (said.startsWith('421')) break;
  }
  client.end();
  return last ?? undefined;
}

describe('RFC 5321 §4.3.2', () => {
  for (const [verb, code, whose, sends, setting = {}] of PROVOKED) {
    test(`${verb}: ${code} of the ${whose}`, async () => {
      const said = await lastReply(sends, setting);
      expect(said?.slice(0, 3), said).toBe(String(code));
    });
  }

  test('421 at the connection: too many', async () => {
    gateway = await testGateway({}, { maxConnections: 1 });
    const first = await TestClient.open(gateway.port);
    const second = new TestClient(connect(gateway.port, '127.0.0.1'));
    expect(await second.reply()).toMatch(/^421 4\.7\.0/);
    first.end();
  });

  test('each reply of the RFC’s table is provoked above, or never given for a reason', () => {
    const known = [
      ...PROVOKED.map(([verb, code]) => `${verb} ${code}`),
      ...NEVER.map(([verb, code]) => `${verb} ${code}`),
    ];
    const wanted = Object.entries(RFC_5321).flatMap(([verb, codes]) =>
      codes.map((code) => `${verb} ${code}`),
    );
    expect(wanted.filter((each) => !known.includes(each))).toEqual([]);
    const provoked = new Set(PROVOKED.map(([verb, code]) => `${verb} ${code}`));
    expect(NEVER.filter(([verb, code]) => provoked.has(`${verb} ${code}`))).toEqual([]);
  });

  test('no code is used in the source that the table does not have as the gateway’s own', () => {
    const table = new Set(PROVOKED.flatMap(([, code, whose]) => (whose === 'gateway' ? [code] : [])));
    const files = ['src/smtp-in', 'src/pipeline', 'src/smtp'].flatMap(sourceFiles);
    const used = files.flatMap(({ path, text }) =>
      [...text.matchAll(CODE)].map((found) => ({
        path,
        code: Number(found.slice(1).find((each) => each !== undefined)),
      })),
    );
    expect(used.length).toBeGreaterThan(80);
    expect(used.filter(({ code }) => !table.has(code))).toEqual([]);
  });
});

/** A code where a reply is made, and both ends of a choice between two. */
const CODE =
  /(?:\b(?:reply|refusal|ownReply|tooMuch|unwelcome)\(\s*|\bcode: |(?:\?|:) )([2-5][0-5][0-9])(?=[,;)\s])(?!,?\d)|reply\(\s*\n\s*([2-5][0-5][0-9]),/g;
