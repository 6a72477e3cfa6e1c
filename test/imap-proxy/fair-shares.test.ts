import { afterEach, beforeEach, expect, test } from 'vitest';
import type { InboundStory } from '../../src/pipeline/ports.ts';
import { Openings } from '../../src/reading/openings.ts';
import { FakeTimers } from './support/fake-timers.ts';
import { CAPABILITIES, FakeUpstream } from './support/fake-upstream.ts';
import { ImapConversation, literal } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { toyControl, toyEncrypted, toyStory } from './support/toy-story.ts';

/** One client asks for everything there is; others want to read their mail. */

const MAIL = toyEncrypted(['Subject: sealed'], 'Content-Type: text/plain\r\n\r\nwords\r\n');

let upstream: FakeUpstream;
let proxy: TestProxy;
let timers: FakeTimers;
beforeEach(async () => {
  timers = new FakeTimers();
  upstream = await FakeUpstream.start();
  // As many as a slow key allows.
  const openings = new Openings({ opening: { all: 1, each: 1 }, waiting: { all: 1, each: 1 } });
  proxy = await startTestProxy(upstream.port, { openings, timers });
});
afterEach(async () => {
  await proxy.close();
  await upstream.close();
});

/** A session that has asked for so many messages, all of which its mail server has sent. */
async function asksFor(login: string, messages: number): Promise<ImapConversation> {
  const opening = ImapConversation.open(proxy.port);
  const server = await upstream.accept();
  server.send(`* OK [CAPABILITY ${CAPABILITIES}] hello\r\n`);
  const client = await opening;
  client.send(`l LOGIN ${login} secret\r\n`);
  await server.until(/^l AUTHENTICATE PLAIN [^\r\n]*\r\n/);
  server.send('l OK in\r\n');
  await client.until(/l OK in\r\n/);
  client.send(`f UID FETCH 1:${messages} BODY.PEEK[]\r\n`);
  await server.until(/f UID FETCH [^\r]*\r\n/);
  const mail = literal(MAIL);
  for (let uid = 1; uid <= messages; uid++) server.send(`* ${uid} FETCH (UID ${uid} BODY[] ${mail})\r\n`);
  server.send('f OK done\r\n');
  return client;
}

/** Counts who has asked for a place. */
class WatchedOpenings extends Openings {
  readonly #asked = new Map<string, number>();

  override enter(login: string, ended: AbortSignal) {
    this.#asked.set(login, (this.#asked.get(login) ?? 0) + 1);
    return super.enter(login, ended);
  }

  async askedBy(login: string, times: number): Promise<void> {
    while ((this.#asked.get(login) ?? 0) < times) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A key that does one operation when a test says so. */
function steppedStory(inner: InboundStory): { story: InboundStory; step(): Promise<void> } {
  const asked: (() => void)[] = [];
  return {
    story: {
      async open(request) {
        await new Promise<void>((resolve) => asked.push(resolve));
        return inner.open(request);
      },
    },
    async step() {
      while (asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
      asked.shift()?.();
    },
  };
}

test('attack: 5,000 messages in one FETCH and four sessions more; another login waits for one of them at most, and nothing goes on when they hang up', async () => {
  const control = toyControl();
  const { story, step } = steppedStory(toyStory(control));
  await proxy.close();
  const openings = new WatchedOpenings({ opening: { all: 1, each: 1 }, waiting: { all: 1, each: 1 } });
  proxy = await startTestProxy(upstream.port, { openings, timers, story });
  const hoarders = [await asksFor('mallory@example.org', 5_000)];
  for (let session = 0; session < 4; session++) hoarders.push(await asksFor('mallory@example.org', 100));
  await openings.askedBy('mallory@example.org', 5);
  for (let steps = 0; steps < 7; steps++) await step();
  for (let reads = 1; reads <= 3; reads++) {
    const { opened } = control;
    const alice = await asksFor('alice@example.org', 1);
    await openings.askedBy('alice@example.org', reads);
    // The one that was being opened, and hers.
    const answer = alice.until(/f OK done\r\n/);
    await step();
    await step();
    expect(await answer).toContain('words');
    expect(control.opened - opened).toBeLessThanOrEqual(3);
    alice.close();
  }
  for (const each of hoarders) each.close();
  const { opened } = control;
  const bob = await asksFor('bob@example.org', 1);
  await openings.askedBy('bob@example.org', 1);
  const answer = bob.until(/f OK done\r\n/);
  await step();
  await step();
  expect(await answer).toContain('words');
  expect(control.opened - opened).toBeLessThanOrEqual(3);
  bob.close();
});

test('who waits for others is told so', async () => {
  proxy.control.mode = 'waits';
  const first = await asksFor('mallory@example.org', 1);
  await proxy.control.waitFor(1);
  const alice = await asksFor('alice@example.org', 1);
  // Of the one that is opened, and of the one that waits for it.
  while (timers.pending.filter((ms) => ms === 10_000).length < 2)
    await new Promise((resolve) => setImmediate(resolve));
  await timers.pass(10_000);
  expect(await alice.until(/\r\n/)).toBe('* OK [INPROGRESS] Waiting for other messages to be opened\r\n');
  proxy.control.typed();
  expect(await first.until(/f OK done\r\n/)).toContain('words');
  expect(await alice.until(/f OK done\r\n/)).toContain('words');
  first.close();
  alice.close();
});
