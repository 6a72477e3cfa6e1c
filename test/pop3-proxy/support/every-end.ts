import { connect, type Socket } from 'node:net';
import { connect as connectTls, createSecureContext } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encryptedSpool } from '../../../src/octets/encrypted-spool.ts';
import type { Spool } from '../../../src/octets/source.ts';
import { Openings } from '../../../src/reading/openings.ts';
import { toyEncrypted } from '../../imap-proxy/support/toy-story.ts';
import type { TlsMaterial } from '../../support/certificate.ts';
import { Conversation } from './conversation.ts';
import { startTestProxy, type TestProxy } from './listener.ts';
import { CAPABILITIES, ScriptedServer } from './scripted-server.ts';

/** Whoever ends a session, and at which point: both sides are told, the gateway is done with it, and nothing of it is left. */

const LINES = 'line of text\r\n'.repeat(20_000);
const SIGNED = `Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=b\r\n\r\n${LINES}`;
const MESSAGES = [
  { octets: Buffer.from(`Subject: p\r\n\r\n${LINES}`), uidl: 'p' },
  { octets: toyEncrypted(['Subject: e'], `Content-Type: text/plain\r\n\r\n${LINES}`), uidl: 'e' },
  { octets: Buffer.from(SIGNED), uidl: 's' },
];
const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64');
const LOGIN = ['USER bob@example.org', 'PASS secret'];

/** Where a session stands: what was said, and the command to which the server has answered so much. */
type Point = {
  name: string;
  lines: readonly string[];
  asks: string | null;
  says?: number;
  capabilities?: string[];
};

const upTo = (octets: number) => ({ says: octets });
const POINTS: readonly Point[] = [
  { name: 'nothing was said', lines: [], asks: null },
  { name: 'half a command', lines: ['US'], asks: null },
  { name: 'USER', lines: ['USER bob', ''], asks: null },
  { name: 'AUTH waits for the client', lines: ['AUTH LOGIN', base64('bob'), ''], asks: null },
  { name: 'PASS is not answered', lines: [...LOGIN, 'RETR 1', ''], asks: 'AUTH PLAIN' },
  {
    ...{ name: 'PASS is asked for', lines: [...LOGIN, ''], asks: 'PASS' },
    capabilities: ['USER', 'UIDL', 'TOP'],
  },
  { name: 'a challenge is passed on', lines: ['AUTH CRAM-MD5', ''], asks: 'AUTH CRAM-MD5', says: 6 },
  { name: 'logged in', lines: [...LOGIN, ''], asks: null },
  ...[
    ...['STAT', 'LIST', 'LIST 1', 'UIDL', 'UIDL 1', 'CAPA', 'NOOP', 'RSET', 'DELE 1', 'QUIT'],
    ...['TOP 1 5000', 'TOP 2 0', 'TOP 2 9', 'RETR 1', 'RETR 2', 'RETR 3'],
  ].flatMap((command) => [
    { name: `${command} is not answered`, lines: [...LOGIN, 'NOOP', command, 'NOOP', ''], asks: command },
    { name: `${command}, half a line`, lines: [...LOGIN, command, 'DELE 3', ''], asks: command, ...upTo(2) },
    { name: `${command}, and more lines`, lines: [...LOGIN, command, ''], asks: command, ...upTo(200_000) },
  ]),
  { name: 'UIDL before RETR', lines: [...LOGIN, 'RETR 2', ''], asks: 'UIDL 2' },
  { name: 'RETR for TOP', lines: [...LOGIN, 'TOP 2 9', 'NOOP', ''], asks: 'RETR 2', says: 100_000 },
];

/** TLS on both sides of the gateway. */
export type Secured = { tls: 'implicit' | 'starttls'; material: TlsMaterial };

const ENDS = [
  'the client closes',
  'the client resets',
  'the server closes',
  'the server resets',
  'the gateway stops',
];
/** As by somebody who has no key: nothing of TLS says that it is over. */
const CUT_BENEATH_TLS = ['the client is cut off', 'the server is cut off'];

let before: number;
let spooled: Set<unknown>;
let openings: Openings;
let server: ScriptedServer;
let proxy: TestProxy;
let client: Conversation;
/** The TCP connection of `client`. */
let raw: Socket;
/** The connection of the client's session. */
let upstream: Socket | null;
/** Answers of the server of which only so much is said, and nothing behind it. */
let asks: { command: string; says: number } | null;
let reached: PromiseWithResolvers<void>;
const open: { close(): unknown }[] = [];

afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

async function serve(
  secured: Secured | null,
  capabilities = [...CAPABILITIES.slice(0, -1), 'SASL PLAIN CRAM-MD5'],
): Promise<void> {
  before = sockets();
  spooled = new Set();
  openings = new Openings({ opening: { all: 1, each: 1 }, waiting: { all: 1, each: 1 } });
  upstream = null;
  asks = null;
  reached = Promise.withResolvers();
  let silent = false;
  server = await ScriptedServer.start(MESSAGES, {
    capabilities,
    ...secured,
    answer(command, socket) {
      upstream ??= socket;
      return command === 'AUTH CRAM-MD5' ? `+ ${base64('<1@example.org>')}\r\n` : null;
    },
    write(octets, socket) {
      const command = server.commands.at(-1) ?? '';
      if (silent || asks === null || !command.startsWith(asks.command)) {
        if (!silent) socket.write(octets);
        return;
      }
      silent = true;
      socket.write(octets.subarray(0, asks.says));
      reached.resolve();
    },
  });
  open.push(server);
  proxy = await startTestProxy(server.port, {
    openings,
    spool: counted(),
    relayMechanisms: ['CRAM-MD5'],
    ...(secured === null ? {} : bothSides(secured)),
  });
  open.push(proxy);
  raw = connect({ port: proxy.port, host: '127.0.0.1', noDelay: true });
  raw.on('error', () => undefined);
  client = await greeted(secured);
  open.push(client);
}

function bothSides({ tls, material }: Secured): Parameters<typeof startTestProxy>[1] {
  return {
    tls,
    secureContext: createSecureContext(material),
    upstream: {
      ...{ host: '127.0.0.1', port: server.port, tls },
      ...{ caFile: material.file, serverName: 'localhost' },
    },
  };
}

async function greeted(secured: Secured | null): Promise<Conversation> {
  if (secured === null) {
    const plain = new Conversation(raw);
    await plain.line();
    return plain;
  }
  if (secured.tls === 'starttls') {
    const plain = new Conversation(raw);
    await plain.line();
    await plain.ask('STLS');
    raw.removeAllListeners('data');
  }
  const socket = connectTls({ socket: raw, servername: 'localhost', ca: secured.material.cert });
  const over = new Conversation(socket);
  if (secured.tls === 'implicit') await over.line();
  else await new Promise((resolve) => socket.once('secureConnect', resolve));
  return over;
}

function counted(): Spool {
  const room = encryptedSpool();
  return {
    begin() {
      const writer = room.begin();
      spooled.add(writer);
      return {
        write: (octets) => writer.write(octets),
        async discard() {
          await writer.discard();
          spooled.delete(writer);
        },
        async finish() {
          const whole = await writer.finish();
          spooled.delete(writer);
          spooled.add(whole);
          return {
            length: whole.length,
            read: (start, end) => whole.read(start, end),
            async discard() {
              await whole.discard();
              spooled.delete(whole);
            },
          };
        },
      };
    },
  };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

async function end(how: string): Promise<void> {
  switch (how) {
    case 'the client closes':
      client.socket.end();
      break;
    case 'the client resets':
      raw.resetAndDestroy();
      break;
    case 'the client is cut off':
      raw.end();
      break;
    case 'the server closes':
      upstream?.end();
      break;
    case 'the server resets':
      if (upstream !== null) server.beneath(upstream).resetAndDestroy();
      break;
    case 'the server is cut off':
      if (upstream !== null) server.beneath(upstream).end();
      break;
    default:
      await proxy.close();
  }
}

/** Nothing of the session is left. */
async function left(): Promise<void> {
  await until(() => proxy.events.some(({ event }) => event === 'pop3.closed'));
  await server.ended();
  await client.rest();
  await until(() => spooled.size === 0);
  expect(proxy.control.waiting.size).toBe(0);
  expect(proxy.events.filter(({ event }) => event === 'gateway.defect')).toEqual([]);
  const place = await openings.enter('somebody', new AbortController().signal);
  expect(place?.wait()).toBe(true);
  place?.leave();
  client.close();
  await proxy.close();
  await server.close();
  open.length = 0;
  await until(() => sockets() === before);
}

/** Of this process. */
function sockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name.startsWith('TCP')).length;
}

export function everyEnd(secured: Secured | null): void {
  const ends = secured === null ? ENDS : [...ENDS, ...CUT_BENEATH_TLS];
  describe.each(POINTS)('$name', ({ lines, asks: command, says = 0, capabilities }) => {
    beforeEach(async () => {
      await serve(secured, capabilities);
      asks = command === null ? null : { command, says };
      client.send(lines.join('\r\n'));
      if (command !== null) await reached.promise;
    });

    test.each(ends)('%s', async (how) => {
      const ending = end(how);
      // The last answer of a server that was told QUIT is waited for, half a minute.
      if (command === 'QUIT') upstream?.end();
      if (how.startsWith('the server')) client.socket.end();
      await ending;
      await left();
    });
  });
}
