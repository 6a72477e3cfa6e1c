import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { ProxyVersion } from '../../src/connections/write-proxy-header.ts';
import { type Dovecot, startDovecot } from '../../src/evaluation/dovecot.ts';
import { freePort } from '../../src/evaluation/free-port.ts';
import { ImapConversation } from '../imap-proxy/support/imap-conversation.ts';
import { startTestProxy, type TestProxy } from '../imap-proxy/support/listener.ts';
import { mbsync } from '../support/services/mbsync.ts';

/** A real Dovecot that offers SCRAM and CRAM-MD5, trusts this machine with clients' addresses, and listens for PROXY headers. */

const USER = { login: 'bob@example.org', password: 'a "test"' };
let dovecot: Dovecot;
let proxied: number;
let proxy: TestProxy | null = null;

beforeAll(async () => {
  proxied = await freePort();
  dovecot = await startDovecot({
    users: [USER],
    further: `
auth_mechanisms = plain login scram-sha-1 scram-sha-256 cram-md5
login_trusted_networks = 127.0.0.1
haproxy_trusted_networks = 127.0.0.1
service imap-login {
  inet_listener proxied {
    port = ${proxied}
    haproxy = yes
  }
}
`,
  });
});

afterAll(() => dovecot?.stop());
afterEach(async () => {
  await proxy?.close();
  proxy = null;
});

function principals(): string[] {
  return (proxy?.events ?? []).flatMap((each) =>
    each.event === 'imap.authenticated' ? [each.principal] : [],
  );
}

const base64 = (octets: Buffer | string): string => Buffer.from(octets as string).toString('base64');

/** A SCRAM client (RFC 5802 §3) of a few lines; true: it was let in, and the server has proved that it knows the password. */
async function scram(
  client: ImapConversation,
  hash: 'sha1' | 'sha256',
  password: string,
  login = USER.login,
): Promise<boolean> {
  const [name, length] = hash === 'sha1' ? ['SCRAM-SHA-1', 20] : ['SCRAM-SHA-256', 32];
  const mac = (key: Buffer, text: string) => createHmac(hash, key).update(text).digest();
  const bare = `n=${login},r=${randomBytes(12).toString('hex')}`;
  client.send(`s AUTHENTICATE ${name} ${base64(`n,,${bare}`)}\r\n`);
  const first = await client.until(/^(?:\+ ([^\r\n]*)|s NO[^\r\n]*)\r\n/);
  if (first.startsWith('s NO')) return false;
  const challenge = Buffer.from(first.slice(2), 'base64').toString();
  const [, nonce = '', salt = '', rounds = ''] = /^r=([^,]*),s=([^,]*),i=(\d+)/.exec(challenge) ?? [];
  const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(rounds), Number(length), hash);
  const clientKey = mac(salted, 'Client Key');
  const last = `c=biws,r=${nonce}`;
  const said = `${bare},${challenge},${last}`;
  const signature = mac(createHash(hash).update(clientKey).digest(), said);
  const proof = Buffer.from(clientKey.map((octet, index) => octet ^ (signature[index] ?? 0)));
  client.send(`${base64(`${last},p=${base64(proof)}`)}\r\n`);
  const answer = await client.until(/^(?:\+ [^\r\n]*|s [^\r\n]*)\r\n/);
  if (!answer.startsWith('+')) return false;
  const expected = `v=${base64(mac(mac(salted, 'Server Key'), said))}`;
  if (Buffer.from(answer.slice(2), 'base64').toString() !== expected) return false;
  client.send('\r\n');
  return (await client.until(/s [^\r\n]*\r\n/)).includes('s OK');
}

test.each(['sha1', 'sha256'] as const)(
  'SCRAM with %s: both ends prove that they know the password',
  async (hash) => {
    proxy = await startTestProxy(dovecot.imapPort, { relayMechanisms: ['SCRAM-SHA-256', 'SCRAM-SHA-1'] });
    const client = await ImapConversation.open(proxy.port);
    expect(await client.command('CAPABILITY')).toContain(
      'AUTH=LOGIN AUTH=SCRAM-SHA-256 AUTH=SCRAM-SHA-1\r\n',
    );
    expect(await scram(client, hash, 'wrong')).toBe(false);
    expect(principals()).toEqual([]);
    expect(await scram(client, hash, USER.password)).toBe(true);
    expect(principals()).toEqual([USER.login]);
    expect(await client.command('SELECT INBOX')).toMatch(/\[UIDVALIDITY \d+\]/);
    client.close();
  },
);

test.each(['SCRAM-SHA-256', 'SCRAM-SHA-1', 'CRAM-MD5'] as const)(
  'mbsync logs in with %s',
  async (mechanism) => {
    proxy = await startTestProxy(dovecot.imapPort, { relayMechanisms: [mechanism] });
    const { login, password } = USER;
    const client = await mbsync({ port: proxy.port, login, password, patterns: 'INBOX', mechanism });
    try {
      const { succeeded, transcript } = await client.sync();
      expect([succeeded, transcript]).toEqual([true, expect.any(String)]);
      expect(proxy.events).toContainEqual(
        expect.objectContaining({ event: 'imap.authenticated', principal: login, mechanism }),
      );
    } finally {
      await client.stop();
    }
  },
);

test('CRAM-MD5: the digest is the client’s own', async () => {
  proxy = await startTestProxy(dovecot.imapPort, { relayMechanisms: ['CRAM-MD5'] });
  const client = await ImapConversation.open(proxy.port);
  client.send('s AUTHENTICATE CRAM-MD5\r\n');
  const challenge = Buffer.from((await client.until(/\r\n/)).slice(2), 'base64');
  const digest = createHmac('md5', USER.password).update(challenge).digest('hex');
  client.send(`${base64(`${USER.login} ${digest}`)}\r\n`);
  await client.until(/s OK [^\r\n]*\r\n/);
  expect(principals()).toEqual([USER.login]);
  client.close();
});

test.each<['tellClientAddress' | ProxyVersion, string]>([
  ['tellClientAddress', '192.0.2.7'],
  ['v1', '192.0.2.8'],
  ['v2', '2001:db8::9'],
])(
  'Dovecot writes down the address that the balancer told the gateway, and the gateway told it by %s',
  async (way, address) => {
    proxy = await startTestProxy(0, {
      proxyProtocolFrom: ['127.0.0.1'],
      upstream: {
        ...{ host: '127.0.0.1', tls: 'none' },
        ...(way === 'tellClientAddress'
          ? { port: dovecot.imapPort, tellClientAddress: true }
          : { port: proxied, proxyProtocol: way }),
      },
    });
    const socket = (await import('node:net')).connect(proxy.port, '127.0.0.1');
    const client = new ImapConversation(socket);
    const family = address.includes(':') ? 'TCP6' : 'TCP4';
    const server = address.includes(':') ? '2001:db8::1' : '198.51.100.9';
    client.send(`PROXY ${family} ${address} ${server} 40001 993\r\n`);
    await client.until(/^\* OK [^\r\n]*\r\n/);
    expect(await client.command(`LOGIN ${USER.login} "a \\"test\\""`)).toMatch(/ OK /);
    expect(await client.command('LOGOUT')).toMatch(/ OK /);
    await client.rest();
    await expect
      .poll(() => dovecot.logText())
      .toContain(`user=<${USER.login}>, method=PLAIN, rip=${address},`);
  },
);

test('a client cannot tell Dovecot another address than its own', async () => {
  proxy = await startTestProxy(dovecot.imapPort);
  const client = await ImapConversation.open(proxy.port);
  await client.command('ID ("x-originating-ip" "203.0.113.66" "name" "liar")');
  await client.command(`LOGIN ${USER.login} "a \\"test\\""`);
  await client.command('ID ("x-originating-ip" "203.0.113.66" "name" "liar")');
  await client.command('LOGOUT');
  await client.rest();
  // Dovecot may write its line about the login after its answers.
  await expect.poll(() => dovecot.logText()).toContain('method=PLAIN, rip=127.0.0.1,');
  expect(await dovecot.logText()).not.toContain('203.0.113.66');
});

test('without keys or view: the login with the suffix sees each mail octet for octet, COMPRESS included', async () => {
  proxy = await startTestProxy(dovecot.imapPort, { rawLoginSuffix: '+raw' });
  const direct = await ImapConversation.open(dovecot.imapPort);
  const told = await direct.command(`LOGIN ${USER.login} "a \\"test\\""`);
  const stored = await ImapConversation.open(proxy.port);
  const answer = await stored.command(`LOGIN ${USER.login}+raw "a \\"test\\""`);
  expect(/\[CAPABILITY [^\]]*\]/.exec(answer)?.[0]).toBe(/\[CAPABILITY [^\]]*\]/.exec(told)?.[0]);
  for (const client of [direct, stored]) await client.command('SELECT INBOX');
  const mail =
    'Subject: x\r\nContent-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\nAAAA\r\n';
  expect(await stored.command(`APPEND INBOX {${mail.length}+}\r\n${mail}`)).toMatch(/ OK /);
  await direct.command('NOOP');
  const everything = 'FETCH 1 (UID RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])';
  const [one, other] = [await direct.command(everything), await stored.command(everything)];
  expect(other.replace(/c\d+ OK .*/, '')).toBe(one.replace(/c\d+ OK .*/, ''));
  expect(one).toContain(mail);
  expect(await stored.command('UID STORE 1:* +FLAGS (\\Deleted)')).toMatch(/ OK /);
  expect(await stored.command('EXPUNGE')).toMatch(/ OK /);
  stored.close();
  direct.close();
});
