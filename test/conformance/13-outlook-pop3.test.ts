import { afterEach, expect, test } from 'vitest';
import { FakeTimers } from '../imap-proxy/support/fake-timers.ts';
import { toyEncrypted } from '../imap-proxy/support/toy-story.ts';
import { Conversation } from '../pop3-proxy/support/conversation.ts';
import { startTestProxy } from '../pop3-proxy/support/listener.ts';
import { CAPABILITIES, ScriptedServer } from '../pop3-proxy/support/scripted-server.ts';

/** Outlook over POP3, with a server that has what Outlook does not take well. */

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

const MESSAGES = [
  { octets: Buffer.from('Subject: plain\r\n\r\nplain\r\n'), uidl: 'AAA1' },
  { octets: toyEncrypted(['Subject: sealed'], 'Content-Type: text/plain\r\n\r\nmeet me\r\n'), uidl: 'AAA2' },
];
/** How long Outlook waits for a server, unless it is told otherwise. */
const OUTLOOK_MS = 60_000;

test('13: no UTF8 in CAPA, mail left on the server and known by UIDL, a slow key refused within a minute and had the next time', async () => {
  const server = await ScriptedServer.start(MESSAGES, { capabilities: [...CAPABILITIES, 'UTF8', 'LANG'] });
  open.push(server);
  const timers = new FakeTimers();
  const proxy = await startTestProxy(server.port, { timers });
  open.push(proxy);
  const round = async (
    known: Set<string>,
    fetched: (uidl: string, client: Conversation) => Promise<void>,
  ) => {
    const client = await Conversation.open(proxy.port);
    open.push(client);
    expect((await client.fetch('CAPA')).toString()).not.toMatch(/UTF8|LANG/);
    expect(await client.ask('UTF8')).toMatch(/^-ERR/);
    expect(await client.ask('USER bob@example.org')).toMatch(/^\+OK/);
    expect(await client.ask('PASS secret')).toMatch(/^\+OK/);
    expect(await client.ask('STAT')).toMatch(/^\+OK 2 /);
    const ids = (await client.fetch('UIDL')).toString().trim().split('\r\n');
    await client.fetch('LIST');
    for (const line of ids) {
      const [number = '', uidl = ''] = line.split(' ');
      if (known.has(uidl)) continue;
      client.send(`RETR ${number}\r\n`);
      await fetched(uidl, client);
    }
    expect(await client.ask('QUIT')).toMatch(/^\+OK/);
    return ids;
  };
  const known = new Set<string>();
  proxy.control.mode = 'waits';
  const first = await round(known, async (uidl, client) => {
    if (uidl === 'AAA2') {
      await timers.pass(50_000);
      expect(timers.now()).toBeLessThan(OUTLOOK_MS);
      expect(await client.line()).toMatch(/^-ERR \[SYS\/TEMP\] /);
      return;
    }
    expect(await client.line()).toMatch(/^\+OK/);
    await client.message();
    known.add(uidl);
  });
  expect([...known]).toEqual(['AAA1']);
  proxy.control.typed();
  const seen: string[] = [];
  const second = await round(known, async (uidl, client) => {
    expect(await client.line()).toMatch(/^\+OK/);
    expect((await client.message()).toString()).toContain('meet me');
    seen.push(uidl);
  });
  expect(seen).toEqual(['AAA2']);
  expect(second).toEqual(first);
  expect(server.messages).toEqual(MESSAGES);
  expect(server.commands.filter((command) => command.startsWith('DELE'))).toEqual([]);
});
