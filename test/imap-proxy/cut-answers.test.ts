import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ImapConversation, literal } from './support/imap-conversation.ts';
import { startTestSession, type TestSession } from './support/test-session.ts';
import { toyEncrypted } from './support/toy-story.ts';

const ENCRYPTED = toyEncrypted(['From: a@example.org'], 'Content-Type: text/plain\r\n\r\nplain words\r\n');
const CONTENT_TYPE = /Content-Type: [^\r\n]*\r\n/.exec(ENCRYPTED.toString('latin1'))?.[0] ?? '';

let client: ImapConversation;
let server: ImapConversation;
let close: TestSession['close'];

beforeEach(async () => {
  ({ client, server, close } = await startTestSession());
});

afterEach(() => close());

function listed(uid: number, header: string): string {
  const fields = literal(`From: a@example.org\r\n${header}\r\n`);
  return `* ${uid} FETCH (UID ${uid} FLAGS () BODY[HEADER.FIELDS (FROM CONTENT-TYPE)] ${fields})\r\n`;
}

/** What a mail server says to a command, and its tagged line. */
const ANSWERS: readonly [name: string, command: string, answer: string][] = [
  [
    'a listing',
    'UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (FROM CONTENT-TYPE)])',
    [
      listed(1, 'Content-Type: text/plain\r\n'),
      listed(2, CONTENT_TYPE),
      '* 7 EXISTS\r\n',
      listed(3, 'Content-Type: text/plain\r\n'),
      'TAGXX OK done\r\n',
    ].join(''),
  ],
  [
    'whole messages',
    'UID FETCH 8:* (BODY.PEEK[])',
    [
      `* 8 FETCH (UID 8 BODY[] ${literal('Subject: x\r\n\r\n* 1 EXPUNGE\r\n{5}\r\n')})\r\n`,
      '* OK still here {5}\r\n',
      `* 9 FETCH (UID 9 BODY[] ${literal('Subject: y\r\n\r\ntext\r\n')} FLAGS ())\r\n`,
      'TAGXX OK [NOMODSEQ] done\r\n',
    ].join(''),
  ],
];

/** Until octets that were sent have been read, if nothing else keeps the machine busy. */
async function turns(): Promise<void> {
  for (let i = 0; i < 4; i++) await setImmediate();
}

test.each(ANSWERS)('%s: wherever it is cut, the client hears the same', async (_name, command, answer) => {
  const heardOf = async (tag: string, cut: number): Promise<string> => {
    client.send(`${tag} ${command}\r\n`);
    await server.until(new RegExp(`${tag} [^\\r\\n]*\\r\\n`));
    const said = answer.replaceAll('TAGXX', tag);
    server.send(said.slice(0, cut));
    await turns();
    server.send(said.slice(cut));
    const heard = await client.until(new RegExp(`(?:^|\\r\\n)${tag} [^\\r\\n]*\\r\\n$`));
    return heard.replaceAll(tag, 'TAGXX');
  };
  // Tags of one length, so that all answers are of one.
  const whole = await heardOf('t0000', 0);
  expect(whole.match(/\* [0-9]+ FETCH/g)?.length).toBe(answer.match(/\* [0-9]+ FETCH/g)?.length);
  for (let cut = 1; cut < answer.length; cut++) {
    expect(await heardOf(`t${String(cut).padStart(4, '0')}`, cut)).toBe(whole);
  }
});
