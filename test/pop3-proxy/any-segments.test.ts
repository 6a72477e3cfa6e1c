import type { Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toyEncrypted } from '../imap-proxy/support/toy-story.ts';
import { Conversation } from './support/conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { CAPABILITIES, ScriptedServer } from './support/scripted-server.ts';

/**
 * What a client gets to read is the same, however its commands and the answers of the mail server are cut, and whatever was dealt with before
 * the next piece comes.
 */

const ENTITY = 'Content-Type: text/plain\r\n\r\nmeet me\r\n.at noon\r\n..\r\n';
const MESSAGES = [
  { octets: Buffer.from('Subject: p\r\n\r\n.one dot\r\n.\r\nend\r\n'), uidl: 'p' },
  { octets: toyEncrypted(['Subject: e'], ENTITY), uidl: 'e' },
  {
    octets: Buffer.from(
      'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=b\r\n\r\n--b--\r\n',
    ),
    uidl: 's',
  },
];

const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64');

const LOGINS = {
  'USER and PASS': ['USER bob@example.org', 'PASS secret'],
  'PLAIN at once': [`AUTH PLAIN ${base64('\0bob@example.org\0secret')}`],
  'PLAIN in two steps': ['AUTH PLAIN', base64('\0bob@example.org\0secret')],
  'LOGIN after one that is taken back': ['AUTH LOGIN', '*', 'AUTH LOGIN', base64('bob'), base64('secret')],
  'one that comes too early': [
    'CAPA',
    'PASS secret',
    'STAT',
    'AUTH',
    'USER bob',
    'NOOP',
    'USER bob',
    'PASS x',
  ],
};

const COMMANDS = [
  ...['STAT', 'LIST', 'LIST 2', 'UIDL', 'UIDL 3', 'UIDL 9', 'CAPA', 'NOOP', 'USER bob', 'XYZZY', 'RETR x'],
  ...[
    'TOP 2 0',
    'TOP 1 1',
    'TOP 2 2',
    'RETR 1',
    'RETR 2',
    'RETR 3',
    'TOP 2 3',
    'TOP 9 0',
    'RETR 9',
    'LIST 9',
  ],
  ...['DELE 1', 'RETR 1', 'DELE 1', 'RSET', 'RETR 1', 'DELE 3', 'RSET', 'QUIT'],
];
/** Without a name that is known before: what opens a message is the first that is asked of it. */
const FIRST_ASKED = ['RETR 2', 'TOP 2 2', 'DELE 2', 'TOP 3 5', 'TOP 1 1', 'RETR 3', 'UIDL', 'RSET', 'QUIT'];

const servers = {
  pipelining: CAPABILITIES,
  'one by one': CAPABILITIES.filter((each) => each !== 'PIPELINING'),
};
const views = { render: { topBody: 'render' }, headers: { topBody: 'headers' } } as const;

describe.each(['pipelining', 'one by one'] as const)('a server of which commands are %s', (kind) => {
  /** The connection whose answers come octet by octet; null: none. */
  let paced: { socket: Socket; written: Promise<void> } | null = null;
  let wanted = false;
  let server: ScriptedServer;
  const proxies: Partial<Record<keyof typeof views, { proxy: TestProxy; other: Conversation }>> = {};

  /** What was there before is dealt with: what goes through another session has come after it. */
  let asked: Promise<unknown> = Promise.resolve();
  async function dealtWith(view: keyof typeof views): Promise<void> {
    asked = asked.then(() => proxies[view]?.other.ask('NOOP'));
    await asked;
  }

  beforeAll(async () => {
    server = await ScriptedServer.start(MESSAGES, {
      capabilities: servers[kind],
      write(octets, socket) {
        if (paced?.socket !== socket) {
          socket.write(octets);
          return;
        }
        const current = paced;
        current.written = current.written.then(async () => {
          for (const octet of octets) {
            socket.write(Buffer.from([octet]));
            await dealtWith('render');
          }
        });
      },
      answer(command, socket) {
        if (wanted && command === 'CAPA' && paced === null) paced = { socket, written: Promise.resolve() };
        return null;
      },
    });
    for (const view of ['render', 'headers'] as const) {
      const proxy = await startTestProxy(server.port, views[view]);
      proxies[view] = { proxy, other: await Conversation.login(proxy.port) };
    }
  });

  afterAll(async () => {
    for (const { proxy, other } of Object.values(proxies)) {
      other.close();
      await proxy.close();
    }
    await server.close();
  });

  async function opened(view: keyof typeof views): Promise<Conversation> {
    return await Conversation.open(proxies[view]?.proxy.port ?? 0);
  }

  /** One command after the other, each when nothing more comes of the one before. */
  async function oneByOne(view: keyof typeof views, lines: readonly string[]): Promise<string> {
    const client = await opened(view);
    for (const line of lines) {
      client.send(`${line}\r\n`);
      await dealtWith(view);
      await dealtWith(view);
    }
    return await client.rest();
  }

  describe.each(['render', 'headers'] as const)('topBody: %s', (view) => {
    test.each(Object.entries(LOGINS))('%s', async (_name, login) => {
      const lines = [...login, ...COMMANDS];
      const expected = await oneByOne(view, lines);
      expect(expected).toMatch(/\r\n\+OK bye\r\n$/);

      const inOne = await opened(view);
      inOne.send(`${lines.join('\r\n')}\r\n`);
      expect(await inOne.rest()).toBe(expected);

      const octets = await opened(view);
      for (const octet of Buffer.from(`${lines.join('\r\n')}\r\n`, 'latin1')) {
        octets.send(Buffer.from([octet]));
        await dealtWith(view);
      }
      expect(await octets.rest()).toBe(expected);
    });

    test.each(['NO\rOP', 'NOOP\nNOOP', 'x'.repeat(70_000)])(
      'what cannot be understood is said when all before it is answered: %#',
      async (line) => {
        const lines = [...LOGINS['USER and PASS'], 'LIST', 'RETR 2', 'XYZZY', 'TOP 2 2', line];
        const expected = await oneByOne(view, lines);
        expect(expected).toMatch(/\r\n\.\r\n-ERR [^\r\n]*\r\n$/);
        const inOne = await opened(view);
        inOne.send(`${lines.join('\r\n')}\r\n`);
        expect(await inOne.rest()).toBe(expected);
      },
    );

    test('what opens a message is asked for first', async () => {
      const lines = [...LOGINS['USER and PASS'], ...FIRST_ASKED];
      const expected = await oneByOne(view, lines);
      for (const cut of [1, 7, 1_000]) {
        const client = await opened(view);
        const octets = Buffer.from(`${lines.join('\r\n')}\r\n`, 'latin1');
        for (let at = 0; at < octets.length; at += cut) {
          client.send(octets.subarray(at, at + cut));
          await dealtWith(view);
        }
        expect(await client.rest()).toBe(expected);
      }
    });
  });

  test.each(['at once', 'one by one'] as const)(
    'each octet of the server is dealt with before the next comes, commands %s',
    async (how) => {
      const lines = [...LOGINS['USER and PASS'], ...FIRST_ASKED];
      const expected = (await oneByOne('render', lines)).replace(/[^\n]*\n$/, '');
      lines.pop();
      wanted = true;
      const client = await opened('render');
      wanted = false;
      if (how === 'at once') client.send(`${lines.join('\r\n')}\r\n`);
      else {
        for (const line of lines) {
          client.send(`${line}\r\n`);
          await dealtWith('render');
        }
      }
      await client.has(expected.length);
      expect(client.waiting).toBe(expected);
      await paced?.written;
      paced = null;
      client.close();
    },
  );
});
