import { isDeepStrictEqual } from 'node:util';
import { decodeBase64 } from '../../../src/sasl/base64.ts';
import { canonicalLogin } from '../../../src/sasl/canonical-login.ts';
import {
  type Credentials,
  plainMessage,
  readLogin,
  readOauthBearer,
  readPlain,
  readXoauth2,
} from '../../../src/sasl/credentials.ts';
import { principalLogin } from '../../../src/sasl/principal-login.ts';
import { rawLogin } from '../../../src/sasl/raw-login.ts';
import { RELAYED_MECHANISMS, readRelayedIdentity } from '../../../src/sasl/relayed-identity.ts';
import { readCommand } from '../../../src/smtp/command-line.ts';
import { MessageCollector, stuffed } from '../../../src/smtp/dot-stuffing.ts';
import { maxMessageOctets, readExtensions } from '../../../src/smtp/extensions.ts';
import {
  hasBareLineEnd,
  hasNulBeforeDot,
  type LineFault,
  LineFaults,
} from '../../../src/smtp/line-faults.ts';
import { LineReader } from '../../../src/smtp/line-reader.ts';
import { writeParameters } from '../../../src/smtp/parameters.ts';
import { writePath } from '../../../src/smtp/path.ts';
import { formatReply } from '../../../src/smtp/reply.ts';
import { ReplyReader } from '../../../src/smtp/reply-reader.ts';
import { limitsOffered } from '../../../src/smtp/transaction-limits.ts';
import { Unstuffing } from '../../../src/smtp/unstuffing.ts';
import { linesOf } from '../mutate-lines.ts';
import { type FuzzTarget, holds } from '../target.ts';
import { chunksOf } from './chunks.ts';

const text = (...lines: string[]): Buffer[] => lines.map((line) => Buffer.from(line));

/** What a reader that is fed in pieces gives, until it wants more for good. */
function drain<T>(
  reader: { push(chunk: Buffer): void; next(): T | null },
  chunks: readonly Buffer[],
  ended: (event: T) => boolean,
): T[] {
  const found: T[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let event = reader.next(); event !== null; event = reader.next()) {
      found.push(event);
      if (ended(event)) return found;
    }
  }
  return found;
}

/** Each input is read twice and the answers compared; it may have a line in every two octets. */
const budget = { ms: 100, usPerOctet: 8 };

export const smtpTargets: readonly FuzzTarget[] = [
  {
    name: 'smtp-command',
    form: 'octets',
    allowed: [],
    dictionary: [
      'MAIL FROM:',
      'RCPT TO:',
      'AUTH PLAIN ',
      'BDAT ',
      ' LAST',
      ' SIZE=1',
      ' BODY=8BITMIME',
      ' SMTPUTF8',
      ' ORCPT=rfc822;',
      '<>',
      '[IPv6:',
      '"',
      '\\',
      '@',
      'ü',
      '\0',
    ],
    prepare: () => ({
      seeds: text(
        'EHLO client.example.org',
        'MAIL FROM:<"a b"@example.org> SIZE=100 BODY=8BITMIME RET=HDRS ENVID=x+20y',
        'RCPT TO:<bob@[IPv6:2001:db8::1]> NOTIFY=NEVER ORCPT=rfc822;bob@x',
        'RCPT TO: <ü@ü.example>',
        'AUTH PLAIN AGEAYg==',
        'NOOP',
        'BDAT 86 LAST',
      ),
      run(input) {
        const command = readCommand(input);
        if (command.verb === 'MAIL' || command.verb === 'RCPT') {
          // What goes to the upstream is read there as here.
          const path = writePath(command.verb === 'MAIL' ? command.reversePath : command.mailbox);
          const keyword = command.verb === 'MAIL' ? 'MAIL FROM:' : 'RCPT TO:';
          const line = `${keyword}${path}${writeParameters(command.parameters)}`;
          holds(!/[\x00-\x1f\x7f]/.test(line), 'no control goes to the upstream');
          const again = readCommand(Buffer.from(line));
          holds(isDeepStrictEqual(again, command), 'a command is read as it was written');
        }
        if (command.verb === 'BDAT') {
          const line = `BDAT ${command.octets}${command.last ? ' LAST' : ''}`;
          holds(isDeepStrictEqual(readCommand(Buffer.from(line)), command), 'a chunk is announced as it was');
        }
        if (/^BDAT(?![A-Za-z0-9])/i.test(input.toString('latin1', 0, 5))) {
          holds(command.verb === 'BDAT' || command.verb === 'fatal', 'no octets of a chunk become commands');
        }
        return command;
      },
    }),
  },
  {
    name: 'smtp-lines',
    form: 'lines',
    allowed: [],
    budget,
    prepare: () => ({
      seeds: text('EHLO a\r\nNOOP\r\n', 'x\ny\r\n', `${'x'.repeat(300)}\r\nQUIT\r\n`),
      run(input) {
        const ended = ({ kind }: { kind: string }): boolean => kind === 'bare-line-end';
        const pieces = drain(new LineReader(200), chunksOf(input), ended);
        const whole = drain(new LineReader(200), [input], ended);
        holds(isDeepStrictEqual(pieces, whole), 'pieces give the same lines');
        const texts = linesOf(input).map((line) => line.toString('latin1'));
        if (texts.at(-1)?.endsWith('\n') === false) texts.pop();
        const bare = texts.findIndex((line) => !/^[^\r]*\r\n$/.test(line));
        const short = bare === -1 ? texts : texts.slice(0, bare);
        if (!whole.some(({ kind }) => kind === 'too-long')) {
          const expected = short.map((line) => Buffer.from(line.slice(0, -2), 'latin1'));
          const given = whole.flatMap((line) => (line.kind === 'line' ? [line.octets] : []));
          holds(isDeepStrictEqual(given, expected), 'lines end with CRLF and with nothing else');
          holds((bare !== -1) === whole.some(ended), 'a bare line end ends it all');
        }
        return whole;
      },
    }),
  },
  {
    name: 'smtp-reply',
    form: 'lines',
    allowed: [],
    budget,
    dictionary: ['250-', '250 ', '334 ', '5.7.1 ', 'SIZE 100', 'AUTH PLAIN LOGIN', '\r\n', '\n', '\xff'],
    prepare: () => ({
      seeds: text(
        '250-mx\r\n250-SIZE 1000\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n',
        '334 \r\n',
        '550 5.7.1 no\r\n250 ok\r\n',
      ),
      run(input) {
        const ended = ({ kind }: { kind: string }): boolean => kind === 'malformed';
        const pieces = drain(new ReplyReader(), chunksOf(input), ended);
        const whole = drain(new ReplyReader(), [input], ended);
        holds(isDeepStrictEqual(pieces, whole), 'pieces give the same replies');
        for (const outcome of whole) {
          if (outcome.kind !== 'reply') continue;
          maxMessageOctets(readExtensions(outcome.reply), 1_000);
          const offered = limitsOffered(readExtensions(outcome.reply));
          holds(/^LIMITS(?: [A-Z]+=[1-9][0-9]{0,5})+$/.test(offered), 'limits are written as they are read');
          const again = drain(new ReplyReader(), [Buffer.from(formatReply(outcome.reply))], ended);
          holds(isDeepStrictEqual(again, [outcome]), 'a reply is read as it was written');
        }
        return whole;
      },
    }),
  },
  {
    name: 'smtp-dot-stuffing',
    form: 'lines',
    allowed: [],
    budget,
    dictionary: ['.', '..', '\r\n.\r\n', '\n.\n', '\r\n.\n', '\r.\r', '\r\n', '\r', '\n'],
    prepare: () => ({
      seeds: text('Subject: x\r\n\r\n.dot\r\n..\r\n.\r\nMAIL', '.\r\n', 'x\r\n.\r\n', 'a\n.\nb\r\n.\r\n'),
      run(input) {
        const collect = (chunks: readonly Buffer[]) => {
          const collector = new MessageCollector(60_000);
          for (const [index, chunk] of chunks.entries()) {
            const step = collector.push(chunk);
            if (step.kind === 'end') {
              const rest = Buffer.concat([step.rest, ...chunks.slice(index + 1)]);
              return { collected: collector.collected(), rest };
            }
          }
          return null;
        };
        const whole = collect([input]);
        const pieces = collect(chunksOf(input));
        holds(isDeepStrictEqual(pieces, whole), 'pieces give the same message');
        if (whole?.collected.kind === 'message') {
          holds(!hasBareLineEnd(whole.collected.octets), 'no bare line end gets through');
        }
        // The same as a stream: octets, what is behind them, and what is wrong with them.
        const streamed = [[input], chunksOf(input)].map(unstuffed);
        const comparable = streamed.map((each) => each && { ...each, fault: each.fault !== null });
        holds(isDeepStrictEqual(comparable[1], comparable[0]), 'chunks give the same stream');
        holds(
          (streamed[0] ?? null) === null
            ? whole === null
            : whole !== null && streamed[0]?.rest.equals(whole.rest) === true,
          'data ends at the same place',
        );
        if (whole?.collected.kind === 'message') {
          holds(streamed[0]?.octets.equals(whole.collected.octets) === true, 'the stream is the message');
          holds(
            (streamed[0]?.fault === 'nul-before-dot') === hasNulBeforeDot(whole.collected.octets),
            'NULs are found in a stream too',
          );
        } else if (whole?.collected.kind === 'bare-line-end') {
          holds(streamed[0]?.fault != null, 'no bare line end gets through a stream');
        }
        const sent = stuffed(input);
        if (sent !== null) {
          const back = collect([Buffer.concat(sent)]);
          holds(back?.rest.length === 0, 'a message has one end');
          const ended =
            input.length === 0 || input.at(-1) === 10 ? input : Buffer.concat([input, Buffer.from('\r\n')]);
          if (back?.collected.kind === 'message')
            holds(back.collected.octets.equals(ended), 'a message comes as it went');
        }
        return whole;
      },
    }),
  },
  {
    name: 'sasl-credentials',
    form: 'octets',
    allowed: [],
    dictionary: ['\0', '\x01', 'auth=Bearer ', 'user=', 'n,a=', ',,', '=2C', '=3D', 'ü', ',n=', ',r='],
    prepare: () => ({
      seeds: text(
        '\0user\0pass',
        'a\0b\0c',
        'user=a\x01auth=Bearer t\x01\x01',
        'n,a=a=2Cb,\x01host=x\x01auth=Bearer t\x01\x01',
        'dXNlcg==',
        'n,a=user,n=user,r=nonce',
        `user ${'0'.repeat(32)}`,
      ),
      run(input) {
        const middle = input.length >> 1;
        const all = [
          readPlain(input),
          readXoauth2(input),
          readOauthBearer(input),
          readLogin(input.subarray(0, middle), input.subarray(middle)),
        ];
        for (const mechanism of RELAYED_MECHANISMS) {
          const relayed = readRelayedIdentity(mechanism, input);
          if (relayed.kind === 'refused') continue;
          const login = canonicalLogin(Buffer.from(relayed.login));
          holds(login === relayed.login, 'whose login is relayed is a login');
        }
        for (const read of all) if (isCredentials(read)) principalLogin(read);
        for (const read of all) {
          const stored = isCredentials(read) ? rawLogin(read, 'r') : null;
          holds(
            stored === null || (isCredentials(read) && `${stored.login}r` === read.login),
            'the suffix is off',
          );
        }
        const [plain] = all;
        if (plain !== undefined && isCredentials(plain)) {
          const again = readPlain(plainMessage(plain));
          holds(
            isCredentials(again) &&
              again.login === plain.login &&
              again.secret.reveal() === plain.secret.reveal(),
            'credentials are read as they were written',
          );
        }
        // A secret keeps its value from comparison.
        const shown = all.map((read) => (isCredentials(read) ? [read.login, read.secret.reveal()] : read));
        return [shown, canonicalLogin(input), decodeBase64(input)];
      },
    }),
  },
];

/** A message as it comes in a stream; null where it does not end. */
function unstuffed(
  chunks: readonly Buffer[],
): { octets: Buffer; rest: Buffer; fault: LineFault | null } | null {
  const unstuffing = new Unstuffing();
  const faults = new LineFaults();
  const octets: Buffer[] = [];
  let fault: LineFault | null = null;
  for (const [index, chunk] of chunks.entries()) {
    const out = unstuffing.update(chunk);
    octets.push(out.octets);
    fault ??= faults.update(out.octets);
    if (out.rest === null) continue;
    fault ??= faults.finish();
    return {
      octets: Buffer.concat(octets),
      rest: Buffer.concat([out.rest, ...chunks.slice(index + 1)]),
      fault,
    };
  }
  return null;
}

function isCredentials(read: Credentials | ReturnType<typeof readPlain>): read is Credentials {
  return read.kind !== 'refused';
}
