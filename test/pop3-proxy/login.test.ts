import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { Conversation } from './support/conversation.ts';
import { startTestProxy, type TestProxy } from './support/listener.ts';
import { CAPABILITIES, type Script, ScriptedServer } from './support/scripted-server.ts';

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

async function serve(
  script: Script = {},
  changes: Parameters<typeof startTestProxy>[1] = {},
): Promise<{ server: ScriptedServer; proxy: TestProxy; client: Conversation }> {
  const server = await ScriptedServer.start([], script);
  open.push(server);
  const proxy = await startTestProxy(server.port, changes);
  open.push(proxy);
  const client = await Conversation.open(proxy.port);
  open.push(client);
  return { server, proxy, client };
}

const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64');
const PLAIN = base64('\0bob@example.org\0secret');
const TOKEN = `user=bob@example.org\x01auth=Bearer ${'t'.repeat(40)}\x01\x01`;

/** Who is logged in, by the log; null: nobody. */
function principal({ events }: TestProxy): string | null {
  for (const event of events) if (event.event === 'pop3.authenticated') return event.principal;
  return null;
}

test('the greeting is the gateway’s own: no timestamp for APOP', async () => {
  const server = await ScriptedServer.start([]);
  open.push(server);
  const proxy = await startTestProxy(server.port);
  open.push(proxy);
  const client = new Conversation(connect(proxy.port, '127.0.0.1'));
  open.push(client);
  expect(await client.line()).toBe('+OK gateway.example.org Sealgate ready');
  expect(await client.ask('APOP bob c4c9334bac560ecc979e58001b3e22fb')).toMatch(/^-ERR Unknown command/);
  expect(server.commands).toEqual(['CAPA']);
});

test('capabilities are an allow-list', async () => {
  const capabilities = [
    ...[
      'TOP',
      'UIDL',
      'RESP-CODES',
      'PIPELINING',
      'AUTH-RESP-CODE',
      'USER',
      'UTF8 USER',
      'LANG',
      'X-GOOGLE-RICO',
    ],
    ...[
      'SASL PLAIN XOAUTH2 SCRAM-SHA-256 GSSAPI',
      'EXPIRE 30 USER',
      'LOGIN-DELAY 300',
      'IMPLEMENTATION x',
      'STLS',
    ],
    ...['XCLIENT ADDR', 'TOP again'],
  ];
  const { client } = await serve({ capabilities });
  expect((await client.fetch('CAPA')).toString().split('\r\n')).toEqual([
    ...[
      'TOP',
      'UIDL',
      'PIPELINING',
      'EXPIRE 30 USER',
      'LOGIN-DELAY 300',
      'AUTH-RESP-CODE',
      'RESP-CODES',
      'USER',
    ],
    ...['SASL PLAIN LOGIN XOAUTH2', ''],
  ]);
});

test('a server that does not know CAPA', async () => {
  const { client, server, proxy } = await serve({ capabilities: null });
  expect((await client.fetch('CAPA')).toString()).toBe(
    'TOP\r\nUIDL\r\nRESP-CODES\r\nUSER\r\nSASL PLAIN LOGIN\r\n',
  );
  expect(await client.ask(`AUTH PLAIN ${PLAIN}`)).toBe('+OK logged in');
  expect(server.commands.slice(-2)).toEqual(['USER bob@example.org', 'PASS secret']);
  expect(principal(proxy)).toBe('bob@example.org');
});

test('without TLS where TLS is to be had nobody logs in', async () => {
  const { client, server } = await serve(
    {},
    { tls: 'starttls', secureContext: {} as never, allowPlainAuth: false },
  );
  expect((await client.fetch('CAPA')).toString()).not.toMatch(/USER|SASL/);
  expect((await client.fetch('CAPA')).toString()).toContain('STLS\r\n');
  for (const command of ['USER bob', 'PASS secret', `AUTH PLAIN ${PLAIN}`, 'AUTH LOGIN']) {
    expect(await client.ask(command)).toMatch(/^-ERR Start TLS/);
  }
  expect((await client.fetch('AUTH')).toString()).toBe('');
  expect(server.commands).toEqual(['CAPA']);
});

test.each<[string, readonly string[], string, readonly string[], readonly string[]]>([
  ['USER and PASS as PLAIN', CAPABILITIES, 'USER bob@example.org', ['PASS secret'], [`AUTH PLAIN ${PLAIN}`]],
  ['PLAIN as it is', CAPABILITIES, `AUTH PLAIN ${PLAIN}`, [], [`AUTH PLAIN ${PLAIN}`]],
  ['PLAIN in two steps', CAPABILITIES, 'auth plain', [PLAIN], [`AUTH PLAIN ${PLAIN}`]],
  [
    'LOGIN as PLAIN',
    CAPABILITIES,
    'AUTH LOGIN',
    [base64('bob@EXAMPLE.org'), base64('secret')],
    [`AUTH PLAIN ${PLAIN}`],
  ],
  [
    'PLAIN as USER and PASS',
    ['USER'],
    `AUTH PLAIN ${base64('\0bob@example.org\0a b')}`,
    [],
    ['USER bob@example.org', 'PASS a b'],
  ],
])('%s', async (_name, capabilities, command, answers, expected) => {
  const { client, server, proxy } = await serve({ capabilities });
  let answer = await client.ask(command);
  for (const each of answers) {
    expect(answer).toMatch(/^\+/);
    answer = await client.ask(each);
  }
  expect(answer).toBe('+OK logged in');
  expect(server.commands.slice(1)).toEqual(expected);
  expect(principal(proxy)).toBe('bob@example.org');
});

test('LOGIN to a server that has only that, and a token too long for one line, wait for the server', async () => {
  const long = `user=bob@example.org\x01auth=Bearer ${'t'.repeat(3_000)}\x01\x01`;
  const { client, server } = await serve({
    capabilities: ['SASL LOGIN XOAUTH2'],
    answer: (command) =>
      /^AUTH (?:LOGIN|XOAUTH2)$|^Ym9i/.test(command)
        ? '+ \r\n'
        : /^c2Vj|^dXNl/.test(command)
          ? '+OK\r\n'
          : null,
  });
  expect(await client.ask(`AUTH XOAUTH2 ${base64(long)}`)).toBe('+OK');
  expect(server.commands.slice(1)).toEqual(['AUTH XOAUTH2', base64(long)]);
  const other = await Conversation.login((await startOther(server)).port);
  open.push(other);
  expect(server.commands.slice(-3)).toEqual(['AUTH LOGIN', base64('bob@example.org'), base64('secret')]);
});

async function startOther(server: ScriptedServer): Promise<TestProxy> {
  const proxy = await startTestProxy(server.port);
  open.push(proxy);
  return proxy;
}

test('the reason of a refused token reaches the client, and the client’s answer the server', async () => {
  const reason = base64('{"status":"401","schemes":"bearer"}');
  const { client, server, proxy } = await serve({
    capabilities: ['SASL XOAUTH2'],
    answer: (command) =>
      command.startsWith('AUTH') ? `+ ${reason}\r\n` : command === '' ? '-ERR [AUTH] no\r\n' : null,
  });
  expect(await client.ask(`AUTH XOAUTH2 ${base64(TOKEN)}`)).toBe(`+ ${reason}`);
  // The server has not said that it has response codes.
  expect(await client.ask('')).toBe('-ERR (AUTH] no');
  expect(server.commands.slice(1)).toEqual([`AUTH XOAUTH2 ${base64(TOKEN)}`, '']);
  expect(principal(proxy)).toBeNull();
});

test('the verdict is the server’s, in its words, and five failures end the session', async () => {
  const { client, proxy, server } = await serve({
    answer: (command) => (command.startsWith('AUTH') ? '-ERR [AUTH] Invalid\x07 login\r\n' : null),
  });
  for (let i = 0; i < 5; i++) {
    await client.ask('USER bob@example.org');
    expect(await client.ask('PASS wrong')).toBe('-ERR [AUTH] Invalid? login');
  }
  expect(await client.rest()).toBe('');
  expect(principal(proxy)).toBeNull();
  await server.ended();
  expect(JSON.stringify(proxy.events)).not.toContain('wrong');
});

test.each([
  ['on behalf of somebody else', `AUTH PLAIN ${base64('carol\0bob\0secret')}`],
  ['a NUL in the password', `AUTH PLAIN ${base64('\0bob\0se\0cret')}`],
  ['no base64', 'AUTH PLAIN %%%'],
  ['nothing', 'AUTH PLAIN ='],
])('%s is refused here', async (_name, command) => {
  const { client, server } = await serve();
  expect(await client.ask(command)).toMatch(/^-ERR \[AUTH\] /);
  expect(server.commands).toEqual(['CAPA']);
});

test('a name with blanks is not said to a server that might take it for another', async () => {
  const { client, server } = await serve({ capabilities: ['USER'] });
  await client.ask('USER bob smith');
  expect(await client.ask('PASS x')).toMatch(/^-ERR \[AUTH\] /);
  expect(server.commands).toEqual(['CAPA']);
});

test('PASS belongs to the USER right before it, and commands of later states come later', async () => {
  const { client } = await serve();
  expect(await client.ask('PASS secret')).toBe('-ERR Send USER first');
  await client.ask('USER bob');
  await client.ask('CAPA');
  await client.message();
  expect(await client.ask('PASS secret')).toBe('-ERR Send USER first');
  for (const command of ['STAT', 'RETR 1', 'DELE 1', 'NOOP', 'RSET', 'TOP 1 0'])
    expect(await client.ask(command)).toBe('-ERR Log in first');
  expect(await client.ask('STLS')).toMatch(/^-ERR/);
  expect(await client.ask('QUIT')).toBe('+OK Goodbye');
  expect(await client.rest()).toBe('');
});

test('a login taken back counts as none', async () => {
  const { client } = await serve();
  for (let i = 0; i < 6; i++) {
    expect(await client.ask('AUTH PLAIN')).toBe('+ ');
    expect(await client.ask('*')).toBe('-ERR Cancelled');
  }
  expect(await client.ask(`AUTH PLAIN ${PLAIN}`)).toBe('+OK logged in');
  expect(await client.ask('USER bob')).toBe('-ERR You are logged in');
});

test('a server that says more than it was asked has let in nobody', async () => {
  let said = false;
  const { client, proxy } = await serve({
    capabilities: ['USER'],
    answer(command) {
      if (!command.startsWith('USER') || said) return null;
      said = true;
      return '+OK\r\n+OK logged in\r\n';
    },
  });
  await client.ask('USER bob');
  expect(await client.ask('PASS secret')).toMatch(/^-ERR \[SYS\/TEMP\]/);
  expect(await client.rest()).toBe('');
  expect(principal(proxy)).toBeNull();
});

test.each([
  ['greets with an error', { greeting: '-ERR [SYS/TEMP] too busy\r\n' }],
  ['greets with nonsense', { greeting: '* OK IMAP4rev1\r\n' }],
  ['has capabilities without an end', { capabilities: Array<string>(20_000).fill('X-CAPABILITY') }],
])('a server that %s: the client is told that it is for now', async (_name, script) => {
  const server = await ScriptedServer.start([], script);
  open.push(server);
  const proxy = await startTestProxy(server.port);
  open.push(proxy);
  const client = new Conversation(connect(proxy.port, '127.0.0.1'));
  open.push(client);
  expect(await client.rest()).toMatch(/^-ERR \[SYS\/TEMP\] [^\r\n]*\r\n$/);
});

test('a login in which the password does not travel is passed on, and whose it is read from it', async () => {
  const challenge = base64('<1896@server>');
  const { proxy, server } = await serve(
    {
      capabilities: ['SASL PLAIN CRAM-MD5 SCRAM-SHA-256'],
      answer: (command) =>
        command === 'AUTH CRAM-MD5'
          ? `+ ${challenge}\r\n`
          : /^[A-Za-z0-9+/=]{20,}$/.test(command)
            ? '+OK in\r\n'
            : null,
    },
    { relayMechanisms: ['CRAM-MD5'] },
  );
  const client = await Conversation.open(proxy.port);
  open.push(client);
  expect((await client.fetch('CAPA')).toString()).toContain('SASL PLAIN LOGIN CRAM-MD5\r\n');
  expect(await client.ask('AUTH SCRAM-SHA-256')).toBe('-ERR This way to log in is not offered');
  expect(await client.ask('AUTH CRAM-MD5')).toBe(`+ ${challenge}`);
  const answer = base64(`bob@EXAMPLE.org ${'0'.repeat(32)}`);
  expect(await client.ask(answer)).toBe('+OK in');
  expect(server.commands.slice(-2)).toEqual(['AUTH CRAM-MD5', answer]);
  expect(principal(proxy)).toBe('bob@example.org');
});

test('a server that lets somebody in before it was told whom has let in nobody', async () => {
  const { proxy } = await serve(
    {
      capabilities: ['SASL CRAM-MD5'],
      answer: (command) => (command.startsWith('AUTH') ? '+OK in\r\n' : null),
    },
    { relayMechanisms: ['CRAM-MD5'] },
  );
  const client = await Conversation.open(proxy.port);
  open.push(client);
  expect(await client.ask('AUTH CRAM-MD5')).toBe('+OK in');
  expect(await client.rest()).toMatch(/^-ERR/);
  expect(principal(proxy)).toBeNull();
});
