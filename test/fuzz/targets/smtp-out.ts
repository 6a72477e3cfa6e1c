import { Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { bufferSource } from '../../../src/octets/buffer-source.ts';
import { stuffed } from '../../../src/smtp/dot-stuffing.ts';
import { hasBareLineEnd, hasNulBeforeDot } from '../../../src/smtp/line-faults.ts';
import { ReplyReader } from '../../../src/smtp/reply-reader.ts';
import { Stuffing } from '../../../src/smtp/stuffing.ts';
import { readToken } from '../../../src/smtp-out/access-token.ts';
import { type Answer, type MailProtocol, SmtpClient } from '../../../src/smtp-out/client.ts';
import { readServerFirst } from '../../../src/smtp-out/scram.ts';
import { type FuzzTarget, holds } from '../target.ts';
import { chunksOf } from './chunks.ts';

/** A connection without a network: what is written goes nowhere, what the server says is emitted. */
class Line extends Socket {
  override write(_octets: unknown, encodingOrDone?: unknown, done?: unknown): boolean {
    for (const each of [encodingOrDone, done]) {
      if (typeof each === 'function') process.nextTick(() => each());
    }
    return true;
  }
}

type Talk = { begun: Answer[]; told: readonly Answer[] };

/** Greeting, MAIL and two RCPT in one, DATA and a message; the server says what it says, and leaves. */
async function talk(chunks: readonly Buffer[], protocol: MailProtocol): Promise<Talk> {
  const line = new Line();
  const client = new SmtpClient(line, 'fuzz:25', protocol);
  client.useExtensions(new Map([['PIPELINING', []]]));
  const begun = Promise.all([
    client.greeting(),
    ...['MAIL FROM:<>', 'RCPT TO:<a@x.test>', 'RCPT TO:<b@x.test>'].map((command) => client.command(command)),
  ]);
  const told = client.dataForEach(bufferSource(Buffer.from('Subject: a\r\n\r\n.\r\n')), 2);
  for (const chunk of chunks) {
    if (client.lost !== null) break;
    line.emit('data', chunk);
    await turn();
  }
  line.emit('end');
  const talked = { begun: await begun, told: await told };
  holds(client.lost !== null && !client.atRest, 'a server that has left is lost');
  holds((await client.command('NOOP')).kind === 'lost', 'nothing is said to it');
  line.destroy();
  return talked;
}

function codesIn(input: Buffer): number[] {
  const reader = new ReplyReader();
  reader.push(input);
  const codes: number[] = [];
  for (let said = reader.next(); said?.kind === 'reply'; said = reader.next()) codes.push(said.reply.code);
  return codes;
}

function answersFit({ begun, told }: Talk, codes: readonly number[], protocol: MailProtocol): void {
  const codeOf = (answer: Answer): number | null => (answer.kind === 'reply' ? answer.reply.code : null);
  for (const [i, answer] of begun.entries()) {
    holds(codeOf(answer) === null || codeOf(answer) === codes[i], 'a reply belongs to its command');
  }
  const accepted = told.filter((answer) => (codeOf(answer) ?? 500) < 400);
  if (accepted.length === 0) return;
  holds(codes[begun.length] === 354, 'nothing is accepted that was not asked for');
  const needed = protocol === 'lmtp' ? accepted.length : 1;
  const after = codes.slice(begun.length + 1).filter((code) => code < 400);
  holds(after.length >= needed, 'each acceptance is one of the server');
  if (protocol === 'smtp') holds(isDeepStrictEqual(told[0], told[1]), 'by SMTP all have one answer');
}

/** What mail servers and token endpoints say to the gateway, and how a message goes to them. */
export const smtpOutTargets: readonly FuzzTarget[] = [
  {
    name: 'smtp-out-dialogue',
    form: 'lines',
    allowed: [],
    maxOctets: 4_096,
    budget: { ms: 400, usPerOctet: 50 },
    dictionary: ['220 ', '250 ', '250-', '354 ', '421 ', '452 ', '550 ', '2', '\r\n', '\n', '\r'],
    prepare: () => ({
      seeds: [
        '220 x\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 a\r\n550 b\r\n',
        '220-x\r\n220 y\r\n250 ok\r\n550 no\r\n250 ok\r\n354 \r\n250 queued\r\n',
        '220 x\r\n250 ok\r\n250 ok\r\n250 ok\r\n250 never\r\n',
        '220 x\r\n421 4.3.2 bye\r\n',
      ].map((text) => Buffer.from(text)),
      async run(input) {
        const codes = codesIn(input);
        for (const protocol of ['smtp', 'lmtp'] as const) {
          for (const chunks of [[input], chunksOf(input)]) {
            answersFit(await talk(chunks, protocol), codes, protocol);
          }
        }
        return codes;
      },
    }),
  },
  {
    name: 'smtp-out-stuffing',
    form: 'lines',
    allowed: [],
    budget: { ms: 100, usPerOctet: 8 },
    dictionary: ['.', '..', '\r\n.\r\n', '\n.\n', '\r', '\n', '\r\n', '\0', '\r\n\0.'],
    prepare: () => ({
      seeds: ['a\r\n.b\r\n', '.\r\n..\r\n', 'a\n.\r\n', '\r\r\n'].map((text) => Buffer.from(text)),
      run(input) {
        const whole = stuffed(input);
        const stuffing = new Stuffing();
        const parts = chunksOf(input)
          .filter((chunk) => chunk.length > 0)
          .flatMap((chunk) => stuffing.update(chunk) ?? []);
        const end = stuffing.finish();
        const written = Buffer.concat(parts);
        holds(!hasBareLineEnd(written), 'nothing of a bare line end is written');
        holds(!hasNulBeforeDot(written), 'no dot behind NULs is written');
        holds((whole === null) === (end === null), 'chunks hide no fault');
        if (whole === null || end === null) return null;
        const all = Buffer.concat([written, end]);
        holds(all.equals(Buffer.concat(whole)), 'chunks do not show');
        return all;
      },
    }),
  },
  {
    name: 'smtp-out-token',
    form: 'octets',
    allowed: [],
    dictionary: ['"access_token"', '"token_type"', '"expires_in"', '"Bearer"', '{', '}', ':', ',', '3600'],
    prepare: () => ({
      seeds: [
        Buffer.from('{"access_token":"abc.def","token_type":"Bearer","expires_in":3599}'),
        Buffer.from('{"error":"invalid_client"}'),
        Buffer.from('r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'),
      ],
      run(input) {
        const read = readToken(input);
        if (read !== null) {
          holds(/^[\x21-\x7e]+$/.test(read.token.reveal()), 'a token is one word');
          holds(read.seconds > 0 && Number.isFinite(read.seconds), 'it lives for a time');
        }
        const first = readServerFirst(input.toString('utf8'), 'abc');
        if (first !== null)
          holds(first.nonce.startsWith('abc') && first.iterations >= 4_096, 'as it must be');
        return { seconds: read?.seconds ?? null, first };
      },
    }),
  },
];
