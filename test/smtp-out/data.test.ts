import { createServer, connect as netConnect, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { encryptedSpool } from '../../src/octets/encrypted-spool.ts';
import type { OctetSource } from '../../src/octets/source.ts';
import { MessageCollector } from '../../src/smtp/dot-stuffing.ts';
import { readExtensions } from '../../src/smtp/extensions.ts';
import { SmtpClient } from '../../src/smtp-out/client.ts';

let ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends) end();
  ends = [];
});

async function pair(protocol: 'smtp' | 'lmtp' = 'smtp'): Promise<{ client: SmtpClient; server: Socket }> {
  const accepted = Promise.withResolvers<Socket>();
  const listener = createServer({ noDelay: true }, accepted.resolve);
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const address = listener.address();
  const raw = netConnect(address !== null && typeof address === 'object' ? address.port : 0, '127.0.0.1');
  raw.setNoDelay(true);
  const server = await accepted.promise;
  server.on('error', () => server.destroy());
  const client = new SmtpClient(raw, 'upstream.test:25', protocol);
  client.useExtensions(readExtensions({ code: 250, lines: ['upstream.test', 'PIPELINING'] }));
  ends.push(() => {
    client.abandon();
    server.destroy();
    listener.close();
  });
  return { client, server };
}

const next = (socket: Socket) => new Promise<Buffer>((resolve) => socket.once('data', resolve));

/** A source that is not in memory, in chunks of these sizes again and again. */
function inChunks(octets: Buffer, sizes: readonly number[], length = octets.length): OctetSource {
  return {
    length,
    async *read() {
      for (let at = 0, i = 0; at < octets.length; i++) {
        const size = Math.max(1, sizes[i % sizes.length] ?? 1);
        yield octets.subarray(at, at + size);
        at += size;
      }
    },
  };
}

/** Says 354, and takes messages to their end; `replies` follow each. */
function taking(server: Socket, ...replies: string[]): { raw: () => Buffer; messages: Buffer[] } {
  const raw: Buffer[] = [];
  const messages: Buffer[] = [];
  let collector: MessageCollector | null = null;
  server.on('data', (chunk: Buffer) => {
    if (collector === null) {
      collector = new MessageCollector(1 << 28);
      server.write('354 go\r\n');
      return;
    }
    raw.push(chunk);
    if (collector.push(chunk).kind === 'more') return;
    const message = collector.collected();
    if (message.kind === 'message') messages.push(message.octets);
    collector = null;
    server.write(replies.join(''));
  });
  return { raw: () => Buffer.concat(raw), messages };
}

const OK = '250 2.0.0 ok\r\n';
const isOk = { kind: 'reply', reply: { code: 250, lines: ['2.0.0 ok'] } };

test('a message from a source is on the wire what it is from memory, however it is chunked', async () => {
  const { client, server } = await pair();
  const taken = taking(server, OK);
  const lines = fc.array(fc.constantFrom('', '.', '..', 'a', '.b', 'text that is longer'), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(
      lines,
      fc.boolean(),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 }),
      async (text, ended, sizes) => {
        const octets = Buffer.from(text.join('\r\n') + (ended ? '\r\n' : ''), 'latin1');
        const before = taken.raw().length;
        expect(await client.data(bufferSource(octets))).toEqual(isOk);
        const between = taken.raw().length;
        expect(await client.data(inChunks(octets, sizes))).toEqual(isOk);
        const raw = taken.raw();
        expect(raw.subarray(between)).toEqual(raw.subarray(before, between));
      },
    ),
    { numRuns: 60 },
  );
});

test('a long message from a spool, and from memory, arrives as it is', async () => {
  const { client, server } = await pair();
  const taken = taking(server, OK);
  const octets = Buffer.from(`Subject: a\r\n\r\n${'.dot\r\nno dot\r\n'.repeat(60_000)}`);
  const writer = encryptedSpool({ memoryOctets: 0 }).begin();
  await writer.write(octets);
  const spooled = await writer.finish();
  for (const source of [spooled, bufferSource(octets)]) expect(await client.data(source)).toEqual(isOk);
  await spooled.discard();
  expect(taken.messages.map((message) => message.equals(octets))).toEqual([true, true]);
});

test.each([
  ['in the middle', Buffer.from('a\r\nb\nc\r\n')],
  ['at a border', Buffer.from('a\rb\r\n')],
  ['at the end', Buffer.from('a\r\nb\r')],
  ['that smuggles', Buffer.from('a\n.\r\nMAIL FROM:<eve@x.test>\r\n')],
])('a message with a bare line end %s never ends: %#', async (_, octets) => {
  for (const sizes of [[1], [2], [3], [100]]) {
    const { client, server } = await pair();
    const taken = taking(server, OK);
    const gone = new Promise((resolve) => server.once('close', resolve));
    await expect(client.data(inChunks(octets, sizes))).rejects.toThrow('bare CR or LF');
    await gone;
    expect(taken.messages).toEqual([]);
    expect(taken.raw().toString('latin1')).not.toMatch(/eve|\n\.\r?\n|[^\r]\n/);
    expect(client.lost).not.toBeNull();
  }
});

test('a message that cannot be read to its end never ends', async () => {
  const { client, server } = await pair();
  const taken = taking(server, OK);
  const broken: OctetSource = {
    length: 20,
    async *read() {
      yield Buffer.from('Subject: a\r\n');
      throw new Error('the disk is gone');
    },
  };
  const gone = new Promise((resolve) => server.once('close', resolve));
  await expect(client.data(broken)).rejects.toThrow('the disk is gone');
  await gone;
  expect(taken.messages).toEqual([]);
});

test.each([19, 21])('a message that has not the %i octets it says never ends', async (length) => {
  const { client, server } = await pair();
  const taken = taking(server, OK);
  const gone = new Promise((resolve) => server.once('close', resolve));
  await expect(client.data(inChunks(Buffer.alloc(20, 'a'), [7], length))).rejects.toThrow('not as long');
  await gone;
  expect(taken.messages).toEqual([]);
});

/** Ever the same chunk; counts how many were asked for. */
function endless(chunks: number): { source: OctetSource; asked: () => number; closed: () => boolean } {
  let asked = 0;
  let closed = false;
  const chunk = Buffer.alloc(65_536, 'x');
  return {
    asked: () => asked,
    closed: () => closed,
    source: {
      length: chunks * chunk.length,
      async *read() {
        try {
          for (; asked < chunks; asked++) yield chunk;
        } finally {
          closed = true;
        }
      },
    },
  };
}

test('a server that does not read is waited for: the source is not read ahead of it', async () => {
  const { client, server } = await pair();
  const { source, asked } = endless(2_000);
  const answer = client.data(source);
  await next(server);
  server.pause();
  server.write('354 go\r\n');
  let before = -1;
  await expect
    .poll(() => {
      const still = asked() === before && before > 0;
      before = asked();
      return still;
    })
    .toBe(true);
  // What the system's own buffers hold, of 125 MB.
  expect(asked()).toBeLessThan(1_000);
  server.destroy();
  expect(await answer).toMatchObject({ kind: 'lost' });
});

test('a refusal in the middle is the answer, and the rest is not read', async () => {
  const { client, server } = await pair();
  const { source, asked, closed } = endless(5_000);
  const answer = client.data(source);
  await next(server);
  server.write('354 go\r\n');
  await next(server);
  server.pause();
  server.write('552 5.3.4 enough\r\n');
  expect(await answer).toEqual({ kind: 'reply', reply: { code: 552, lines: ['5.3.4 enough'] } });
  expect(client.lost).not.toBeNull();
  expect(closed()).toBe(true);
  expect(asked()).toBeLessThan(5_000);
});

test('an acceptance in the middle is none', async () => {
  const { client, server } = await pair();
  const { source } = endless(5_000);
  const answer = client.data(source);
  await next(server);
  server.pause();
  server.write('354 go\r\n250 2.0.0 got it\r\n');
  expect(await answer).toMatchObject({ kind: 'lost' });
});

test('RFC 2033 §4.2: an answer for each recipient, in their order', async () => {
  const { client, server } = await pair('lmtp');
  taking(server, OK, '552 5.2.2 full\r\n', '250-2.0.0 two\r\n250 lines\r\n');
  for (const source of [bufferSource(Buffer.from('a\r\n')), inChunks(Buffer.from('a\r\n'), [1])]) {
    const answers = await client.dataForEach(source, 3);
    expect(answers.map((answer) => (answer.kind === 'reply' ? answer.reply.code : 0))).toEqual([
      250, 552, 250,
    ]);
  }
});

test('LMTP: whoever has no answer when the server is gone is lost, and nobody else', async () => {
  const { client, server } = await pair('lmtp');
  const answers = client.dataForEach(bufferSource(Buffer.from('a\r\n')), 3);
  await next(server);
  server.write('354 go\r\n');
  await next(server);
  server.end(OK);
  expect((await answers).map(({ kind }) => kind)).toEqual(['reply', 'lost', 'lost']);
});

test('LMTP: a refusal of DATA, and one in the middle, are for everybody', async () => {
  const { client, server } = await pair('lmtp');
  const refused = client.dataForEach(bufferSource(Buffer.from('a\r\n')), 2);
  await next(server);
  server.write('503 5.5.1 no\r\n');
  expect((await refused).map((answer) => answer.kind === 'reply' && answer.reply.code)).toEqual([503, 503]);
  const { source } = endless(5_000);
  const broken = client.dataForEach(source, 2);
  await next(server);
  server.write('354 go\r\n');
  await next(server);
  server.pause();
  server.write('452 4.3.1 enough\r\n');
  expect((await broken).map((answer) => answer.kind === 'reply' && answer.reply.code)).toEqual([452, 452]);
});

test('SMTP: all recipients have the one answer', async () => {
  const { client, server } = await pair();
  taking(server, OK);
  expect(await client.dataForEach(bufferSource(Buffer.from('a\r\n')), 2)).toEqual([isOk, isOk]);
});
