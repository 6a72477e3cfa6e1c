import { isDeepStrictEqual } from 'node:util';
import {
  appendCommand,
  largestAppend,
  loginCommand,
  mailboxCommand,
} from '../../../src/imap-out/commands.ts';
import { capabilitiesIn, type Response, said } from '../../../src/imap-out/response.ts';
import { ResponseReader } from '../../../src/imap-out/response-reader.ts';
import { Secret } from '../../../src/log/secret.ts';
import { type FuzzTarget, holds } from '../target.ts';
import { chunksOf } from './chunks.ts';

type Outcome = { responses: Response[]; reason: string | null };

function read(chunks: readonly Buffer[]): Outcome {
  const reader = new ResponseReader();
  const responses: Response[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let found = reader.next(); found !== null; found = reader.next()) {
      if (found.kind === 'malformed') return { responses, reason: found.reason };
      responses.push(found.response);
    }
  }
  return { responses, reason: null };
}

/** What the mail servers of archives say, and what they are told then. */
export const imapOutTargets: readonly FuzzTarget[] = [
  {
    name: 'imap-out-response',
    form: 'lines',
    allowed: [],
    budget: { ms: 100, usPerOctet: 8 },
    dictionary: [
      ...['* ', '+ ', 'A1 ', 'OK', 'NO', 'BAD', 'BYE', 'PREAUTH', 'CAPABILITY', '[', ']', '\r\n', '\n', '\r'],
      ...['{3}\r\n', '~{0}\r\n', '{4294967296}\r\n', '[TRYCREATE]', '[APPENDUID 1 2]', 'APPENDLIMIT=1'],
      ...['AUTH=PLAIN', 'SASL-IR', 'LITERAL+', 'LOGINDISABLED', 'BINARY'],
    ],
    prepare: () => ({
      seeds: [
        '* OK [CAPABILITY IMAP4rev1 SASL-IR LITERAL+ AUTH=PLAIN APPENDLIMIT=100] ready\r\nA1 OK in\r\n',
        '* LIST () "/" {4}\r\nSent\r\nA2 NO [TRYCREATE] no\r\n+ go on\r\nA3 OK [APPENDUID 38505 3955] done\r\n',
        '* BYE idle\r\n* 3 EXISTS\r\n* X ~{0}\r\n tail {2}\r\nab\r\n',
      ].map((text) => Buffer.from(text, 'latin1')),
      run(input) {
        const whole = read([input]);
        holds(isDeepStrictEqual(read(chunksOf(input)), whole), 'chunks do not show');
        const account = { login: 'bob', password: new Secret('sesame') };
        for (const response of whole.responses) {
          if (response.kind !== 'continue') holds(!/[\r\n\0]/.test(response.text), 'a response is one line');
          if (response.kind === 'status') holds(/^[\x20-\x7e]*$/.test(said(response.text)), 'logs are clean');
          const capabilities = capabilitiesIn(response);
          if (capabilities === null) continue;
          const limit = largestAppend(capabilities);
          holds(limit === null || Number.isSafeInteger(limit), 'a limit is a number');
          const commands = [
            loginCommand(capabilities, account),
            mailboxCommand('CREATE', 'geprüft', capabilities),
            appendCommand('geprüft', Buffer.from('mail'), capabilities),
          ];
          for (const command of commands) {
            holds(
              command === null || command.every((piece) => piece.subarray(-2).toString() === '\r\n'),
              'each piece of a command ends its line',
            );
          }
        }
        return whole;
      },
    }),
  },
];
