import { isDeepStrictEqual } from 'node:util';
import { goesInCircles } from '../../../src/pipeline/trace.ts';
import { readClientAttributes, writeClientAttributes } from '../../../src/smtp/client-attributes.ts';
import { readCommand } from '../../../src/smtp/command-line.ts';
import { OwnDomains } from '../../../src/smtp-in/own-domains.ts';
import { type FuzzTarget, holds } from '../target.ts';

const text = (...lines: string[]): Buffer[] => lines.map((line) => Buffer.from(line));

const budget = { ms: 100, usPerOctet: 8 };

const OWN = new OwnDomains(['example.org', '*.sub.example.org', 'xn--bcher-kva.example']);

/** What mail servers without a login are believed, and for whom their mail is taken. */
export const relayTargets: readonly FuzzTarget[] = [
  {
    name: 'relay-client-attributes',
    form: 'octets',
    allowed: [],
    dictionary: ['ADDR=', ' NAME=', ' HELO=', '+20', '+', '[UNAVAILABLE]', 'IPV6:', '=', ' ', '\0'],
    prepare: () => ({
      seeds: text('ADDR=192.0.2.1 NAME=mx.example.org', 'NAME=a+20b ADDR=[UNAVAILABLE]', 'LOGIN=x PORT=25'),
      run(input) {
        for (const verb of ['XCLIENT', 'XFORWARD'] as const) {
          const attributes = readClientAttributes(verb, input.toString('latin1'));
          if (attributes === null) continue;
          const written = writeClientAttributes(attributes);
          holds(/^[\x20-\x7e]+$/.test(written), 'what is told on is one command line');
          const again = readClientAttributes(verb, written.slice(1));
          // A long value in xtext may be longer than what is read.
          if (again !== null)
            holds(isDeepStrictEqual(again, attributes), 'it means the same to the next one');
        }
      },
    }),
    budget,
  },
  {
    name: 'relay-own-domain',
    form: 'octets',
    allowed: [],
    dictionary: [
      '@',
      '%',
      '!',
      '"',
      '\\',
      'example.org',
      '.sub.example.org',
      'bücher.example',
      '。',
      'ｅ',
      '[',
      ']',
      ':',
    ],
    prepare: () => ({
      seeds: text(
        '<bob@example.org>',
        '<"a b"@a.sub.example.org>',
        '<a%b@example.org>',
        '<a@bücher.example>',
      ),
      run(input) {
        const command = readCommand(Buffer.concat([Buffer.from('RCPT TO:'), input]));
        if (command.verb !== 'RCPT' || !OWN.has(command.mailbox)) return;
        const { localPart, domain } = command.mailbox;
        holds(!/[%!@]/.test(localPart), 'an own mailbox routes nowhere else');
        const own =
          /^(?:|example\.org|(?:[^.]+\.)+sub\.example\.org|xn--bcher-kva\.example|b(?:ü|u\u0308)cher\.example)$/iu;
        holds(own.test(domain), 'the domain is an own one to the eye too');
      },
    }),
    budget,
  },
  {
    name: 'relay-circles',
    form: 'octets',
    allowed: [],
    dictionary: ['Received:', '\r\n', '\n', '\t', ' by gateway.test (Sealgate mx) ', '\r\n\r\n'],
    prepare: () => ({
      seeds: text(
        'Received: from a by b\r\nSubject: a\r\n\r\nbody',
        'Received: a\r\n\tby gateway.test (Sealgate mx)\r\n\r\n',
      ),
      run(input) {
        const arrival = { hostname: 'gateway.test', helo: '', protocol: 'SMTP' };
        const one = goesInCircles(input, arrival, 'mx');
        const body = Buffer.from('\r\n\r\nReceived: from a by gateway.test (Sealgate mx) with x\r\n');
        const times = Buffer.concat(Array.from({ length: 3 }, () => body));
        if (input.includes('\n\r\n') || input.includes('\n\n')) {
          holds(goesInCircles(Buffer.concat([input, times]), arrival, 'mx') === one, 'a body is no trace');
        }
      },
    }),
    budget,
  },
];
