import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FetchRelay } from '../../src/imap-proxy/fetch-relay.ts';
import { Framer } from '../../src/imap-proxy/framer.ts';
import type { PassedMessage } from '../../src/imap-proxy/passed-message.ts';
import { readServerLine } from '../../src/imap-proxy/server-line.ts';
import { ShortWays } from '../../src/imap-proxy/short-ways.ts';
import { limits } from '../../src/limits.ts';
import { NAMES, RecordedViews, recordingContext } from './support/long-way.ts';

/** Messages that are longer than a chunk: by the short way their client gets what it gets by the long one, wherever they are cut. */

const ID = NAMES.installationId;
const HEADER = 'From: a@example.org\r\nSubject: hello\r\n there\r\nContent-Type: text/plain\r\n\r\n';
const TEXT = '* 1 EXPUNGE\r\nf OK {5}\r\nContent-Type: application/pkcs7-mime\r\n\r\n)\r\n'.repeat(300);

type Passed = { said: string; learnt: RecordedViews['learnt']; begun: number; failed: boolean };

/** What is said when `pieces` arrive one after another. `short`: whether there are short ways. */
function passed(pieces: readonly Buffer[], short: boolean, known: readonly number[]): Passed {
  const views = new RecordedViews();
  for (const uid of known) views.learn(uid, 'identity');
  views.learnt.length = 0;
  const said: Buffer[] = [];
  const result = { said: '', learnt: views.learnt, begun: 0, failed: false };
  const context = recordingContext(views, said);
  const framer = new Framer('server', limits.imap.upstreamLineOctets);
  const shortWays = new ShortWays(context);
  let relay: FetchRelay | PassedMessage | null = null;
  const attend = (): void => {
    for (;;) {
      const found = short ? shortWays.next(framer, new Map()) : { kind: 'other' as const };
      if (found.kind === 'coming') return;
      if (found.kind !== 'other') said.push(found.octets);
      if (found.kind === 'begun') {
        relay = found.rest;
        result.begun++;
      }
      if (found.kind !== 'other') continue;
      const event = framer.next();
      if (event === null) return;
      if (event.type === 'literal')
        void relay?.literal(event.octets, event.remaining)?.catch(() => undefined);
      else {
        const line = event.first ? readServerLine(event.octets) : null;
        if (line?.kind === 'fetch') relay = new FetchRelay(context, line.msn);
        const at = line?.kind === 'fetch' ? line.at : 0;
        void relay?.line(event.octets, at, event.literal)?.catch(() => undefined);
      }
    }
  };
  try {
    for (const piece of pieces) {
      framer.push(piece);
      attend();
    }
  } catch {
    result.failed = true;
  }
  return { ...result, said: Buffer.concat(said).toString('latin1') };
}

function cut(text: string, at: readonly number[]): Buffer[] {
  const octets = Buffer.from(text, 'latin1');
  const places = [0, ...at.map((each) => each % (octets.length + 1)), octets.length].sort((a, b) => a - b);
  return places.slice(1).map((place, i) => octets.subarray(places[i], place));
}

function message(uid: number, literal: string, label = 'BODY[]', tail = ''): string {
  return `* ${uid} FETCH (UID ${uid} RFC822.SIZE 7 ${label} {${literal.length}}\r\n${literal}${tail})\r\n`;
}

function isSame(text: string, at: readonly number[], known: readonly number[] = []): number {
  const short = passed(cut(text, at), true, known);
  const long = passed([Buffer.from(text, 'latin1')], false, known);
  expect({ ...short, begun: 0 }).toEqual({ ...long, begun: 0 });
  return short.begun;
}

test('messages that come in chunks are passed on as they come', () => {
  const text = message(1, HEADER + TEXT) + message(2, HEADER + TEXT) + message(3, HEADER + TEXT);
  expect(isSame(text, [4_000, 16_000, 30_000, 50_000])).toBe(3);
  expect(isSame(text.slice(0, -7), [4_000, 16_000, 30_000, 50_000])).toBe(3);
});

test('fields that only begin like ours keep no message', () => {
  const fields =
    'X-Spam-Status: No\r\nAuthentication-Results: mx.example.net;\r\n dkim=pass\r\nX-Sealgate-1: x\r\n';
  expect(isSame(message(1, fields + HEADER + TEXT), [4_000])).toBe(1);
});

test('a header that is cut is waited for, and nothing before it is said', () => {
  const text = message(1, HEADER + TEXT);
  const start = text.indexOf('\r\n') + 2;
  for (let at = 1; at < start + HEADER.length; at++) {
    expect(passed(cut(text.slice(0, at), []), true, []).said).toBe('');
    expect(isSame(text, [at, 9_000])).toBe(1);
  }
});

test('the end of a message is where it is, wherever it is cut', () => {
  for (const tail of [
    '',
    ' FLAGS (\\Seen)',
    ` BODY[TEXT] {5}\r\nwords`,
    ' UID 1',
    ' X',
    ' "',
    ' BODY[HEADER] {5}\r\nA: b\n',
  ]) {
    const text = message(1, HEADER + TEXT, 'BODY[]', tail) + message(2, HEADER + TEXT);
    const end = text.indexOf(`)\r\n* 2 FETCH`) + 3;
    for (let at = end - tail.length - 6; at < end + 60; at++) {
      for (const uids of [[], [1, 2]]) isSame(text, [9_000, at, at + 2], uids);
    }
  }
});

test('parts and pieces of a message that is known', () => {
  for (const label of ['BODY[TEXT]', 'BODY[1]', 'BODY[1.2]<0>', 'BODY[2]<70000>']) {
    const text = message(1, TEXT, label) + message(2, TEXT, label);
    expect(isSame(text, [9_000, 30_000], [1, 2])).toBe(2);
    expect(isSame(text, [], [1, 2])).toBe(0);
    expect(isSame(text, [9_000, 30_000])).toBe(0);
  }
});

const LONG: readonly [name: string, header: string][] = [
  ['an encrypted message', 'Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n'],
  ['a signed message', 'Content-Type: multipart/signed; protocol="x"\r\n\r\n'],
  ['a status of ours', `X-Sealgate-${ID}: valid\r\n\r\n`],
  [
    'our Authentication-Results',
    `X-Sender: a\r\nAuthentication-Results: mx\r\n (${ID.toUpperCase()}); smime=pass\r\n\r\n`,
  ],
  [
    'a status with a backslash',
    `Authentication-Results: "${ID.slice(0, 3)}\\${ID.slice(3)}"; smime=pass\r\n\r\n`,
  ],
  ['a lone LF', 'From: a\nContent-Type: application/pkcs7-mime\r\n\r\n'],
  ['a lone CR', `From: a\rX-Sealgate-${ID}: valid\r\n\r\n`],
  ['a NUL', 'From: a\0\r\n\r\n'],
  ['a blank before the colon', 'Content-Type : text/plain\r\n\r\n'],
];

test.each(LONG)('attack or not: %s takes the long way', (_name, header) => {
  const text = message(1, header + TEXT);
  expect(passed(cut(text, [9_000]), true, []).begun).toBe(0);
  expect(isSame(message(1, header + TEXT), [9_000], [1])).toBe(0);
});

test('a header without an end is not waited for longer than it is read', () => {
  const text = message(1, 'X: y\r\n'.repeat(20_000));
  const held = passed(cut(text.slice(0, 60_000), [16_000, 32_000, 48_000]), true, [1]);
  expect(held.begun).toBe(0);
  isSame(text, [16_000, 32_000, 48_000, 64_000]);
});

test('hostile messages, cut anywhere: the client gets the same', () => {
  const piece = fc.constantFrom(
    ...[
      'From: a\r\n',
      HEADER,
      TEXT,
      'X-Spam: x\r\n',
      `X-Sealgate-${ID}: x\r\n`,
      'Content-Type: ',
      'text/plain',
    ],
    ...[
      'application/pkcs7-mime',
      '\r\n',
      '\r\n\r\n',
      '\r',
      '\n',
      '\0',
      ' ',
      ')',
      ID,
      'Authentication-Results: ',
    ],
  );
  const label = fc.constantFrom(
    'BODY[]',
    'BODY[]',
    'BODY[]<0>',
    'BODY[TEXT]',
    'BODY[1]<5>',
    'BODY[HEADER]',
    'RFC822',
  );
  const tail = fc.constantFrom(
    '',
    '',
    '',
    ' FLAGS ()',
    ' UID 9',
    ' BODY[TEXT] {3}\r\nabc',
    ' {3}\r\nabc',
    '(',
    ' ENVELOPE NIL',
  );
  const one = fc.record({ pieces: fc.array(piece, { maxLength: 6 }), label, tail, ends: fc.boolean() });
  let begun = 0;
  fc.assert(
    fc.property(
      fc.array(one, { minLength: 1, maxLength: 3 }),
      fc.array(fc.nat(90_000), { maxLength: 6 }),
      fc.subarray([1, 2, 3]),
      (messages, at, known) => {
        const text = messages
          .map((each, n) =>
            message(n + 1, each.pieces.join('') + (each.ends ? HEADER + TEXT : ''), each.label, each.tail),
          )
          .join('');
        begun += isSame(text, at, known);
      },
    ),
    { numRuns: 1_500 },
  );
  expect(begun).toBeGreaterThan(200);
});
