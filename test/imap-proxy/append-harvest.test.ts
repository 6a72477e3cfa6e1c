import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { newSessionId } from '../../src/ids.ts';
import { Harvesting, type HarvestingBounds } from '../../src/imap-proxy/append/harvesting.ts';
import { KeptAside } from '../../src/imap-proxy/append/kept-aside.ts';
import { limits } from '../../src/limits.ts';
import type { Event } from '../../src/log/events.ts';
import { collect } from '../../src/octets/collect.ts';
import type { OctetSource } from '../../src/octets/source.ts';
import type { HarvestStory, Principal } from '../../src/pipeline/ports.ts';
import { principalNamed } from '../support/principal.ts';
import { CAPABILITIES, FakeUpstream, loggedIn } from './support/fake-upstream.ts';
import type { ImapConversation } from './support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { toyAtRest, toyMailboxes } from './support/toy-at-rest.ts';

/** What is handed over to be learned from: signed mail that the mail server has accepted, octet by octet, and nothing else. */

const CLEAR = 'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=b';
const OPAQUE = 'Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m';
const ENCRYPTED = 'Content-Type: application/pkcs7-mime; smime-type=enveloped-data';
const BOUNDS: HarvestingBounds = {
  headerOctets: 1_000,
  messageOctets: 4_000,
  messages: { all: 20, each: 10 },
  octets: { all: 16_000, each: 8_000 },
  atOnce: 2,
};
const RULES = [
  { mailbox: ['Safe'], specialUse: null, login: null, store: 'at-rest', subject: 'keep' },
] as const;

/** Keeps what it is told; where it is held, those that it is told of go on until they are let go. */
class ToyHarvest implements HarvestStory {
  readonly learned: string[] = [];
  running = 0;
  mostAtOnce = 0;
  held: Promise<void> | null = null;
  /** The directory takes its time. */
  heldWriting: Promise<void> | null = null;
  writing = 0;
  trouble: Error | null = null;

  async verify(_principal: Principal, octets: OctetSource) {
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.running);
    try {
      const text = (await collect(octets.read())).toString('latin1');
      await this.held;
      if (this.trouble !== null) throw this.trouble;
      return {
        harvest: async () => {
          this.writing++;
          await this.heldWriting;
          this.learned.push(text);
        },
      };
    } finally {
      this.running--;
    }
  }

  async until(condition: (story: this) => boolean): Promise<void> {
    while (!condition(this)) await new Promise((resolve) => setImmediate(resolve));
  }
}

let story: ToyHarvest;
let harvesting: Harvesting;
let events: Event[];
let upstream: FakeUpstream;
let proxy: TestProxy;
let client: ImapConversation;
let server: ImapConversation;

beforeEach(async () => {
  story = new ToyHarvest();
  events = [];
  harvesting = new Harvesting(story, { write: (event) => void events.push(event) }, BOUNDS);
  upstream = await FakeUpstream.start();
  proxy = await startTestProxy(upstream.port, { harvesting });
  ({ client, server } = await loggedIn(upstream, proxy.port, `${CAPABILITIES} MULTIAPPEND REPLACE`));
});
afterEach(async () => {
  client.socket.destroy();
  await proxy.close();
  await upstream.close();
  await harvesting.close();
});

function mail(contentType: string, words: string, length = 0): string {
  const header = `From: alice@example.org\r\nMIME-Version: 1.0\r\n${contentType}\r\n\r\n`;
  return `${header}${words}\r\n`.padEnd(length, '.');
}

/** A command goes through whole, and this is the mail server's answer. */
async function stores(command: string, answer = 'OK stored'): Promise<void> {
  client.send(`${command}\r\n`);
  await server.until(new RegExp(`^[^]{${command.length}}\\r\\n`));
  const tag = command.split(' ')[0] ?? '';
  server.send(`${tag} ${answer}\r\n`);
  expect(await client.until(new RegExp(`${tag} [^\\r\\n]*\\r\\n`))).toContain(`${tag} ${answer}\r\n`);
}

/** Everything that came before a last one, which is surely learned from. */
async function learnedBefore(): Promise<string[]> {
  const last = mail(CLEAR, 'the last one');
  await stores(`last APPEND Sent {${last.length}+}\r\n${last}`);
  await story.until(({ learned }) => learned.includes(last));
  await story.until(({ running }) => running === 0);
  return story.learned.filter((each) => each !== last);
}

describe('signed mail that was accepted', () => {
  test.each([
    ['clear', CLEAR],
    ['opaque', OPAQUE],
    ['folded', CLEAR.replace('; ', ';\r\n\t')],
  ])('%s: its very octets', async (_, contentType) => {
    const octets = mail(contentType, 'signed', 3_000);
    await stores(`a APPEND "S 1" (\\Seen) "02-Jan-2026 03:04:05 +0000" {${octets.length}+}\r\n${octets}`);
    expect(await learnedBefore()).toEqual([octets]);
  });

  test('in a mailbox whose name is a literal, in UTF8 (RFC 6855), as literal8, by REPLACE', async () => {
    const octets = mail(CLEAR, 'signed');
    await stores(`a APPEND {4+}\r\nSent (\\Seen) {${octets.length}+}\r\n${octets}`);
    await stores(`b APPEND Sent UTF8 (~{${octets.length}+}\r\n${octets})`);
    await stores(`c APPEND Sent ~{${octets.length}+}\r\n${octets}`);
    await stores(`d UID REPLACE 7 Sent {${octets.length}+}\r\n${octets}`);
    expect(await learnedBefore()).toEqual([octets, octets, octets, octets]);
  });

  test('several by one command (MULTIAPPEND), those that are not signed left out', async () => {
    const [one, two] = [mail(CLEAR, 'one'), mail(OPAQUE, 'two')];
    const plain = mail('Content-Type: text/plain', 'plain');
    const pieces = [one, plain, two].map((each) => ` (\\Seen) {${each.length}+}\r\n${each}`);
    await stores(`a APPEND Sent${pieces.join('')}`);
    expect(await learnedBefore()).toEqual([one, two]);
  });

  test('an octet at a time', async () => {
    const octets = mail(CLEAR, 'signed');
    client.send(`a APPEND Sent {${octets.length}+}\r\n`);
    await server.until(/\{\d+\+\}\r\n/);
    for (const octet of octets) {
      client.send(octet);
      await server.until(/^[\s\S]/);
    }
    client.send('\r\n');
    server.send('a OK\r\n');
    expect(await learnedBefore()).toEqual([octets]);
  });

  test('encrypted before it is stored (at-rest): what the client has sent', async () => {
    await proxy.close();
    const storing = { rules: RULES, story: toyAtRest(), mailboxes: toyMailboxes() };
    proxy = await startTestProxy(upstream.port, { harvesting, storing });
    ({ client, server } = await loggedIn(upstream, proxy.port));
    const octets = mail(CLEAR, 'signed', 2_000);
    for (const [tag, status] of [
      ['a', 'NO'],
      ['b', 'OK'],
    ] as const) {
      client.send(`${tag} APPEND Safe {${octets.length}+}\r\n${octets}\r\n`);
      const line = await server.until(new RegExp(`^${tag} APPEND Safe \\{\\d+\\}\\r\\n`));
      server.send('+ go\r\n');
      const stored = await server.until(new RegExp(`^[^]{${/\{(\d+)/.exec(line)?.[1]}}\\r\\n`));
      expect(stored).not.toContain('signed\r\n');
      server.send(`${tag} ${status} said\r\n`);
      await client.until(new RegExp(`${tag} ${status} said\\r\\n`));
    }
    expect(await learnedBefore()).toEqual([octets]);
  });
});

describe('nothing is learned from', () => {
  test.each([
    ['mail that is not signed', mail('Content-Type: text/plain', CLEAR)],
    ['encrypted mail', mail(ENCRYPTED, 'secret')],
    ['a signature of another kind', mail(CLEAR.replace('pkcs7', 'pgp'), 'x')],
    ['two Content-Types', mail(`${CLEAR}\r\nContent-Type: text/plain`, 'x')],
    ['a header without an end', `${CLEAR}\r\nX: y`],
    ['a header beyond the bound', mail(`X: ${'x'.repeat(BOUNDS.headerOctets)}\r\n${CLEAR}`, 'x')],
    ['a message beyond the bound', mail(CLEAR, 'x', BOUNDS.messageOctets + 1)],
  ])('%s', async (_, octets) => {
    await stores(`a APPEND Sent {${octets.length}+}\r\n${octets}`);
    expect(await learnedBefore()).toEqual([]);
  });

  test.each(['NO [OVERQUOTA] full', 'BAD what'])('what is refused: %s', async (answer) => {
    const octets = mail(CLEAR, 'refused');
    await stores(`a APPEND Sent {${octets.length}+}\r\n${octets}`, answer);
    expect(await learnedBefore()).toEqual([]);
  });

  test('what is refused before it was sent, or in the middle of it, even with OK', async () => {
    const octets = mail(CLEAR, 'refused', 2_000);
    client.send(`a APPEND Sent {${octets.length}}\r\n`);
    await server.until(/\}\r\n/);
    server.send('a NO [TRYCREATE] none\r\n');
    await client.until(/a NO /);
    client.send(`b APPEND Sent {${octets.length}+}\r\n${octets.slice(0, 1_000)}`);
    await server.until(/\}\r\n[\s\S]{1000}/);
    server.send('b OK already\r\n');
    await client.until(/b OK already\r\n/);
    client.send(`${octets.slice(1_000)}\r\n`);
    await server.until(/^[\s\S]{1000}\r\n/);
    expect(await learnedBefore()).toEqual([]);
  });

  test('messages that their client cancels by an empty one (RFC 3502 §6.3.11)', async () => {
    const octets = mail(CLEAR, 'cancelled');
    await stores(`a APPEND Sent {${octets.length}+}\r\n${octets} {0+}\r\n`, 'NO cancelled');
    expect(await learnedBefore()).toEqual([]);
  });

  test('a message of which the connection breaks: its room is free again', async () => {
    const octets = mail(CLEAR, 'cut', BOUNDS.messageOctets);
    for (let round = 0; round < 5; round++) {
      client.send(`a APPEND Sent {${octets.length}+}\r\n${octets.slice(0, 3_000)}`);
      await server.until(/\}\r\n[\s\S]{3000}/);
      client.socket.destroy();
      await server.rest();
      ({ client, server } = await loggedIn(upstream, proxy.port));
    }
    expect(await learnedBefore()).toEqual([]);
  });

  test('pieces of a message that the mail server puts together (CATENATE)', async () => {
    const octets = mail(CLEAR, 'a piece');
    client.send(`a APPEND Sent CATENATE (TEXT {${octets.length}+}\r\n${octets})\r\n`);
    await client.until(/a BAD /);
    await stores(`b APPEND {4+}\r\nSent CATENATE (TEXT {${octets.length}+}\r\n${octets})`);
    await stores(
      `c APPEND {4+}\r\nSent CATENATE (URL {1+}\r\n1 TEXT {${octets.length}+}\r\n${octets}) {${octets.length}+}\r\n${octets}`,
    );
    expect(await learnedBefore()).toEqual([]);
  });

  test('a whole message before pieces of another one', async () => {
    const octets = mail(CLEAR, 'whole');
    const literal = `{${octets.length}+}\r\n${octets}`;
    await stores(`a APPEND Sent ${literal} CATENATE (TEXT ${literal})`);
    expect(await learnedBefore()).toEqual([]);
  });

  test('what is refused before it is encrypted (at-rest): its room is free again', async () => {
    await proxy.close();
    const atRest = toyAtRest();
    atRest.refusal = { kind: 'refused', code: 'x', duration: 'temporary', publicText: 'Insert the card.' };
    const storing = { rules: RULES, story: atRest, mailboxes: toyMailboxes() };
    proxy = await startTestProxy(upstream.port, { harvesting, storing });
    ({ client, server } = await loggedIn(upstream, proxy.port));
    const octets = mail(CLEAR, 'refused', BOUNDS.messageOctets);
    for (const tag of ['a', 'b', 'c']) {
      client.send(`${tag} APPEND Safe {${octets.length}+}\r\n${octets}\r\n`);
      await client.until(new RegExp(`${tag} NO [^\\r\\n]*\\r\\n`));
    }
    expect(await learnedBefore()).toEqual([]);
  });

  test('other commands with literals', async () => {
    const octets = mail(CLEAR, 'a name');
    await stores(`a SETMETADATA "" (/private/comment {${octets.length}+}\r\n${octets})`);
    expect(await learnedBefore()).toEqual([]);
  });
});

describe('bounds', () => {
  test('1,000 in a row, while none is done: each is answered at once, and no more is kept than there is room for', async () => {
    const goOn = Promise.withResolvers<void>();
    story.held = goOn.promise;
    const octets = mail(CLEAR, 'one of many');
    for (let i = 0; i < 1_000; i++) await stores(`a${i} APPEND Sent {${octets.length}+}\r\n${octets}`);
    expect(story.learned).toEqual([]);
    goOn.resolve();
    await story.until(({ learned }) => learned.length === BOUNDS.messages.each);
    expect(await learnedBefore()).toHaveLength(BOUNDS.messages.each);
    expect(story.mostAtOnce).toBe(BOUNDS.atOnce);
  });

  test('octets of a login: what is beyond is passed and not kept', async () => {
    const goOn = Promise.withResolvers<void>();
    story.held = goOn.promise;
    const octets = mail(CLEAR, 'large', 3_500);
    for (const tag of ['a', 'b', 'c']) await stores(`${tag} APPEND Sent {3500+}\r\n${octets}`);
    goOn.resolve();
    await story.until(({ learned }) => learned.length === 2);
    expect(await learnedBefore()).toEqual([octets, octets]);
  });

  test('one login leaves room for others, all together have no more than all may', () => {
    const rooms = ['a', 'a', 'a', 'b', 'b', 'c'].map((name) =>
      harvesting.room(principalNamed(`${name}@example.org`), 4_000),
    );
    expect(rooms.map((room) => room !== null)).toEqual([true, true, false, true, true, false]);
    for (const room of rooms) room?.leave();
    rooms[0]?.leave();
    expect(harvesting.room(principalNamed('c@example.org'), 8_000)).not.toBeNull();
    expect(harvesting.room(principalNamed('d@example.org'), 8_001)).toBeNull();
  });

  test('a mail of 50 MB that says it is signed: no octet of it is kept', () => {
    const real = new Harvesting(story, { write: () => undefined });
    const room = vi.spyOn(real, 'room');
    const session = { session: newSessionId(), principal: principalNamed('bob@example.org') };
    const kept = new KeptAside(
      { ...session, harvesting: real, ended: new AbortController().signal },
      'append',
      'Sent {50000000}',
    );
    const chunk = Buffer.from(mail(CLEAR, 'large', 50_000), 'latin1');
    kept.begin(Buffer.from('a APPEND Sent {50000000}\r\n'), 50_000_000);
    for (let i = 0; i < 1_000; i++) kept.push(chunk);
    expect(room).not.toHaveBeenCalled();
    expect(limits.storedSigned.messageOctets).toBeLessThanOrEqual(limits.storedSigned.octets.each);
  });
});

describe('the end', () => {
  test('of the session: what waits is let go, and what goes on learns nothing', async () => {
    const goOn = Promise.withResolvers<void>();
    story.held = goOn.promise;
    const octets = mail(CLEAR, 'too late', 2_000);
    for (const tag of ['a', 'b', 'c', 'd']) await stores(`${tag} APPEND Sent {2000+}\r\n${octets}`);
    await story.until(({ running }) => running === 2);
    client.send('z LOGOUT\r\n');
    await server.until(/z LOGOUT/);
    server.send('* BYE\r\nz OK\r\n');
    server.socket.end();
    await client.rest();
    ({ client, server } = await loggedIn(upstream, proxy.port));
    goOn.resolve();
    expect(await learnedBefore()).toEqual([]);
    expect(harvesting.room(principalNamed('bob@example.org'), BOUNDS.octets.each)).not.toBeNull();
  });

  test('of the gateway: what goes into the directory is waited for, and nothing else goes there any more', async () => {
    const [verified, written] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    story.heldWriting = written.promise;
    const octets = mail(CLEAR, 'at the end');
    await stores(`a APPEND Sent {${octets.length}+}\r\n${octets}`);
    await story.until(({ writing }) => writing === 1);
    story.held = verified.promise;
    for (const tag of ['b', 'c']) await stores(`${tag} APPEND Sent {${octets.length}+}\r\n${octets}`);
    await story.until(({ running }) => running === 1);
    let isClosed = false;
    const closing = harvesting.close().then(() => {
      isClosed = true;
    });
    await stores(`d APPEND Sent {${octets.length}+}\r\n${octets}`);
    expect(isClosed).toBe(false);
    written.resolve();
    // The one that is still being verified is not waited for.
    await closing;
    expect(story.running).toBe(1);
    verified.resolve();
    await story.until(({ running }) => running === 0);
    await stores(`e APPEND Sent {${octets.length}+}\r\n${octets}`);
    expect(story).toMatchObject({ learned: [octets], writing: 1 });
    expect(events).toEqual([]);
  });

  test('something away, or a defect: it is logged, and the session goes on', async () => {
    const octets = mail(CLEAR, 'trouble');
    for (const trouble of [
      new SealgateError({ code: 'spool.unavailable', publicText: 'Full.', duration: 'temporary' }),
      new Error('a defect'),
    ]) {
      story.trouble = trouble;
      const before = events.length;
      await stores(`a APPEND Sent {${octets.length}+}\r\n${octets}`);
      await story.until(() => events.length > before);
    }
    expect(events).toMatchObject([
      { event: 'directory.stored-mail-failed', code: 'spool.unavailable' },
      { event: 'gateway.defect', where: 'imap-proxy.harvesting' },
    ]);
    story.trouble = null;
    expect(await learnedBefore()).toEqual([]);
  });
});
