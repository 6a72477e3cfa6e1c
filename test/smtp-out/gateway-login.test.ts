import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { createServer as createHttps, type Server } from 'node:https';
import { createSecureContext } from 'node:tls';
import { afterAll, afterEach, expect, test } from 'vitest';
import { prepareMailServer } from '../../src/connections/mail-server.ts';
import { Secret } from '../../src/log/secret.ts';
import { readToken, TokenSource } from '../../src/smtp-out/access-token.ts';
import { connectUpstream } from '../../src/smtp-out/connect.ts';
import { type GatewayLogin, logInTo } from '../../src/smtp-out/gateway-login.ts';
import { ScramClient } from '../../src/smtp-out/scram.ts';
import { type FakeOptions, type FakeUpstream, fakeUpstream } from '../smtp-in/support/fake-upstream.ts';
import { certificateFor } from '../support/certificate.ts';

const tls = certificateFor('localhost', '127.0.0.1');
afterAll(() => tls.remove());
let ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

const b64 = (text: string) => Buffer.from(text, 'utf8').toString('base64');
const octetsOf = (text: string) => new Secret(Buffer.from(text, 'utf8').toString('latin1'));
const PASSWORD: GatewayLogin = { kind: 'password', name: 'gateway', password: octetsOf('sésame') };

async function logIn(
  login: GatewayLogin,
  mechanisms: string,
  script: FakeOptions['script'] = {},
): Promise<{ why: string | null; fake: FakeUpstream }> {
  const fake = await fakeUpstream({ keywords: [`AUTH ${mechanisms}`], script });
  ends.push(() => fake.close());
  const server = await prepareMailServer({ host: '127.0.0.1', port: fake.port, tls: 'none' });
  const client = await connectUpstream(server, 'gateway.test');
  ends.push(() => client.abandon());
  return { why: await logInTo(client, login), fake };
}

test('RFC 7677 §3: the exchange of the example', async () => {
  const scram = new ScramClient('user', 'pencil', 'rOprNGfwEbeRWgbNEkqO');
  expect(scram.first).toBe('n,,n=user,r=rOprNGfwEbeRWgbNEkqO');
  expect(
    await scram.final(
      'r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096',
    ),
  ).toBe(
    'c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=',
  );
  expect(scram.isProof('v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')).toBe(true);
  expect(scram.isProof('v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=')).toBe(false);
});

test.each([
  ['another nonce', 'r=other,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'],
  ['our nonce alone', 'r=abc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'],
  ['too few iterations', 'r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1'],
  ['too many iterations', 'r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999'],
  ['an extension that has to be understood', 'm=x,r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096'],
  ['nothing', ''],
])('SCRAM gives nothing to a server with %s', async (_, first) => {
  expect(await new ScramClient('user', 'pencil', 'abc').final(first)).toBeNull();
});

/** The server's half, by the RFC: checks the proof, and proves itself. */
function scramServer(password: string, lie = false) {
  const hmac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest();
  let bare = '';
  let first = '';
  return {
    first(line: string): string {
      bare = Buffer.from(line.split(' ')[2] ?? '', 'base64')
        .toString()
        .slice(3);
      first = `r=${/r=(.*)/.exec(bare)?.[1]}SERVER,s=${b64('salt of the server')},i=4096`;
      return `334 ${b64(first)}\r\n`;
    },
    final(line: string): string {
      const text = Buffer.from(line, 'base64').toString();
      const [, withoutProof = '', proof = ''] = /^(.*),p=(.*)$/.exec(text) ?? [];
      const salted = pbkdf2Sync(password, 'salt of the server', 4096, 32, 'sha256');
      const auth = `${bare},${first},${withoutProof}`;
      const stored = createHash('sha256').update(hmac(salted, 'Client Key')).digest();
      const signature = hmac(stored, auth);
      const key = Buffer.from(Buffer.from(proof, 'base64').map((octet, i) => octet ^ (signature[i] ?? 0)));
      if (!createHash('sha256').update(key).digest().equals(stored)) return '535 5.7.8 wrong\r\n';
      const mine = hmac(hmac(salted, 'Server Key'), auth);
      if (lie) mine[0] = (mine[0] ?? 0) ^ 1;
      return `334 ${b64(`v=${mine.toString('base64')}`)}\r\n`;
    },
  };
}

test.each([
  ['235 only after both have proved that they know it', 'sésame', false, null],
  ['a wrong password', 'other', false, 'refused'],
  ['a server that does not know it', 'sésame', true, 'did not prove'],
])('SCRAM-SHA-256 is preferred: %s', async (_, password, lie, expected) => {
  const server = scramServer(password, lie);
  const lines: string[] = [];
  const answers = [
    (line: string) => server.first(line),
    (line: string) => server.final(line),
    () => '235 2.7.0 ok\r\n',
  ];
  const upstream = {
    ...{ name: 'x', protocol: 'smtp' as const, secure: false, lost: null, whenLost: () => undefined },
    extensions: new Map([['AUTH', ['PLAIN', 'SCRAM-SHA-256']]]),
    async command(line: string) {
      lines.push(line);
      const [, code = '', text = ''] =
        /^(\d{3}) (.*)\r\n$/.exec(answers[lines.length - 1]?.(line) ?? '') ?? [];
      return { kind: 'reply', reply: { code: Number(code), lines: [text] } } as const;
    },
    secret: () => Promise.reject(new Error('no secret leaves')),
    data: () => Promise.reject(new Error()),
    dataForEach: () => Promise.reject(new Error()),
    quit: () => undefined,
    abandon: () => lines.push('abandoned'),
  } as const;
  const why = await logInTo(upstream, PASSWORD);
  if (expected === null) expect(why).toBeNull();
  else expect(why).toContain(expected);
  expect(lines.join('\n')).not.toContain(b64('sésame'));
  expect(lines.includes('abandoned')).toBe(lie);
});

test('PLAIN where there is no SCRAM, LOGIN where there is no PLAIN, and nothing where there is neither', async () => {
  const plain = await logIn(PASSWORD, 'PLAIN LOGIN');
  expect(plain.why).toBeNull();
  expect(plain.fake.commands[1]).toBe(`AUTH PLAIN ${b64('\0gateway\0sésame')}`);
  const login = await logIn(PASSWORD, 'LOGIN');
  expect(login.why).toBeNull();
  expect(login.fake.commands.slice(1)).toEqual(['AUTH LOGIN', b64('gateway'), b64('sésame')]);
  const none = await logIn(PASSWORD, 'CRAM-MD5');
  expect(none.why).toContain('offers no login by password');
  expect(none.fake.commands.length).toBe(1);
});

test('a server that cites the login shows its secret to nobody', async () => {
  const { why } = await logIn(PASSWORD, 'PLAIN', { AUTH: (line) => `500 5.5.1 what is ${line}\r\n` });
  expect(why).toBe("the mail server refused the gateway's login: 500 (its words have the secret in them)");
});

test.each([
  [null, '='],
  ['gateway', b64('gateway')],
])('EXTERNAL, as %s', async (name, response) => {
  const { why, fake } = await logIn({ kind: 'certificate', name }, 'PLAIN EXTERNAL');
  expect(why).toBeNull();
  expect(fake.commands[1]).toBe(`AUTH EXTERNAL ${response}`);
});

test('a server that goes by the certificate alone is not asked for a login', async () => {
  const { why, fake } = await logIn({ kind: 'certificate', name: null }, 'PLAIN');
  expect(why).toBeNull();
  expect(fake.commands.length).toBe(1);
});

type Asked = { body: string; type: string };

/** A token endpoint by the letter of RFC 6749 §4.4: none that exists can be had without an account. */
async function tokenEndpoint(
  answer: (n: number) => { status?: number; body: unknown; delay?: Promise<void> },
) {
  const asked: Asked[] = [];
  const server: Server = createHttps({ cert: tls.cert, key: tls.key }, (request, response) => {
    let body = '';
    request.on('data', (chunk) => {
      body += chunk;
    });
    request.on('end', async () => {
      asked.push({ body, type: request.headers['content-type'] ?? '' });
      const given = answer(asked.length);
      await given.delay;
      response.writeHead(given.status ?? 200, { 'content-type': 'application/json' });
      response.end(typeof given.body === 'string' ? given.body : JSON.stringify(given.body));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  let now = new Date('2026-03-01T12:00:00Z');
  const url = new URL(`https://localhost:${typeof address === 'object' ? address?.port : 0}/token`);
  const tokens = new TokenSource({
    endpoint: url,
    ...{ clientId: 'sealgate', clientSecret: new Secret('s3cret&='), scope: 'smtp.send' },
    tls: createSecureContext({ ca: tls.cert }),
    clock: () => now,
  });
  return {
    ...{ tokens, asked, url },
    later: (seconds: number) => {
      now = new Date(now.getTime() + seconds * 1_000);
    },
  };
}
const granted = (token: string, expires: unknown = 3600) => ({
  body: { access_token: token, token_type: 'Bearer', expires_in: expires },
});

test('client credentials: one token for many logins, a new one shortly before it expires', async () => {
  const { tokens, asked, later } = await tokenEndpoint((n) => granted(`token${n}`));
  const login: GatewayLogin = { kind: 'oauth2', name: 'a,b=c@x.test', tokens };
  const { why, fake } = await logIn(login, 'XOAUTH2 OAUTHBEARER');
  expect(why).toBeNull();
  expect(fake.commands[1]).toBe(
    `AUTH OAUTHBEARER ${b64('n,a=a=2Cb=3Dc@x.test,\x01auth=Bearer token1\x01\x01')}`,
  );
  expect(asked).toEqual([
    {
      type: 'application/x-www-form-urlencoded',
      body: 'grant_type=client_credentials&client_id=sealgate&client_secret=s3cret%26%3D&scope=smtp.send',
    },
  ]);
  const second = await logIn({ ...login, name: 'g@x.test' }, 'XOAUTH2');
  expect(second.fake.commands[1]).toBe(`AUTH XOAUTH2 ${b64('user=g@x.test\x01auth=Bearer token1\x01\x01')}`);
  later(3600 - 60);
  expect((await logIn(login, 'XOAUTH2')).why).toBeNull();
  expect(asked.length).toBe(2);
});

test('what several ask for at once is asked for once', async () => {
  const gate = Promise.withResolvers<void>();
  const { tokens, asked } = await tokenEndpoint(() => ({ ...granted('t'), delay: gate.promise }));
  const all = Promise.all([tokens.token(), tokens.token(), tokens.token()]);
  gate.resolve();
  expect((await all).map(({ kind }) => kind)).toEqual(['token', 'token', 'token']);
  expect(asked.length).toBe(1);
});

test('a kept token that is refused is got anew, once', async () => {
  const { tokens, asked } = await tokenEndpoint((n) => granted(`token${n}`));
  const login: GatewayLogin = { kind: 'oauth2', name: 'g@x.test', tokens };
  expect((await logIn(login, 'XOAUTH2')).why).toBeNull();
  const isOld = (line: string) => Buffer.from(line.split(' ')[2] ?? '', 'base64').includes('token1');
  const renewed = await logIn(login, 'XOAUTH2', {
    'AUTH VERDICT': '535 5.7.8 expired\r\n',
    'AUTH XOAUTH2': (line) => (isOld(line) ? `334 ${b64('{"status":"401"}')}\r\n` : '235 2.7.0 ok\r\n'),
  });
  expect(renewed.why).toBeNull();
  expect(asked.length).toBe(2);
  const never = await logIn(login, 'XOAUTH2', { AUTH: '535 5.7.8 no\r\n' });
  expect(never.why).toContain('535 5.7.8 no');
  expect(asked.length).toBe(3);
});

test.each([
  ['an error', { status: 401, body: { error: 'invalid_client' } }, 'answered 401'],
  ['no JSON', { body: 'hello' }, 'did not answer with a token'],
  ['another kind of token', { body: { access_token: 'a', token_type: 'mac' } }, 'did not answer'],
  [
    'a token that would be another field',
    { body: { access_token: 'a\x01x=y', token_type: 'bearer' } },
    'did not',
  ],
  ['a redirect', { status: 302, body: '' }, 'answered 302'],
])(
  'an endpoint that answers with %s lets nobody in, and keeps nobody from asking again',
  async (_, first, why) => {
    const { tokens, url } = await tokenEndpoint((n) => (n === 1 ? first : granted('good')));
    const because = expect.stringContaining(`the token endpoint ${url.host} ${why}`);
    expect(await tokens.token()).toMatchObject({ kind: 'failed', because });
    expect((await tokens.token()).kind).toBe('token');
  },
);

test('an endpoint whose certificate nobody vouches for gets no secret', async () => {
  const { asked, url } = await tokenEndpoint(() => granted('t'));
  const strange = new TokenSource({
    endpoint: url,
    ...{ clientId: 'a', clientSecret: new Secret('b'), scope: null, tls: null, clock: () => new Date() },
  });
  expect((await strange.token()).kind).toBe('failed');
  expect(asked).toEqual([]);
});

test('readToken: what is no token is none', () => {
  for (const text of ['', 'null', '[]', '{}', '{"access_token":1}', '{"access_token":"a"}']) {
    expect(readToken(Buffer.from(text))).toBeNull();
  }
  const untold = readToken(Buffer.from('{"access_token":"a","token_type":"bearer"}'));
  expect(untold?.seconds).toBe(300);
});
