import fc from 'fast-check';
import { expect, test } from 'vitest';
import { WARM_UP_AFTER_MS } from '../../src/imap-proxy/warm-up/warm-up.ts';
import { FakeTimers } from './support/fake-timers.ts';
import { CAPABILITIES, FakeUpstream, loggedIn } from './support/fake-upstream.ts';
import { type ImapConversation, literal } from './support/imap-conversation.ts';
import { startTestProxy } from './support/listener.ts';
import { toyEncrypted } from './support/toy-story.ts';

const MAIL = toyEncrypted(['Subject: sealed'], 'Content-Type: text/plain\r\n\r\nwords\r\n');

/** A mail server that says how many messages there are whenever it says anything: one more each time. */
class TalkativeServer {
  readonly #socket: ImapConversation;
  readonly #talks: readonly boolean[];
  #at = 0;
  #idle: string | null = null;
  exists = 9;
  #heard = 0;
  #hears: () => void = () => undefined;

  constructor(socket: ImapConversation, talks: readonly boolean[]) {
    this.#socket = socket;
    this.#talks = talks;
  }

  /** Until its client has gone. */
  async run(): Promise<void> {
    for (;;) {
      const line = await this.#socket.until(/[^\r]*\r\n/).catch(() => null);
      if (line === null) return;
      this.#answer(line.trimEnd());
      this.#heard++;
      this.#hears();
    }
  }

  /** Until so many more lines have come, or IDLE goes on. */
  async heard(lines: number): Promise<void> {
    const enough = this.#heard + lines;
    while (this.#heard < enough) {
      await new Promise<void>((resolve) => {
        this.#hears = resolve;
      });
      if (this.#idle !== null) return;
    }
  }

  #answer(line: string): void {
    const [tag = '', ...words] = line.split(' ');
    const command = words.join(' ');
    const uid = /^UID FETCH ([0-9]+) /.exec(command)?.[1];
    if (line === 'DONE') {
      const idle = this.#idle;
      this.#idle = null;
      if (idle === null) throw new Error('nobody idles');
      this.#say('', `${idle} OK Idle completed\r\n`);
    } else if (this.#idle !== null) throw new Error(`in the middle of IDLE: ${line}`);
    else if (command === 'IDLE') {
      this.#idle = tag;
      this.#say('+ idling\r\n', '');
    } else if (uid !== undefined) {
      this.#say(`* 1 FETCH (UID ${uid} BODY[] ${literal(MAIL)})\r\n`, `${tag} OK fetched\r\n`);
    } else {
      this.#say(command.startsWith('UID SEARCH') ? '* SEARCH 2 3 4 5\r\n' : '', `${tag} OK done\r\n`);
    }
  }

  #say(...said: string[]): void {
    this.#socket.send(said.map((each) => `${this.#news()}${each}`).join('') + this.#newsOfIdle());
  }

  #news(): string {
    const talks = this.#talks[this.#at++ % Math.max(this.#talks.length, 1)] === true;
    return talks ? `* ${++this.exists} EXISTS\r\n` : '';
  }

  #newsOfIdle(): string {
    return this.#idle === null ? '' : this.#news();
  }
}

let opened = 0;

test('whenever a client has enough: it hears all news in their order, and one answer to each command', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.boolean(), { maxLength: 12 }),
      fc.array(fc.record({ quiet: fc.boolean(), lines: fc.nat(6), turns: fc.nat(5) }), {
        minLength: 1,
        maxLength: 5,
      }),
      async (talks, idles) => {
        const timers = new FakeTimers();
        const upstream = await FakeUpstream.start();
        const proxy = await startTestProxy(upstream.port, { warmUp: 3, timers });
        const { client, server: socket } = await loggedIn(upstream, proxy.port, CAPABILITIES);
        client.send('s SELECT INBOX\r\n');
        await socket.until(/s SELECT INBOX\r\n/);
        socket.send('* 9 EXISTS\r\n* OK [UIDVALIDITY 7] x\r\ns OK in\r\n');
        await client.until(/s OK[^\r]*\r\n/);
        const server = new TalkativeServer(socket, talks);
        const running = server.run();
        let heard = '';
        for (const [at, { quiet, lines, turns }] of idles.entries()) {
          client.send(`i${at} IDLE\r\n`);
          heard += await client.until(/\+ [^\r]*\r\n/);
          if (quiet && timers.pending.includes(WARM_UP_AFTER_MS)) {
            const interrupted = server.heard(lines);
            await timers.pass(WARM_UP_AFTER_MS);
            await interrupted;
          }
          for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
          client.send(`DONE\r\nn${at} NOOP\r\n`);
          heard += await client.until(new RegExp(`n${at} OK[^\\r]*\\r\\n`));
        }
        const numbers = [...heard.matchAll(/\* ([0-9]+) EXISTS/g)].map(([, number]) => Number(number));
        expect(numbers).toEqual(Array.from({ length: server.exists - 9 }, (_, each) => each + 10));
        const tags = [...heard.matchAll(/^(\S+) OK/gm)].map(([, tag]) => tag);
        expect(tags).toEqual(idles.flatMap((_, each) => [`i${each}`, `n${each}`]));
        expect(heard.replace(/\* [0-9]+ EXISTS\r\n|\+ [^\r]*\r\n|[in][0-9]+ OK[^\r]*\r\n/g, '')).toBe('');
        expect(proxy.control.opened).toBeLessThanOrEqual(3);
        opened += proxy.control.opened;
        client.close();
        await running;
        await proxy.close();
        await upstream.close();
      },
    ),
    { numRuns: 60 },
  );
  // It does happen, and is cut short.
  expect(opened).toBeGreaterThan(10);
  expect(opened).toBeLessThan(180);
});
