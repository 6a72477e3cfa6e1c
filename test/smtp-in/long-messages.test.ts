import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { octetsInMemory } from '../../src/octets/buffer-source.ts';
import { encryptedSpool } from '../../src/octets/encrypted-spool.ts';
import type { Spool, SpoolWriter } from '../../src/octets/source.ts';
import type { HandOver, Submission, SubmissionOutcome } from '../../src/pipeline/ports.ts';
import type { TestClient } from './support/client.ts';
import {
  ForwardingStory,
  loggedIn,
  named,
  QUEUED,
  type TestGateway,
  testGateway,
} from './support/gateway.ts';

let gateway: TestGateway | null = null;
const folders: string[] = [];
afterEach(async () => {
  await gateway?.close();
  gateway = null;
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true });
});

const ENVELOPE = 'MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n';
const LINE = Buffer.from(`${'0123456789'.repeat(7)}.\r\n`);
const DOTTED = Buffer.from('.a line that is stuffed\r\n');

/** A message, and how it goes over the wire without its end. */
function message(octets: number): { plain: Buffer; wire: Buffer } {
  const lines = Array.from({ length: Math.ceil(octets / LINE.length) }, (_, i) =>
    i % 50 === 0 ? DOTTED : LINE,
  );
  const plain = Buffer.concat(lines);
  const wire = Buffer.concat(
    lines.map((line) => (line === DOTTED ? Buffer.concat([Buffer.from('.'), line]) : line)),
  );
  return { plain, wire };
}

const END = Buffer.from('.\r\n');

/** A spool that counts what is open in it. */
class CountingSpool implements Spool {
  open = 0;
  begun = 0;
  written = 0;
  readonly #inner = encryptedSpool({ memoryOctets: limits.smtp.memoryOctets });
  /** Fails when so much was written. */
  readonly room: number;
  /** Resolves before anything is written. */
  gate: Promise<void> = Promise.resolve();

  constructor(room = Number.POSITIVE_INFINITY) {
    this.room = room;
  }

  begin(): SpoolWriter {
    this.open++;
    this.begun++;
    const writer = this.#inner.begin();
    const closed = once(() => {
      this.open--;
    });
    return {
      write: async (octets) => {
        await this.gate;
        this.written += octets.length;
        if (this.written > this.room) throw full();
        await writer.write(octets);
      },
      finish: async () => {
        const spooled = await writer.finish();
        return {
          length: spooled.length,
          read: spooled.read.bind(spooled),
          discard: async () => {
            closed();
            await spooled.discard();
          },
        };
      },
      discard: async () => {
        closed();
        await writer.discard();
      },
    };
  }
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}

function full(): SealgateError {
  return new SealgateError({
    code: 'spool.unavailable',
    publicText: 'There is no room.',
    duration: 'temporary',
    reason: 'temporary file: ENOSPC',
  });
}

/** Looks at what a message is while it may be looked at. */
class LookingStory extends ForwardingStory {
  readonly seen: { inMemory: boolean; sha256: string; length: number }[] = [];

  override async submit(submission: Submission, handOver: HandOver): Promise<SubmissionOutcome> {
    const hash = createHash('sha256');
    for await (const chunk of submission.octets.read()) hash.update(chunk);
    this.seen.push({
      inMemory: octetsInMemory(submission.octets) !== null,
      sha256: hash.digest('hex'),
      length: submission.octets.length,
    });
    return super.submit(submission, handOver);
  }
}

async function start(
  spool: Spool,
  options: Parameters<typeof testGateway>[1] = {},
  fake: Parameters<typeof testGateway>[0] = {},
): Promise<{ client: TestClient; story: LookingStory }> {
  const story = new LookingStory();
  gateway = await testGateway(fake, { spool, ...options }, story);
  return { client: await loggedIn(gateway.port), story };
}

async function begun(client: TestClient): Promise<void> {
  client.send(`${ENVELOPE}DATA\r\n`);
  for (const code of ['250', '250', '354']) expect(await client.reply()).toContain(code);
}

const sha256 = (octets: Buffer): string => createHash('sha256').update(octets).digest('hex');

test.each([
  ['a short one stays in memory', limits.smtp.memoryOctets - 10_000, 0],
  ['a long one goes into a spool, and out of it after the answer', 4 * limits.smtp.memoryOctets, 1],
])('%s', async (_, octets, spools) => {
  const spool = new CountingSpool();
  const { client, story } = await start(spool);
  const { plain, wire } = message(octets);
  await begun(client);
  client.send(Buffer.concat([wire, END]));
  expect(await client.reply()).toMatch(QUEUED);
  expect(story.seen).toEqual([{ inMemory: spools === 0, sha256: sha256(plain), length: plain.length }]);
  expect(gateway?.upstream.accepted[0]?.octets.equals(plain)).toBe(true);
  expect([spool.begun, spool.open]).toEqual([spools, 0]);
  expect(await client.ask('NOOP')).toMatch(/^250/);
  client.end();
});

test('by BDAT as well, beside a mail that stays in memory', async () => {
  const spool = new CountingSpool();
  const { client, story } = await start(spool);
  const { plain } = message(3 * limits.smtp.memoryOctets);
  const middle = 123_457;
  const parts = [plain.subarray(0, middle), plain.subarray(middle)];
  client.send(Buffer.from(ENVELOPE));
  for (const part of parts) client.send(Buffer.concat([Buffer.from(`BDAT ${part.length}\r\n`), part]));
  client.send(`BDAT 0 LAST\r\n${ENVELOPE}BDAT 3 LAST\r\nx\r\n`);
  for (let i = 0; i < 4; i++) expect(await client.reply()).toMatch(/^250/);
  expect(await client.reply()).toMatch(QUEUED);
  for (let i = 0; i < 2; i++) expect(await client.reply()).toMatch(/^250/);
  expect(await client.reply()).toMatch(QUEUED);
  expect(story.seen.map(({ inMemory, sha256: digest }) => [inMemory, digest])).toEqual([
    [false, sha256(plain)],
    [true, sha256(Buffer.from('x\r\n'))],
  ]);
  expect(spool.open).toBe(0);
  client.end();
});

test('a bare LF deep inside, and a message that turns out too large: refused at the end, and nothing is kept', async () => {
  const spool = new CountingSpool();
  const { client } = await start(spool, { maxMessageOctets: 2 * limits.smtp.memoryOctets });
  const { wire } = message(2 * limits.smtp.memoryOctets - 100_000);
  await begun(client);
  client.send(Buffer.concat([wire, Buffer.from('x\ny\r\n'), END]));
  expect(await client.reply()).toMatch(/^554 5\.6\.0 .*CRLF/);
  await begun(client);
  client.send(Buffer.concat([wire, wire, END]));
  expect(await client.reply()).toMatch(
    named(`552 5.3.4 The message is too large; at most ${2 * limits.smtp.memoryOctets} octets are accepted`),
  );
  expect(spool.open).toBe(0);
  expect(gateway?.story.submissions).toEqual([]);
  expect(await client.ask('NOOP')).toMatch(/^250/);
  client.end();
});

test('no room: 452 4.3.1 at the end, the reason in the log, and the session goes on', async () => {
  const spool = new CountingSpool(2 * limits.smtp.memoryOctets);
  const { client } = await start(spool);
  const { wire, plain } = message(8 * limits.smtp.memoryOctets);
  await begun(client);
  client.send(Buffer.concat([wire, END]));
  expect(await client.reply()).toMatch(
    named('452 4.3.1 There is no room for the message at the moment; try again later'),
  );
  expect(gateway?.events).toContainEqual(
    expect.objectContaining({ event: 'smtp.no-room', reason: 'temporary file: ENOSPC' }),
  );
  client.send(Buffer.concat([Buffer.from(`${ENVELOPE}BDAT ${plain.length} LAST\r\n`), plain]));
  for (let i = 0; i < 2; i++) await client.reply();
  expect(await client.reply()).toMatch(/^452 4\.3\.1/);
  expect(spool.open).toBe(0);
  expect(gateway?.upstream.accepted).toEqual([]);
  client.end();
});

test('a client that goes away in the middle leaves nothing behind, by DATA and by BDAT', async () => {
  for (const how of ['DATA', 'BDAT', 'between chunks'] as const) {
    const spool = new CountingSpool();
    const { client } = await start(spool);
    const { wire } = message(4 * limits.smtp.memoryOctets);
    if (how === 'DATA') await begun(client);
    else client.send(`${ENVELOPE}BDAT ${wire.length + (how === 'BDAT' ? 1 : 0)}\r\n`);
    client.send(wire);
    await until(() => spool.written > limits.smtp.memoryOctets);
    client.end();
    await until(() => spool.open === 0);
    await gateway?.close();
    expect(gateway?.upstream.accepted).toEqual([]);
  }
});

test.each([
  'RSET',
  'EHLO client.test',
  'QUIT',
  'BDAT x',
  `BDAT ${'9'.repeat(15)}`,
  'GET / HTTP/1.1',
  'a\nb',
  'the gateway stops',
  'the mail server goes',
])('chunks that %j ends leave nothing behind, and nobody has them', async (ending) => {
  const spool = new CountingSpool();
  const { client } = await start(spool);
  const { wire } = message(2 * limits.smtp.memoryOctets);
  client.send(`${ENVELOPE}BDAT ${wire.length}\r\n`);
  client.send(wire);
  for (let i = 0; i < 3; i++) expect(await client.reply()).toMatch(/^250/);
  expect(spool.open).toBe(1);
  if (ending === 'the gateway stops') void gateway?.close();
  else if (ending === 'the mail server goes')
    for (const socket of gateway?.upstream.open ?? []) socket.destroy();
  else client.send(`${ending}\r\n`);
  await until(() => spool.open === 0);
  client.end();
  expect(gateway?.upstream.accepted).toEqual([]);
});

test('a story that fails, and one that refuses, leave nothing behind', async () => {
  for (const fails of [true, false]) {
    const spool = new CountingSpool();
    const { client, story } = await start(spool);
    story.submit = async () => {
      if (fails) throw new Error('a defect');
      return { kind: 'refused', reply: { code: 550, lines: ['5.7.1 no'] } };
    };
    await begun(client);
    client.send(Buffer.concat([message(2 * limits.smtp.memoryOctets).wire, END]));
    expect(await client.reply()).toMatch(fails ? /^421 4\.3\.0/ : /^550 5\.7\.1/);
    expect(spool.begun).toBe(1);
    await until(() => spool.open === 0);
    await gateway?.close();
    expect(gateway?.upstream.accepted).toEqual([]);
  }
});

test('what cannot be written yet is not read from the client either', async () => {
  const spool = new CountingSpool();
  const opened = Promise.withResolvers<void>();
  const { client } = await start(spool, {}, { keywords: ['SIZE', 'AUTH PLAIN'] });
  spool.gate = opened.promise;
  const { wire } = message(24 * 1024 * 1024);
  await begun(client);
  // In pieces: of one long write nobody says how much of it is taken.
  let taken = 0;
  const sending = (async () => {
    while (taken < wire.length) {
      const piece = wire.subarray(taken, taken + 65_536);
      await new Promise((resolve) => client.socket.write(piece, resolve));
      taken += piece.length;
    }
  })();
  await until(() => spool.begun === 1);
  // Until the kernel's buffers and ours are full, and not an octet more, however often the gateway has its turn.
  const other = await loggedIn(gateway?.port ?? 0);
  for (let before = -1, still = 0; still < 50; before = taken) {
    expect(await other.ask('NOOP')).toMatch(/^250/);
    still = taken === before ? still + 1 : 0;
  }
  expect(taken).toBeLessThan(wire.length);
  opened.resolve();
  await sending;
  client.send(END);
  expect(await client.reply()).toMatch(QUEUED);
  other.end();
  client.end();
});

test('nothing of a long message is readable on the disk, and no file has a name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sealgate-long-'));
  folders.push(folder);
  const { client } = await start(encryptedSpool({ folder, memoryOctets: limits.smtp.memoryOctets }));
  const { wire } = message(8 * limits.smtp.memoryOctets);
  await begun(client);
  client.send(wire);
  expect(await readdir(folder)).toEqual([]);
  client.send(END);
  expect(await client.reply()).toMatch(QUEUED);
  client.end();
});

test('a folder that cannot be written to: 452, and short mail still passes', async () => {
  const { client } = await start(encryptedSpool({ folder: '/nowhere/at/all' }));
  const { wire } = message(8 * limits.smtp.memoryOctets);
  await begun(client);
  client.send(Buffer.concat([wire, END]));
  expect(await client.reply()).toMatch(/^452 4\.3\.1/);
  await begun(client);
  client.send('short\r\n.\r\n');
  expect(await client.reply()).toMatch(QUEUED);
  client.end();
});

test('1 GiB may be configured; more than the listener takes is refused by SIZE at MAIL', async () => {
  const keywords = ['SIZE 10737418240', 'AUTH PLAIN'];
  const { client } = await start(new CountingSpool(), { maxMessageOctets: 1024 * 1024 * 1024 }, { keywords });
  expect(await client.ask('EHLO x')).toContain('SIZE 1073741824');
  expect(await client.ask('MAIL FROM:<a@example.org> SIZE=1073741825')).toMatch(/^552 5\.3\.4/);
  expect(await client.ask('MAIL FROM:<a@example.org> SIZE=1073741824')).toMatch(/^250/);
  client.end();
});

/** Resolves when it holds; looked at anew whenever the event loop has been round. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}
