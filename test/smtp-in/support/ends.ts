import type { Socket } from 'node:net';
import { expect, vi } from 'vitest';
import type { TestClient } from './client.ts';
import { type KindGateway, ready } from './kinds.ts';

/** Ends of a session, and what is true after each of them. */

let clients: TestClient[] = [];
/** Of the test that runs. */
let over = new AbortController();

/** The next turn, unless the test has ended meanwhile. */
async function turn(): Promise<void> {
  const { signal } = over;
  await new Promise((resolve) => setImmediate(resolve));
  signal.throwIfAborted();
}

/** After a test: nobody is left. */
export async function endAll(running: KindGateway | null): Promise<void> {
  over.abort(new Error('the test has ended'));
  over = new AbortController();
  for (const client of clients) client.end();
  clients = [];
  await running?.upstream.close();
  await running?.listener.close();
}

/** Lines that are answered, each before the next is sent, and then what is not a whole line or has no answer yet. */
export type Said = { lines: readonly string[]; rest?: string };

/** Somebody who is there beside, and whose answers prove that what came before was dealt with. */
export async function beside({ open }: KindGateway): Promise<TestClient> {
  const other = await open();
  clients.push(other);
  return other;
}

export async function say(
  { open }: KindGateway,
  { lines, rest = '' }: Said,
  other: TestClient,
): Promise<TestClient> {
  const client = await open();
  clients.push(client);
  for (const line of lines) {
    const said = await client.ask(line);
    if (said === null) throw new Error(`closed at ${line.slice(0, 40)}`);
  }
  if (rest !== '') {
    await new Promise<void>((resolve) => client.socket.write(rest, () => resolve()));
    for (let i = 0; i < 3; i++) await other.ask('VRFY x');
  }
  return client;
}

/** Until it is so; nothing but the test's own time ends it. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await turn();
}

/** As soon as there is a place. */
export async function nextClient(running: KindGateway): Promise<TestClient> {
  for (;;) {
    const client = await ready(running).catch(() => null);
    if (client !== null) {
      clients.push(client);
      return client;
    }
    await turn();
  }
}

/** A whole mail; there is room for two in all, and for one at a time. */
export async function nextMail(running: KindGateway): Promise<void> {
  const client = await nextClient(running);
  for (;;) {
    const said = await client.ask('MAIL FROM:<next@example.org>');
    if (said?.startsWith('250') === true) break;
    // Until what the other one had is back.
    expect(said).toMatch(/^450 4\.7\.1 At most 1 messages of this login/);
    await turn();
  }
  expect(await client.ask('RCPT TO:<b@example.net>')).toMatch(/^250/);
  expect(await client.ask('DATA')).toMatch(/^354/);
  expect(await client.ask('next\r\n.')).toMatch(/^250/);
  expect(await client.ask('QUIT')).toMatch(/^221/);
  await client.toEnd();
}

export const defects = ({ events }: KindGateway) => events.filter(({ event }) => event === 'gateway.defect');

/** Nothing is left of what was there. */
export async function nothingIsLeft(running: KindGateway): Promise<void> {
  await running.listener.close();
  await until(() => running.upstream.open.size === 0 && running.held.spools === 0);
  expect([running.held.keepings, defects(running)]).toEqual([0, []]);
  await until(() => !process.getActiveResourcesInfo().some((kind) => SOCKETS.has(kind)));
  // The one timer is the test's own: sessions and connections have taken theirs with them.
  if (!vi.isFakeTimers()) await until(() => timers() <= 1);
}

const SOCKETS = new Set(['TCPSocketWrap', 'TLSWrap', 'TCPConnectWrap']);
const timers = () => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;

type ClientEnd = (client: TestClient) => void;
type ServerEnd = (running: KindGateway) => void;

const each =
  (end: (top: Socket, raw: Socket) => void): ServerEnd =>
  ({ upstream }) => {
    for (const raw of [...upstream.open]) end(upstream.secured.get(raw) ?? raw, raw);
  };

export const CLIENT_ENDS: Readonly<Record<string, ClientEnd>> = {
  'goes by FIN': ({ socket }) => void socket.end(),
  'resets the connection': ({ raw }) => void raw.resetAndDestroy(),
};
export const SERVER_ENDS: Readonly<Record<string, ServerEnd>> = {
  'goes by FIN': each((top) => void top.end()),
  'resets the connection': each((_top, raw) => void raw.resetAndDestroy()),
  'says 421': each((top) => void top.end('421 4.3.2 going down\r\n')),
};
/** As somebody does who has no key: nothing of TLS says that it is over. */
export const CUT_BENEATH_TLS: { client: Record<string, ClientEnd>; server: Record<string, ServerEnd> } = {
  client: { 'is cut off beneath TLS': ({ raw }) => void raw.end() },
  server: { 'is cut off beneath TLS': each((_top, raw) => void raw.end()) },
};

/** Time goes by until it is done, and no more than so much. */
export async function passing<T>(done: Promise<T>, mostMs: number): Promise<T> {
  let isDone = false;
  const settled = done.finally(() => {
    isDone = true;
  });
  for (let passed = 0; !isDone && passed <= mostMs; passed += 5_000) {
    for (let i = 0; i < 20 && !isDone; i++) await turn();
    if (!isDone) await vi.advanceTimersByTimeAsync(5_000);
  }
  return await settled;
}
