import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { limits } from '../../src/limits.ts';
import { encryptedSpool } from '../../src/octets/encrypted-spool.ts';
import type { Spool } from '../../src/octets/source.ts';
import { Openings } from '../../src/reading/openings.ts';
import { FakeTimers } from '../imap-proxy/support/fake-timers.ts';
import { toyEncrypted } from '../imap-proxy/support/toy-story.ts';
import { Conversation } from './support/conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { type Script, type ScriptedMessage, ScriptedServer, topOf } from './support/scripted-server.ts';

const ENTITY = 'Content-Type: text/plain\r\n\r\nmeet me\r\n';
const PLAIN = { octets: Buffer.from(`Subject: x\r\n\r\n${'line of text\r\n'.repeat(2_000)}`), uidl: 'p' };
const ENCRYPTED = { octets: toyEncrypted(['Subject: y'], ENTITY), uidl: 'e' };

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

async function serve(
  script: Script = {},
  changes: Parameters<typeof startTestProxy>[1] = {},
  messages: readonly ScriptedMessage[] = [PLAIN, ENCRYPTED],
): Promise<{ server: ScriptedServer; proxy: TestProxy; client: Conversation }> {
  const server = await ScriptedServer.start(messages, script);
  open.push(server);
  const proxy = await startTestProxy(server.port, changes);
  open.push(proxy);
  const client = await Conversation.login(proxy.port);
  open.push(client);
  return { server, proxy, client };
}

test('content that looks like the end of a message or like replies stays content', async () => {
  const octets = Buffer.from(
    'Subject: x\r\n\r\n.\r\n+OK 1 3\r\n-ERR\r\n..\r\n\n.\n\r.\r\na\r\n.\r\n+OK\r\n',
    'latin1',
  );
  for (const piece of [1, 3, 1000]) {
    const { client } = await serve({ piece, raw: new Map([[1, stuffedByHand(octets)]]) }, {}, [
      { octets, uidl: 'x' },
    ]);
    expect(await client.fetch('RETR 1')).toEqual(octets);
    expect(await client.ask('NOOP')).toBe('+OK');
    expect(await client.fetch('TOP 1 1')).toEqual(octets);
    expect(await client.ask('STAT')).toMatch(/^\+OK 1 /);
  }
});

/** Also with bare line ends, which no stuffing knows. */
function stuffedByHand(octets: Buffer): Buffer {
  return Buffer.from(`${octets.toString('latin1').replace(/\r\n\./g, '\r\n..')}.\r\n`, 'latin1');
}

test.each([
  ['says something nobody asked for', (socket: Socket) => socket.write('+OK surprise\r\n')],
  ['answers with another protocol', (socket: Socket) => socket.write('* 1 EXPUNGE\r\n')],
])('a server that %s ends the session', async (_name, say) => {
  const sockets: Socket[] = [];
  const { client, proxy } = await serve({
    answer(_command, socket) {
      sockets.push(socket);
      return null;
    },
  });
  await client.ask('NOOP');
  const [socket] = sockets;
  if (socket === undefined) throw new Error('no connection');
  say(socket);
  const rest = await client.rest();
  expect(rest === '' || /^-ERR \[SYS\/TEMP\][^\r\n]*\r\n$/.test(rest)).toBe(true);
  expect(proxy.events).toContainEqual(
    expect.objectContaining({ event: 'pop3.protocol-error', side: 'upstream' }),
  );
});

test.each([
  ['no reply', 'what?\r\n'],
  ['a bare LF', '+OK\n'],
  ['an endless line', `+OK ${'x'.repeat(10_000)}`],
  ['a request for an answer', '+ \r\n'],
])('a reply that is %s ends the session', async (_name, octets) => {
  const { client } = await serve({ answer: (command) => (command === 'STAT' ? octets : null) });
  expect(await client.ask('STAT')).toMatch(/^-ERR \[SYS\/TEMP\]/);
  expect(await client.rest()).toBe('');
});

test.each([1, 2] as const)(
  'the server is lost in the middle of message %i: nobody takes a part of it for a whole',
  async (message) => {
    let sent: Socket | null = null;
    const { client } = await serve({
      answer(command, socket) {
        if (!command.startsWith('RETR')) return null;
        sent = socket;
        const { octets } = message === 1 ? PLAIN : ENCRYPTED;
        return Buffer.concat([Buffer.from('+OK\r\n'), octets.subarray(0, octets.length - 40)]);
      },
    });
    client.send(`RETR ${message}\r\n`);
    if (message === 1) await client.has(10_000);
    else {
      await new Promise<void>((resolve) => {
        const look = (): void => void (sent === null ? setImmediate(look) : resolve());
        look();
      });
    }
    (sent as Socket | null)?.resetAndDestroy();
    const rest = await client.rest();
    expect(rest).not.toContain('\r\n.\r\n');
    if (message === 2) expect(rest).toMatch(/^-ERR \[SYS\/TEMP\] [^\r\n]*\r\n$/);
  },
);

test('the server closes while nothing is on its way: so does the gateway, and says nothing', async () => {
  const { client, server } = await serve();
  await client.ask('NOOP');
  server.cut();
  expect(await client.rest()).toBe('');
});

test('a client that goes away without QUIT has removed nothing', async () => {
  const { client, server } = await serve();
  expect(await client.ask('DELE 1')).toBe('+OK marked');
  client.close();
  await server.ended();
  expect(server.ends).toEqual(['cut']);
  expect(server.commands).not.toContain('QUIT');
});

test('a client that says QUIT and does not wait has removed what it marked', async () => {
  const { client, server } = await serve();
  client.socket.end('DELE 1\r\nQUIT\r\n');
  await server.told(/^QUIT$/);
  await server.ended();
  expect(server.ends).toEqual(['quit']);
  expect(server.messages[0]).toBeNull();
});

test('a client that goes away while a key is waited for takes its session with it', async () => {
  const { client, server, proxy } = await serve();
  proxy.control.mode = 'waits';
  client.send('RETR 2\r\nDELE 2\r\nQUIT\r\n');
  await until(() => proxy.control.waiting.size === 1);
  client.close();
  await server.ended();
  await until(() => proxy.control.waiting.size === 0);
  expect(server.commands).not.toContain('DELE 2');
  expect(server.commands).not.toContain('QUIT');
});

test('a key is waited for 50 seconds, then the message is refused for now', async () => {
  const timers = new FakeTimers();
  const { client, proxy } = await serve({}, { timers });
  proxy.control.mode = 'waits';
  client.send('RETR 2\r\nNOOP\r\n');
  await timers.pass(50_000);
  expect(await client.line()).toMatch(/^-ERR \[SYS\/TEMP\] /);
  expect(await client.line()).toBe('+OK');
  proxy.control.typed();
  expect((await client.fetch('RETR 2')).toString()).toContain('meet me');
});

test('a story that does not come back is not waited for', async () => {
  const timers = new FakeTimers();
  const { client } = await serve({}, { timers, story: { open: () => new Promise(() => undefined) } });
  client.send('RETR 2\r\nNOOP\r\n');
  await timers.pass(50_000);
  await timers.pass(52_000);
  expect(await client.line()).toMatch(/^-ERR \[SYS\/TEMP\] /);
  expect(await client.line()).toBe('+OK');
});

test('who asks in vain again and again waits longer and longer, and is shown the door', async () => {
  const timers = new FakeTimers();
  const { client, proxy } = await serve({}, { timers });
  proxy.control.mode = 'unavailable';
  expect(await client.ask('RETR 2')).toMatch(/^-ERR/);
  for (const delay of [2_000, 4_000, 8_000, 16_000]) {
    client.send('RETR 2\r\n');
    await timers.pass(delay);
    expect(await client.line()).toMatch(/^-ERR/);
  }
  expect(await client.rest()).toBe('');
});

test.each([
  ['a bare LF', 'NOOP\n'],
  ['a bare CR', 'NO\rOP\r\n'],
  ['an endless line', 'x'.repeat(70_000)],
])('%s from a client ends its session', async (_name, octets) => {
  const { client, server } = await serve();
  client.send(octets);
  expect(await client.rest()).toMatch(/^-ERR [^\r\n]*\r\n$/);
  expect(server.commands.filter((command) => !/^(?:CAPA|AUTH)/.test(command))).toEqual([]);
});

test.each([
  'RETR',
  'RETR x',
  'RETR 1 2',
  'RETR -1',
  'RETR 99999999999',
  'TOP 1',
  'TOP 1 -1',
  'STAT 1',
  'LIST 1 2',
  'DELE',
  'RETRX 1',
  'UTF8',
  '',
])('the command "%s" never reaches the server', async (command) => {
  const { client, server } = await serve();
  expect(await client.ask(command)).toMatch(/^-ERR (?:Malformed|Unknown)/);
  expect(await client.ask('NOOP')).toBe('+OK');
  expect(server.commands.slice(-1)).toEqual(['NOOP']);
  expect(server.commands).toHaveLength(3);
});

test('blanks more than the grammar has are forgiven, octet by octet', async () => {
  const { client } = await serve();
  for (const octet of 'lIsT  2 \r\n') {
    client.send(octet);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await client.line()).toBe(`+OK 2 ${ENCRYPTED.octets.length}`);
});

test('ten thousand commands in one go are answered, and the server is not flooded', async () => {
  let most = 0;
  let waiting = 0;
  const { client } = await serve({
    answer(command, socket) {
      if (command !== 'NOOP') return null;
      waiting++;
      most = Math.max(most, waiting);
      setImmediate(() => {
        waiting--;
        socket.write('+OK\r\n');
      });
      return '';
    },
  });
  client.send('NOOP\r\n'.repeat(10_000));
  for (let i = 0; i < 10_000; i++) expect(await client.line()).toBe('+OK');
  expect(most).toBeLessThanOrEqual(256);
});

test('a client that does not read holds the server back', async () => {
  const large = {
    octets: Buffer.from(`Subject: x\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(500_000)}`),
    uidl: 'l',
  };
  let socket: Socket | null = null;
  const { client } = await serve(
    {
      answer(_command, connection) {
        socket = connection;
        return null;
      },
    },
    {},
    [large],
  );
  client.socket.pause();
  client.send('RETR 1\r\n');
  await until(() => (socket?.writableLength ?? 0) > 0);
  // As long as anything moves, it is only what the system buffers.
  for (let still = 0, before = -1; still < 300; still++) {
    await new Promise((resolve) => setImmediate(resolve));
    const left: number = (socket as Socket | null)?.writableLength ?? 0;
    if (left !== before) still = 0;
    before = left;
  }
  expect((socket as Socket | null)?.writableLength).toBeGreaterThan(0);
  client.socket.resume();
  await client.has(large.octets.length);
  expect((await client.line()).startsWith('+OK')).toBe(true);
  expect((await client.message()).length).toBe(large.octets.length);
});

test('one connection too many is told so', async () => {
  const { proxy } = await serve({}, { maxConnections: 1 });
  const second = new Conversation(connect(proxy.port, '127.0.0.1'));
  open.push(second);
  expect(await second.rest()).toBe('-ERR [SYS/TEMP] Too many connections. Try again later.\r\n');
});

test('a server that never greets', async () => {
  const silent = createServer(() => undefined);
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  open.push({ close: () => new Promise((resolve) => silent.close(resolve)) });
  const proxy = await startTestProxy((silent.address() as AddressInfo).port);
  open.push(proxy);
  const client = connect(proxy.port, '127.0.0.1');
  await once(client, 'connect');
  // The gateway ends with a session that waits.
  client.destroy();
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

test('no room on the disk: the message is refused for now, and the session goes on', async () => {
  let full = true;
  const room = encryptedSpool();
  const spool: Spool = {
    begin() {
      const writer = room.begin();
      if (!full) return writer;
      const error = new SealgateError({
        ...{ code: 'spool.unavailable', publicText: 'There is no room.', duration: 'temporary' },
      });
      return { ...writer, discard: () => writer.discard(), write: () => Promise.reject(error) };
    },
  };
  const signed = Buffer.from(
    'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=b\r\n\r\n--b--\r\n',
  );
  const { client } = await serve({}, { spool }, [ENCRYPTED, { octets: signed, uidl: 's' }]);
  expect(await client.ask('RETR 1')).toBe('-ERR [SYS/TEMP] There is no room.');
  expect(await client.ask('NOOP')).toBe('+OK');
  expect(await client.fetch('RETR 2')).toEqual(signed);
  full = false;
  expect((await client.fetch('RETR 1')).toString()).toContain('meet me');
});

test('what is larger than anything that is opened passes as it is stored', async () => {
  const header = 'Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n';
  const octets = Buffer.from(`${header}${`.${'A'.repeat(75)}\r\n`.repeat(880_000)}`, 'latin1');
  expect(octets.length).toBeGreaterThan(limits.messageOctets);
  const { client, proxy } = await serve({}, {}, [{ octets, uidl: 'huge' }]);
  const began = `+OK ${octets.length} octets\r\n`;
  client.send('RETR 1\r\n');
  await client.has(octets.length + began.length + 880_000 + 3);
  expect(await client.line()).toBe(began.trim());
  expect((await client.message()).equals(octets)).toBe(true);
  expect(await client.ask('NOOP')).toBe('+OK');
  expect(proxy.control.opened).toBe(0);
});

test.each([300, 5_000])(
  'a header of %i KB is passed as it is stored, TOP and RETR alike',
  async (kilobytes) => {
    const fields = Array.from({ length: kilobytes }, (_, at) => `X-${at}: ${'x'.repeat(1_000)}`);
    const octets = toyEncrypted(fields, ENTITY);
    for (const order of [
      ['TOP 1 0', 'RETR 1'],
      ['RETR 1', 'TOP 1 0'],
    ]) {
      const { client, proxy } = await serve({}, {}, [{ octets, uidl: 'x' }]);
      for (const command of order) {
        const expected = command === 'RETR 1' ? octets : octets.subarray(0, octets.indexOf('\r\n\r\n') + 4);
        expect((await client.fetch(command)).equals(expected)).toBe(true);
      }
      expect(proxy.control.opened).toBe(0);
      expect(await client.ask('NOOP')).toBe('+OK');
    }
  },
);

test('with thousands of header fields a message is opened', async () => {
  const fields = Array.from({ length: 5_000 }, (_, at) => `X-${at}: y`);
  const octets = toyEncrypted(fields, ENTITY);
  const { client } = await serve({}, {}, [{ octets, uidl: 'x' }]);
  expect((await client.fetch('TOP 1 0')).toString()).toContain('Content-Type: multipart/mixed');
  const view = await client.fetch('RETR 1');
  expect(view.length).toBe(octets.length);
  expect(view.toString()).toContain('meet me');
});

test('a RETR that finds that nothing opens a message takes no lines from the TOP behind it', async () => {
  const { client, proxy } = await serve();
  await client.fetch('TOP 2 0');
  proxy.control.mode = 'no-key';
  client.send('RETR 2\r\nTOP 2 5\r\nNOOP\r\n');
  await client.line();
  expect(await client.message()).toEqual(ENCRYPTED.octets);
  await client.line();
  expect(await client.message()).toEqual(topOf(ENCRYPTED.octets, 5));
  expect(await client.line()).toBe('+OK');
});

test('certificates are learnt from one message at a time, and few others wait for that', async () => {
  const octets = Buffer.from(
    'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=b\r\n\r\n--b--\r\n',
  );
  const room = encryptedSpool();
  let kept = 0;
  const spool: Spool = {
    begin() {
      const writer = room.begin();
      return {
        write: (piece) => writer.write(piece),
        discard: () => writer.discard(),
        async finish() {
          const whole = await writer.finish();
          kept++;
          return {
            length: whole.length,
            read: (start, end) => whole.read(start, end),
            async discard() {
              kept--;
              await whole.discard();
            },
          };
        },
      };
    },
  };
  let asked = 0;
  const open = (): Promise<never> => {
    asked++;
    return new Promise(() => undefined);
  };
  const { client } = await serve({}, { spool, story: { open } }, [{ octets, uidl: 's' }]);
  for (let times = 0; times < 100; times++) expect(await client.fetch('RETR 1')).toEqual(octets);
  expect(await client.ask('NOOP')).toBe('+OK');
  expect([asked, kept]).toEqual([1, 65]);
});

test('a mail that was withheld is not deleted, and it is said what to do', async () => {
  const { client, proxy } = await serve();
  proxy.control.mode = 'unavailable';
  await client.ask('RETR 2');
  expect(await client.ask('DELE 2')).toMatch(/^-ERR \[SYS\/TEMP\] Not deleted.* Fetch it again first$/);
});

describe('where as many messages are being opened as may be', () => {
  const one = { opening: { all: 1, each: 1 }, waiting: { all: 1, each: 1 } };
  const forever = new AbortController().signal;

  test('the next one waits for its place, whoever has it', async () => {
    const openings = new Openings(one);
    const { client, proxy, server } = await serve({}, { openings });
    const place = await openings.enter('somebody by IMAP', forever);
    client.send('RETR 2\r\n');
    await server.told(/^RETR 2$/);
    expect(proxy.control.opened).toBe(0);
    place?.leave();
    await client.line();
    expect((await client.message()).toString()).toContain('meet me');
    expect(proxy.control.opened).toBe(1);
  });

  test('it is refused for now when that takes too long, and the session goes on', async () => {
    const openings = new Openings(one);
    const timers = new FakeTimers();
    const { client, proxy } = await serve({}, { openings, timers });
    const place = await openings.enter('somebody by IMAP', forever);
    client.send('RETR 2\r\nDELE 2\r\nNOOP\r\n');
    await timers.pass(40_000);
    expect(await client.line()).toMatch(/^-ERR \[SYS\/TEMP\] Too many messages .* later\.$/);
    expect(await client.line()).toMatch(/^-ERR \[SYS\/TEMP\] Not deleted/);
    expect(await client.line()).toBe('+OK');
    place?.leave();
    expect((await client.fetch('RETR 2')).toString()).toContain('meet me');
    expect(proxy.control.opened).toBe(1);
  });

  test('one that waits for a person makes room, and one that is done gives it back', async () => {
    const openings = new Openings(one);
    const timers = new FakeTimers();
    const { client, proxy } = await serve({}, { openings, timers });
    proxy.control.mode = 'waits';
    client.send('RETR 2\r\n');
    await timers.pass(1_000);
    const place = await openings.enter('somebody by IMAP', forever);
    expect(place?.wait()).toBe(false);
    place?.leave();
    proxy.control.typed();
    await client.line();
    expect((await client.message()).toString()).toContain('meet me');
    expect((await openings.enter('somebody by IMAP', forever))?.wait()).toBe(true);
  });

  test('a client that has gone does not wait for a place', async () => {
    const openings = new Openings(one);
    const { client, server } = await serve({}, { openings });
    const place = await openings.enter('somebody by IMAP', forever);
    client.send('RETR 2\r\n');
    await server.told(/^RETR 2$/);
    client.close();
    await server.ended();
    place?.leave();
    expect(await openings.enter('somebody else', forever)).not.toBeNull();
  });
});
