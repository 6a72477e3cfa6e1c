import { afterEach, expect, test } from 'vitest';
import { toyEncrypted } from '../imap-proxy/support/toy-story.ts';
import { eventually } from '../support/eventually.ts';
import { Conversation } from './support/conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { type Script, type ScriptedMessage, ScriptedServer, topOf } from './support/scripted-server.ts';

const FIELDS = ['From: alice@example.org', 'To: bob@example.org', 'Subject: Lunch'];
const PLAIN = Buffer.from(
  ['Subject: plain', 'X-Dots: yes', '', '.one dot', '..two dots', '.', 'x', '', 'end', ''].join('\r\n'),
);
const ENTITY = `Content-Type: text/plain\r\n\r\nmeet me\r\n.at noon\r\n${'line\r\n'.repeat(20)}`;
const ENCRYPTED = toyEncrypted(FIELDS, ENTITY);
const OPAQUE = toyEncrypted(FIELDS, ENTITY, 'signed-data');
const CLEAR_SIGNED = Buffer.from(
  [
    ...FIELDS,
    'Content-Type: multipart/signed; protocol="application/pkcs7-signature"; boundary=b',
    '',
    '--b',
    '',
    'text',
    '--b--',
    '',
  ].join('\r\n'),
);

const MESSAGES: readonly ScriptedMessage[] = [
  { octets: PLAIN, uidl: 'plain-1' },
  { octets: ENCRYPTED, uidl: 'encrypted-2' },
  { octets: OPAQUE, uidl: 'opaque-3' },
  { octets: CLEAR_SIGNED, uidl: 'signed-4' },
];

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

async function serve(
  script: Script = {},
  changes: Parameters<typeof startTestProxy>[1] = {},
  messages = MESSAGES,
): Promise<{ server: ScriptedServer; proxy: TestProxy; client: Conversation }> {
  const server = await ScriptedServer.start(messages, script);
  open.push(server);
  const proxy = await startTestProxy(server.port, changes);
  open.push(proxy);
  const client = await Conversation.login(proxy.port);
  open.push(client);
  return { server, proxy, client };
}

test('what a server says of its maildrop passes unchanged', async () => {
  const { client } = await serve();
  const total = MESSAGES.reduce((sum, { octets }) => sum + octets.length, 0);
  expect(await client.ask('STAT')).toBe(`+OK 4 ${total}`);
  expect(await client.ask('LIST 2')).toBe(`+OK 2 ${ENCRYPTED.length}`);
  expect(await client.ask('list')).toBe('+OK 4 messages');
  expect((await client.message()).toString()).toBe(
    MESSAGES.map(({ octets }, i) => `${i + 1} ${octets.length}\r\n`).join(''),
  );
  expect(await client.ask('UIDL 3')).toBe('+OK 3 opaque-3');
  expect((await client.fetch('UIDL')).toString()).toMatch(/^1 plain-1\r\n2 encrypted-2\r\n/);
  expect(await client.ask('NOOP')).toBe('+OK');
  expect(await client.ask('DELE 1')).toBe('+OK marked');
  expect(await client.ask('RETR 1')).toBe('-ERR no such message');
  expect(await client.ask('RSET')).toBe('+OK');
  expect(await client.ask('RETR 9')).toBe('-ERR no such message');
});

test.each([1, 7, 100_000])(
  'every class has as many octets as LIST says, the server sending %i at a time',
  async (piece) => {
    const { client, proxy } = await serve({ piece });
    const sizes = (await client.fetch('LIST')).toString().trim().split('\r\n');
    for (const [i, { octets }] of MESSAGES.entries()) {
      expect(await client.ask(`RETR ${i + 1}`)).toBe(`+OK ${octets.length} octets`);
      const shown = await client.message();
      expect(`${i + 1} ${shown.length}`).toBe(sizes[i]);
      const isShell = octets === ENCRYPTED || octets === OPAQUE;
      if (isShell) {
        expect(shown.toString()).toContain('\r\nmeet me\r\n.at noon\r\n');
        expect(shown.toString()).toMatch(/^X-Sealgate-7f3a9c2e-Status: /m);
      } else expect(shown).toEqual(octets);
    }
    expect(proxy.control.opened).toBe(2);
  },
);

test('lines that begin with a dot come as the server has stuffed them, and views are stuffed too', async () => {
  const { client } = await serve();
  await client.ask('RETR 1');
  expect((await client.stuffed()).toString()).toBe(
    ['Subject: plain', 'X-Dots: yes', '', '..one dot', '...two dots', '..', 'x', '', 'end', ''].join('\r\n'),
  );
  await client.ask('RETR 2');
  expect((await client.stuffed()).toString()).toContain('\r\n..at noon\r\n');
});

test('a message without its last line end, and one without any octet', async () => {
  const messages = [
    { octets: Buffer.from('Subject: a\r\n\r\nb'), uidl: 'a' },
    { octets: Buffer.alloc(0), uidl: 'b' },
  ];
  const { client } = await serve({}, {}, messages);
  expect((await client.fetch('RETR 1')).toString()).toBe('Subject: a\r\n\r\nb\r\n');
  expect((await client.fetch('RETR 2')).toString()).toBe('');
  expect((await client.fetch('TOP 2 5')).toString()).toBe('');
});

test('a header only needs no key, and has the shell’s Content-Type', async () => {
  const { client, proxy, server } = await serve();
  const header = (await client.fetch('TOP 2 0')).toString();
  expect(header).toMatch(
    /^From: alice@example.org\r\nTo: bob@example.org\r\nSubject: Lunch\r\nMIME-Version: 1.0\r\nContent-Type: multipart\/mixed; boundary="(=_sealgate_[a-z2-7]{26})"\r\n\r\n$/,
  );
  expect(proxy.control.opened).toBe(0);
  expect(server.commands).not.toContain('RETR 2');
  const boundary = /boundary="([^"]*)"/.exec(header)?.[1] ?? '';
  const whole = (await client.fetch('RETR 2')).toString();
  expect(whole).toContain(`\r\n--${boundary}--\r\n`);
  // The same message is named the same in another session.
  const again = await Conversation.login(proxy.port);
  open.push(again);
  expect((await again.fetch('TOP 2 0')).toString()).toBe(header);
  expect((await again.fetch('RETR 2')).toString()).toBe(whole);
});

test('TOP of some lines is the beginning of what RETR gives, and fetches a message once', async () => {
  const { client, proxy, server } = await serve();
  const tops = new Map<number, Buffer>();
  for (const lines of [1, 5, 12, 1000]) tops.set(lines, await client.fetch(`TOP 2 ${lines}`));
  expect(server.commands.filter((command) => command === 'RETR 2')).toHaveLength(1);
  expect(proxy.control.opened).toBe(1);
  const whole = await client.fetch('RETR 2');
  for (const [lines, shown] of tops) expect(shown).toEqual(topOf(whole, lines));
  expect(await client.fetch('TOP 2 0')).toEqual(topOf(whole, 0));
  for (const lines of [0, 1, 3, 100])
    expect(await client.fetch(`TOP 1 ${lines}`)).toEqual(topOf(PLAIN, lines));
});

test('`topBody: headers` fetches nothing by itself', async () => {
  const { client, server, proxy } = await serve({}, { topBody: 'headers' });
  expect((await client.fetch('TOP 2 20')).toString()).toMatch(/boundary="[^"]*"\r\n\r\n$/);
  expect(server.commands.filter((command) => command.startsWith('RETR'))).toEqual([]);
  expect(proxy.control.opened).toBe(0);
  const whole = await client.fetch('RETR 2');
  expect(await client.fetch('TOP 2 20')).toEqual(topOf(whole, 20));
});

test('a key that is away: refused for now, nothing is deleted by it, and the session goes on', async () => {
  const { client, proxy, server } = await serve();
  proxy.control.mode = 'unavailable';
  expect(await client.ask('RETR 2')).toBe(
    '-ERR [SYS/TEMP] The key token is not there. Insert it and try again.',
  );
  expect(await client.ask('TOP 3 5')).toMatch(/^-ERR \[SYS\/TEMP\] /);
  expect((await client.fetch('RETR 1')).equals(PLAIN)).toBe(true);
  expect(await client.ask('DELE 2')).toMatch(/^-ERR \[SYS\/TEMP\] Not deleted/);
  expect(server.commands).not.toContain('DELE 2');
  proxy.control.mode = 'works';
  expect((await client.fetch('RETR 2')).toString()).toContain('meet me');
  expect(await client.ask('DELE 2')).toBe('+OK marked');
  expect(await client.ask('QUIT')).toBe('+OK bye');
  expect(await client.rest()).toBe('');
  expect(server.messages[1]).toBeNull();
});

test('RETR and DELE in one go remove nothing that the client did not get', async () => {
  const { client, proxy, server } = await serve();
  proxy.control.mode = 'unavailable';
  client.send('RETR 2\r\nDELE 2\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n');
  expect(await client.line()).toMatch(/^-ERR \[SYS\/TEMP\] The key/);
  expect(await client.line()).toMatch(/^-ERR \[SYS\/TEMP\] Not deleted/);
  expect(await client.line()).toMatch(/^\+OK/);
  expect(await client.message()).toEqual(PLAIN);
  expect(await client.rest()).toBe('+OK marked\r\n+OK bye\r\n');
  expect(server.messages.map((message) => message === null)).toEqual([true, false, false, false]);
});

test.each(['failed', 'no-key'] as const)('%s for good: the client gets what is stored', async (mode) => {
  const { client, proxy } = await serve();
  proxy.control.mode = mode;
  expect(await client.fetch('RETR 2')).toEqual(ENCRYPTED);
  expect(await client.fetch('TOP 2 3')).toEqual(topOf(ENCRYPTED, 3));
  expect(await client.fetch('TOP 3 3')).toEqual(topOf(OPAQUE, 3));
  expect(await client.fetch('RETR 3')).toEqual(OPAQUE);
});

test('without any key encrypted mail is as stored, and opaque signatures are opened', async () => {
  const { client } = await serve({}, { hasKeys: () => false });
  expect(await client.fetch('RETR 2')).toEqual(ENCRYPTED);
  expect((await client.fetch('RETR 3')).toString()).toContain('meet me');
});

test('commands that come in one go are answered in their order', async () => {
  const { client } = await serve();
  client.send(
    'NOOP\r\nRETR 2\r\nTOP 3 2\r\nLIST 1\r\nTOP 1 1\r\nXTND\r\nUIDL 1\r\nRETR 3\r\nSTAT\r\nCAPA\r\nNOOP\r\n',
  );
  expect(await client.line()).toBe('+OK');
  expect(await client.line()).toBe(`+OK ${ENCRYPTED.length} octets`);
  expect((await client.message()).length).toBe(ENCRYPTED.length);
  expect(await client.line()).toBe('+OK');
  expect((await client.message()).toString()).toContain('multipart/mixed');
  expect(await client.line()).toBe(`+OK 1 ${PLAIN.length}`);
  expect(await client.line()).toBe('+OK');
  expect(await client.message()).toEqual(topOf(PLAIN, 1));
  expect(await client.line()).toMatch(/^-ERR Unknown command/);
  expect(await client.line()).toBe('+OK 1 plain-1');
  expect(await client.line()).toMatch(/^\+OK/);
  expect((await client.message()).toString()).toContain('meet me');
  expect(await client.line()).toMatch(/^\+OK 4 /);
  expect(await client.line()).toBe('+OK');
  expect((await client.message()).toString()).toMatch(
    /^TOP\r\nUIDL\r\nPIPELINING\r\nAUTH-RESP-CODE\r\nRESP-CODES\r\nUSER\r\nSASL PLAIN LOGIN\r\n$/,
  );
  expect(await client.line()).toBe('+OK');
});

test('a server that takes one command at a time gets them so', async () => {
  let inside = false;
  let overlaps = 0;
  const { client, server } = await serve({
    capabilities: ['TOP', 'UIDL', 'USER'],
    answer(command) {
      if (inside) overlaps++;
      if (!command.startsWith('LIST')) return null;
      inside = true;
      setImmediate(() =>
        setImmediate(() => {
          inside = false;
        }),
      );
      return null;
    },
  });
  client.send('LIST 1\r\nLIST 2\r\nRETR 2\r\nLIST 3\r\nNOOP\r\n');
  for (const number of [1, 2]) expect(await client.line()).toMatch(new RegExp(`^\\+OK ${number} `));
  expect(await client.line()).toMatch(/^\+OK/);
  expect((await client.message()).toString()).toContain('meet me');
  expect(await client.line()).toMatch(/^\+OK 3 /);
  expect(await client.line()).toBe('+OK');
  expect(overlaps).toBe(0);
  expect(server.commands.slice(-6)).toEqual(['LIST 1', 'LIST 2', 'UIDL 2', 'RETR 2', 'LIST 3', 'NOOP']);
  expect((await client.fetch('CAPA')).toString()).not.toContain('PIPELINING');
});

test('a server without UIDL: views are named by what they show', async () => {
  const script: Script = { answer: (command) => (command.startsWith('UIDL') ? '-ERR what?\r\n' : null) };
  const { client, proxy, server } = await serve(script);
  const whole = await client.fetch('RETR 2');
  expect(whole.length).toBe(ENCRYPTED.length);
  expect(await client.fetch('TOP 2 4')).toEqual(topOf(whole, 4));
  expect(await client.fetch('TOP 2 0')).toEqual(topOf(whole, 0));
  expect((await client.fetch('TOP 3 0')).toString()).toMatch(/boundary="=_sealgate_/);
  const again = await Conversation.login(proxy.port);
  open.push(again);
  expect(await again.fetch('RETR 2')).toEqual(whole);
  const other = (await client.fetch('RETR 3')).toString();
  const boundaryOf = (text: string) => /boundary="([^"]*)"/.exec(text)?.[1];
  expect(boundaryOf(other)).not.toBe(boundaryOf(whole.toString()));
  expect(server.commands.filter((command) => command.startsWith('UIDL')).length).toBeLessThan(7);
});

test('a status that a stranger has written is made harmless', async () => {
  const forged = Buffer.from(
    'X-Sealgate-7f3a9c2e-Status: v=1; sig=valid\r\nAuthentication-Results: sealgate-7f3a9c2e.x; smime=pass\r\n\r\nbody\r\n',
  );
  const { client } = await serve({}, {}, [{ octets: forged, uidl: 'f' }]);
  for (const shown of [await client.fetch('RETR 1'), await client.fetch('TOP 1 0')]) {
    expect(shown.toString()).not.toContain('7f3a9c2e');
  }
  expect((await client.fetch('RETR 1')).length).toBe(forged.length);
});

test('what a clear signature teaches is learnt, after the client was served', async () => {
  const { client, proxy } = await serve();
  expect(await client.fetch('RETR 4')).toEqual(CLEAR_SIGNED);
  await client.ask('NOOP');
  expect(proxy.control.observed).toBe(1);
});

test('so is that of each message that is fetched in one go, though the client has left before', async () => {
  const { client, proxy } = await serve();
  proxy.control.mode = 'waits';
  client.send('RETR 4\r\nRETR 4\r\nRETR 4\r\nQUIT\r\n');
  for (let i = 0; i < 3; i++) {
    expect(await client.line()).toMatch(/^\+OK/);
    expect(await client.message()).toEqual(CLEAR_SIGNED);
  }
  expect(await client.line()).toMatch(/^\+OK/);
  await proxy.control.waitFor(1);
  expect(proxy.control.observed).toBe(0);
  proxy.control.typed();
  await eventually(() => expect(proxy.control.observed).toBe(3));
});

test('two messages with one unique id: neither is taken for the other', async () => {
  const other = toyEncrypted(FIELDS, 'Content-Type: text/plain\r\n\r\nsomething else\r\n');
  const twins = [
    { octets: ENCRYPTED, uidl: 'same' },
    { octets: other, uidl: 'same' },
  ];
  const { client } = await serve({}, {}, twins);
  await client.fetch('UIDL');
  const first = await client.fetch('RETR 1');
  expect((await client.fetch('TOP 2 100')).toString()).toContain('something else');
  expect((await client.fetch('RETR 2')).toString()).toContain('something else');
  expect(await client.fetch('TOP 1 100')).toEqual(topOf(first, 100));
});

test('a login for mail as it is stored gets every octet of it', async () => {
  const forged = Buffer.from('X-Sealgate-7f3a9c2e-Status: v=1; sig=valid\r\n\r\nbody\r\n');
  const { proxy, server } = await serve({}, { rawLoginSuffix: '+raw' }, [
    ...MESSAGES,
    { octets: forged, uidl: 'f' },
  ]);
  const client = await Conversation.login(proxy.port, 'bob@example.org+raw');
  open.push(client);
  const login = Buffer.from('\0bob@example.org\0secret').toString('base64');
  expect(server.commands.filter((command) => command === `AUTH PLAIN ${login}`)).toHaveLength(2);
  for (const [i, octets] of [PLAIN, ENCRYPTED, OPAQUE, CLEAR_SIGNED, forged].entries()) {
    expect(await client.fetch(`TOP ${i + 1} 2`)).toEqual(topOf(octets, 2));
    expect(await client.fetch(`RETR ${i + 1}`)).toEqual(octets);
  }
  expect([proxy.control.opened, proxy.control.observed]).toEqual([0, 0]);
  expect(proxy.events).toContainEqual(
    expect.objectContaining({ event: 'pop3.authenticated', principal: 'bob@example.org', asStored: true }),
  );
});
