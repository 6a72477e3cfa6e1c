import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { newSessionId } from '../../src/ids.ts';
import { HeaderPeek } from '../../src/imap-proxy/header-peek.ts';
import { limits } from '../../src/limits.ts';
import { AtRestMarks } from '../../src/mail-view/at-rest-marker.ts';
import { viewNames } from '../../src/mail-view/view-names.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { collect } from '../../src/octets/collect.ts';
import type { OctetSource } from '../../src/octets/source.ts';
import type { AtRestStory, UnsealOutcome } from '../../src/pipeline/ports.ts';
import { AtRestMessages } from '../../src/reading/at-rest-messages.ts';
import { systemTimers } from '../../src/reading/timers.ts';
import { principalNamed } from '../support/principal.ts';
import { EventLog, SECRET } from './support/readers.ts';

/** Mail that a client has stored and the gateway has encrypted, as one session gives it back. */

const LOGIN = 'alice@example.org';
const PATIENCE = { signal: new AbortController().signal, exhausted: new Map() };
const ORIGINAL = bufferSource(Buffer.from('as it lies there'));

/** A story that answers when a test says so. */
class Slow implements AtRestStory {
  #answer: ((outcome: UnsealOutcome) => void)[] = [];
  seal(): never {
    throw new Error('nothing is sealed');
  }
  unseal(): Promise<UnsealOutcome> {
    return new Promise((resolve) => this.#answer.push(resolve));
  }
  answer(octets: Buffer | null): void {
    const says: UnsealOutcome =
      octets === null
        ? { kind: 'failed' }
        : { kind: 'opened', octets: bufferSource(octets), discard: async () => undefined };
    this.#answer.shift()?.(says);
  }
  fail(length: number): void {
    const broken = { length, read: gone };
    const octets = broken as unknown as OctetSource;
    this.#answer.shift()?.({ kind: 'opened', octets, discard: async () => undefined });
  }
}

async function* gone() {
  yield Buffer.from('S');
  throw new Error('the disk is gone');
}

const story = new Slow();
const marks = new AtRestMarks(SECRET, viewNames('7f3a9c2e', 'gateway.example.org'), LOGIN);

function messages(): AtRestMessages {
  return new AtRestMessages({
    ...{ session: newSessionId(), principal: principalNamed(LOGIN), marks, story },
    ...{ log: new EventLog(), timers: systemTimers },
  });
}

function headerOf(octets: Buffer): Buffer {
  return new HeaderPeek().push(octets, true)?.header ?? Buffer.alloc(0);
}

function fieldFor(octets: Buffer): Buffer {
  const digest = marks.digest().update(octets).digest();
  return Buffer.from(`${marks.write({ length: octets.length, header: headerOf(octets), digest })}\r\n`);
}

test('what is opened late is never taken for a message of the mailbox that is selected meanwhile', async () => {
  const session = messages();
  const mine = Buffer.from('Subject: of the first mailbox\r\n\r\nx\r\n');
  session.learn(5, fieldFor(mine));
  const [late, failing] = [session.open(5, ORIGINAL, PATIENCE), session.open(5, ORIGINAL, PATIENCE)];
  session.forget();
  const other = Buffer.from('Subject: of the other\r\n\r\ny\r\n');
  session.learn(5, fieldFor(other));
  story.answer(mine);
  story.answer(null);
  expect(await late).toMatchObject({ kind: 'view' });
  expect(await failing).toBeNull();
  expect(session.cached(5)).toBeNull();
  expect(session.has(5)).toBe(true);
});

test('what cannot be read again for now is not taken for something else', async () => {
  const session = messages();
  const octets = Buffer.from('Subject: a\r\n\r\nb\r\n');
  session.learn(5, fieldFor(octets));
  const opening = session.open(5, ORIGINAL, PATIENCE);
  story.fail(octets.length);
  expect(await opening).toMatchObject({ kind: 'withheld', reason: { code: 'UNAVAILABLE' } });
  expect(session.has(5)).toBe(true);
});

test('a session that has ended keeps nothing of what is opened late', async () => {
  const session = messages();
  const octets = Buffer.from('Subject: a\r\n\r\nb\r\n');
  session.learn(5, fieldFor(octets));
  const opening = session.open(5, ORIGINAL, PATIENCE);
  session.end();
  story.answer(octets);
  await opening;
  expect(session.cached(5)).toBeNull();
});

test('attack: markers with large headers take no more memory than a mailbox of usual ones', () => {
  const session = messages();
  const header = `X: ${randomBytes(30_000).toString('base64')}\r\n\r\n`;
  const field = fieldFor(Buffer.from(header));
  let learnt = 0;
  while (learnt < limits.atRest.messages && session.learn(learnt + 1, field)) learnt++;
  expect(learnt * field.length).toBeLessThanOrEqual(limits.atRest.markOctets);
  expect(learnt).toBeGreaterThan(100);
  expect(session.learn(1, field)).toBe(true);
  session.forget();
  expect(session.learn(1, field)).toBe(true);
});

test('what nobody can take apart is given back as it was stored all the same', async () => {
  const session = messages();
  const parts = '--b\r\n\r\nx\r\n'.repeat(limits.mail.entities + 1);
  const octets = Buffer.from(`Content-Type: multipart/mixed; boundary=b\r\n\r\n${parts}--b--\r\n`);
  session.learn(5, fieldFor(octets));
  const opening = session.open(5, ORIGINAL, PATIENCE);
  story.answer(octets);
  const opened = await opening;
  if (opened?.kind !== 'view') throw new Error('not opened');
  expect((await collect(opened.view.octets.read())).equals(octets)).toBe(true);
  expect(session.has(5)).toBe(true);
});

test.each([
  'Subject: a\r\n\r\nb\r\n',
  'Subject: a\n\nb\n',
  'Subject: a\r\n',
  'Subject: a',
  '\r\nb\r\n',
  '\nb',
  'no field at all\r\n\r\nb',
  'From me Thu Jan  1 00:00:00 2026\r\nSubject: a\r\n\r\nb',
  'Subject: a\r\n folded\r\n\t\r\n\r\nb',
  'Subject: a\r\n \r\nb: c\r\n\r\nd',
  'Subject: a\r\rb: c\r\r\nd\r\n\r\ne',
  'Subject: a\r\n\r\r\nb',
  'Subject: a\n\r\nb',
  'Subject: a\r\n\nb',
  '--b\r\nSubject: a\r\n\r\nb',
  'Subject : a\r\n: b\r\n\r\nc',
  'Subject: \0a\r\n\r\n\0',
  '\r',
  '\r\r\n\r\n',
])('the header in the marker is the one that the message has: %j', async (text) => {
  const session = messages();
  const octets = Buffer.from(text, 'latin1');
  session.learn(5, fieldFor(octets));
  const opening = session.open(5, ORIGINAL, PATIENCE);
  story.answer(octets);
  const opened = await opening;
  if (opened?.kind !== 'view') throw new Error('not opened');
  expect(session.find(5)?.header.toString('latin1')).toBe((await opened.view.header()).toString('latin1'));
});
