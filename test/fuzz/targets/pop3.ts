import { isDeepStrictEqual } from 'node:util';
import { SealgateError } from '../../../src/errors.ts';
import { Stuffing, Unstuffing } from '../../../src/pop3-proxy/byte-stuffing.ts';
import { capabilitiesFor, readCapabilities } from '../../../src/pop3-proxy/capability.ts';
import { readCommandLine, writeCommand } from '../../../src/pop3-proxy/command-line.ts';
import { ReplyScanner } from '../../../src/pop3-proxy/reply-scanner.ts';
import { cleanStatus } from '../../../src/pop3-proxy/reply-text.ts';
import { type FuzzTarget, holds } from '../target.ts';
import { chunksOf } from './chunks.ts';

const text = (...lines: string[]): Buffer[] => lines.map((line) => Buffer.from(line, 'latin1'));

/** A status, then lines, then a status …; the octets of lines joined, so that pieces do not show. */
function scan(chunks: readonly Buffer[]): { events: string[]; code: string | null; left: number } {
  const scanner = new ReplyScanner(300);
  const events: string[] = [];
  let lines: string | null = null;
  try {
    for (const chunk of chunks) {
      scanner.push(chunk);
      for (;;) {
        if (lines === null) {
          const status = scanner.status();
          if (status === null) break;
          events.push(`${status.kind} ${cleanStatus(status.text, false)}`);
          if (status.kind === 'ok') lines = '';
        } else {
          const piece = scanner.body();
          if (piece === null) break;
          if (piece === 'end') {
            events.push(lines);
            lines = null;
          } else lines += piece.toString('latin1');
        }
      }
    }
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    return { events, code: error.code, left: 0 };
  }
  if (lines !== null) events.push(`begun ${lines}`);
  return { events, code: null, left: scanner.buffered };
}

function through(transform: Stuffing | Unstuffing, chunks: readonly Buffer[]): Buffer {
  return Buffer.concat([...chunks.map((chunk) => transform.update(chunk)), transform.finish()]);
}

/** Each input is read twice and the answers compared. */
const budget = { ms: 100, usPerOctet: 8 };

export const pop3Targets: readonly FuzzTarget[] = [
  {
    name: 'pop3-reply',
    form: 'lines',
    allowed: [],
    budget,
    dictionary: [
      '+OK',
      '-ERR',
      '+ ',
      '.',
      '..',
      '\r\n.\r\n',
      '\n.\n',
      '\r\n.\n',
      '\r.\r',
      '\r\n',
      '\r',
      '\n',
    ],
    prepare: () => ({
      seeds: text(
        '+OK 1 2\r\nSubject: x\r\n\r\n..dot\r\n.\r\n-ERR no\r\n',
        '+OK\r\n.\r\n+OK\r\n1 2\r\n.\r\n',
        '+OK\r\na\n.\nb\r\n.\r\n',
        '+ dGVzdA==\r\n-ERR [AUTH] no\r\n',
      ),
      run(input) {
        const whole = scan([input]);
        const pieces = scan(chunksOf(input));
        const single = scan(input.length < 2_000 ? [...input].map((octet) => Buffer.from([octet])) : [input]);
        holds(isDeepStrictEqual(closed(pieces), closed(whole)), 'pieces give the same replies');
        holds(isDeepStrictEqual(closed(single), closed(whole)), 'octets give the same replies');
        for (const event of whole.events) {
          if (/^(?:ok|error|challenge|begun) /.test(event)) continue;
          holds(event === '' || event.endsWith('\r\n'), 'lines are whole');
          holds(!/(?:^|\r\n)\.\r\n/.test(event), 'lines end at their first end');
        }
        return whole;
      },
    }),
  },
  {
    name: 'pop3-byte-stuffing',
    form: 'lines',
    allowed: [],
    budget,
    dictionary: ['.', '..', '\r\n.\r\n', '\n.\n', '\r\n.\n', '\r.\r', '\r\n', '\r', '\n'],
    prepare: () => ({
      seeds: text('Subject: x\r\n\r\n.dot\r\n..\r\n.\r\nend', '.\r\n', 'a\n.\nb\r\n.\r\n'),
      run(input) {
        const stuffed = through(new Stuffing(), [input]);
        holds(through(new Stuffing(), chunksOf(input)).equals(stuffed), 'pieces are stuffed the same');
        const { events } = scan([Buffer.from('+OK\r\n'), stuffed]);
        const [, lines = '', ...more] = events;
        holds(more.length === 0, 'a message has one end');
        const back = through(new Unstuffing(), [Buffer.from(lines, 'latin1')]);
        holds(
          through(new Unstuffing(), chunksOf(Buffer.from(lines, 'latin1'))).equals(back),
          'pieces are unstuffed the same',
        );
        const ended = input.length === 0 || input.toString('latin1').endsWith('\r\n');
        holds(
          back.equals(ended ? input : Buffer.concat([input, Buffer.from('\r\n')])),
          'a message comes as it went',
        );
        return stuffed;
      },
    }),
  },
  {
    name: 'pop3-command',
    form: 'octets',
    allowed: [],
    dictionary: [
      'RETR ',
      'TOP 1 0',
      'LIST',
      'UIDL ',
      'AUTH ',
      'PASS ',
      'USER ',
      ' ',
      '0',
      '4294967296',
      '\0',
      '\r',
    ],
    prepare: () => ({
      seeds: text(
        'RETR 1',
        'TOP 1 20',
        'LIST',
        'UIDL 3 ',
        'AUTH PLAIN AGEAYg==',
        'PASS a b',
        'USER ü',
        'quit',
        'DELE 07',
      ),
      run(input) {
        const command = readCommandLine(input);
        if (command.verb !== null && !/^(?:AUTH|PASS|USER)$/.test(command.verb)) {
          const line = writeCommand(command as Parameters<typeof writeCommand>[0]);
          holds(
            /^[A-Z]{3,4}(?: \d{1,10}){0,2}\r\n$/.test(line),
            'what goes to the server is one line in the grammar',
          );
          const again = readCommandLine(Buffer.from(line.slice(0, -2)));
          holds(isDeepStrictEqual(again, command), 'a command is read as it was written');
        }
        const capabilities = readCapabilities(input.toString('latin1').split('\n'));
        for (const line of capabilitiesFor(capabilities, {
          startTls: true,
          loginAllowed: true,
          relayMechanisms: [],
        }))
          holds(/^[A-Z][ -~]*$/.test(line), 'a capability is one printable line');
        return command;
      },
    }),
  },
];

/** Without what a body has that has not ended: how much of it is known depends on where the pieces end. */
function closed({ events, code }: { events: string[]; code: string | null }): unknown {
  return [events.filter((event) => !event.startsWith('begun ')), code];
}
