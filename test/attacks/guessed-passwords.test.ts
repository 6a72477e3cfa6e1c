import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { FailedLogins } from '../../src/connections/failed-logins.ts';
import { FakeUpstream } from '../imap-proxy/support/fake-upstream.ts';
import { ImapConversation } from '../imap-proxy/support/imap-conversation.ts';
import { startTestProxy as startImap } from '../imap-proxy/support/listener.ts';
import { Conversation } from '../pop3-proxy/support/conversation.ts';
import { startTestProxy as startPop3 } from '../pop3-proxy/support/listener.ts';
import { ScriptedServer } from '../pop3-proxy/support/scripted-server.ts';
import { TestClient } from '../smtp-in/support/client.ts';
import { testGateway } from '../smtp-in/support/gateway.ts';

/** Whoever guesses passwords at the gateway is held back by it: the mail server sees every guess come from one address. */

const open: { close(): unknown }[] = [];
afterEach(async () => {
  for (const each of open.splice(0).reverse()) await each.close();
});

/** An address that has guessed so often that its next attempt is refused; behind a balancer, so that its own address counts. */
function guessed(address: string): FailedLogins {
  const logins = new FailedLogins({ now: () => 0, wait: async () => undefined });
  for (let i = 0; i < 30; i++) logins.failed(address, `guess ${i}`);
  void logins.mayTry(address, null, new AbortController().signal);
  return logins;
}

const GUESSER = '192.0.2.66';
const header = (address: string) => `PROXY TCP4 ${address} 198.51.100.9 40001 143\r\n`;
const PLAIN = Buffer.from('\0bob@example.org\0secret').toString('base64');
const behindBalancer = () => ({ proxyProtocolFrom: ['127.0.0.1'], failedLogins: guessed(GUESSER) });

test('IMAP: NO, and no password goes up; another address logs in', async () => {
  const upstream = await FakeUpstream.start();
  open.push(upstream);
  const proxy = await startImap(upstream.port, behindBalancer());
  open.push(proxy);
  const begin = async (address: string) => {
    const client = new ImapConversation(connect(proxy.port, '127.0.0.1'));
    client.send(header(address));
    const server = await upstream.accept();
    server.send('* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hello\r\n');
    await client.until(/^\* OK [^\r\n]*\r\n/);
    client.send('a LOGIN bob@example.org secret\r\n');
    return { client, server };
  };
  const guesser = await begin(GUESSER);
  expect(await guesser.client.until(/a [^\r\n]*\r\n/)).toMatch(
    /^a NO \[UNAVAILABLE\] Too many failed logins/,
  );
  guesser.client.close();
  expect(await guesser.server.rest()).toBe('');
  const other = await begin('192.0.2.67');
  await other.server.until(/a AUTHENTICATE PLAIN [^\r\n]*\r\n/);
  other.server.send('a OK in\r\n');
  expect(await other.client.until(/a [^\r\n]*\r\n/)).toMatch(/a OK/);
  other.client.close();
});

test('POP3: -ERR, and no password goes up; another address logs in', async () => {
  const server = await ScriptedServer.start([]);
  open.push(server);
  const proxy = await startPop3(server.port, behindBalancer());
  open.push(proxy);
  const begin = async (address: string) => {
    const client = new Conversation(connect(proxy.port, '127.0.0.1'));
    open.push(client);
    client.socket.write(header(address));
    await client.line();
    await client.ask('USER bob@example.org');
    return await client.ask('PASS secret');
  };
  expect(await begin(GUESSER)).toMatch(/^-ERR \[SYS\/TEMP\] Too many failed logins/);
  expect(server.commands).toEqual(['CAPA']);
  expect(await begin('192.0.2.67')).toMatch(/^\+OK/);
});

test('SMTP: 454, and no password goes up; another address logs in', async () => {
  const gateway = await testGateway({}, { ...behindBalancer(), allowPlainAuth: true });
  open.push(gateway);
  const begin = async (address: string) => {
    const client = new TestClient(connect(gateway.port, '127.0.0.1'));
    client.send(header(address));
    await client.reply();
    await client.ask('EHLO client.test');
    const verdict = await client.ask(`AUTH PLAIN ${PLAIN}`);
    client.end();
    return verdict;
  };
  expect(await begin(GUESSER)).toMatch(/^454 4\.7\.0 Too many failed logins/);
  expect(gateway.upstream.commands.join('\n')).not.toContain('AUTH');
  expect(await begin('192.0.2.67')).toMatch(/^235/);
});

test('who has logged in from that address before is let in again, by whatever protocol', async () => {
  const failedLogins = guessed(GUESSER);
  failedLogins.accepted(GUESSER, 'bob@example.org\0secret');
  const server = await ScriptedServer.start([]);
  open.push(server);
  const proxy = await startPop3(server.port, { proxyProtocolFrom: ['127.0.0.1'], failedLogins });
  open.push(proxy);
  const client = new Conversation(connect(proxy.port, '127.0.0.1'));
  open.push(client);
  client.socket.write(header(GUESSER));
  await client.line();
  await client.ask('USER bob@example.org');
  expect(await client.ask('PASS secret')).toMatch(/^\+OK/);
});

describe('attack: who goes before a wrong password is answered, which takes longer than a right one, has guessed', () => {
  /** What is counted, and waited for. */
  class Told extends FailedLogins {
    readonly first = Promise.withResolvers<string | null>();
    override failed(_address: string, said: string | null): void {
      this.first.resolve(said);
    }
  }
  const options = () => ({ proxyProtocolFrom: ['127.0.0.1'], failedLogins: new Told() });

  test('IMAP', async () => {
    const upstream = await FakeUpstream.start();
    open.push(upstream);
    const told = options();
    const proxy = await startImap(upstream.port, told);
    open.push(proxy);
    const client = new ImapConversation(connect(proxy.port, '127.0.0.1'));
    client.send(header(GUESSER));
    const server = await upstream.accept();
    server.send('* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hello\r\n');
    client.send('a LOGIN bob@example.org secret\r\n');
    await server.until(/a AUTHENTICATE PLAIN [^\r\n]*\r\n/);
    client.close();
    expect(await told.failedLogins.first.promise).toContain('secret');
  });

  test('POP3', async () => {
    const asked = Promise.withResolvers<void>();
    const server = await ScriptedServer.start([], {
      answer: (command) => {
        if (!/^(PASS|AUTH) /i.test(command)) return null;
        asked.resolve();
        return '';
      },
    });
    open.push(server);
    const told = options();
    const proxy = await startPop3(server.port, told);
    open.push(proxy);
    const client = new Conversation(connect(proxy.port, '127.0.0.1'));
    open.push(client);
    client.socket.write(header(GUESSER));
    await client.line();
    await client.ask('USER bob@example.org');
    client.socket.write('PASS secret\r\n');
    await asked.promise;
    client.socket.destroy();
    expect(await told.failedLogins.first.promise).toContain('secret');
  });

  test.each([
    [`AUTH PLAIN ${PLAIN}`, expect.stringContaining('secret')],
    ['AUTH SCRAM-SHA-256 biwsbj1ib2Iscj1hYmM=', null],
  ])('SMTP: %s', async (command, said) => {
    const told = options();
    const gateway = await testGateway(
      { script: { AUTH: '' }, keywords: ['AUTH PLAIN SCRAM-SHA-256'] },
      { ...told, allowPlainAuth: true, relayMechanisms: ['SCRAM-SHA-256'] },
    );
    open.push(gateway);
    const client = new TestClient(connect(gateway.port, '127.0.0.1'));
    client.send(header(GUESSER));
    await client.reply();
    await client.ask('EHLO client.test');
    client.send(`${command}\r\n`);
    await expect.poll(() => gateway.upstream.commands.join()).toContain('AUTH');
    client.end();
    expect(await told.failedLogins.first.promise).toEqual(said);
  });
});

describe('a verdict counts as a guess only where it is one: not when the mail server cannot say', () => {
  /** What is counted. */
  class Counted extends FailedLogins {
    count = 0;
    override failed(): void {
      this.count++;
    }
  }
  const options = () => ({ proxyProtocolFrom: ['127.0.0.1'], failedLogins: new Counted() });

  test.each([
    ['NO [UNAVAILABLE] Temporary authentication failure.', 0],
    ['NO [LIMIT] Maximum number of connections', 0],
    ['NO [AUTHENTICATIONFAILED] Authentication failed.', 1],
    ['NO no [UNAVAILABLE] here', 1],
  ])('IMAP: %s', async (verdict, count) => {
    const upstream = await FakeUpstream.start();
    open.push(upstream);
    const counted = options();
    const proxy = await startImap(upstream.port, counted);
    open.push(proxy);
    const client = new ImapConversation(connect(proxy.port, '127.0.0.1'));
    client.send(header(GUESSER));
    const server = await upstream.accept();
    server.send('* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] hello\r\n');
    client.send('a LOGIN bob@example.org secret\r\n');
    await server.until(/a AUTHENTICATE PLAIN [^\r\n]*\r\n/);
    server.send(`a ${verdict}\r\n`);
    expect(await client.until(/a NO [^\r\n]*\r\n/)).toContain(verdict);
    client.close();
    expect(counted.failedLogins.count).toBe(count);
  });

  test.each([
    ['-ERR [SYS/TEMP] Temporary authentication failure.', 0],
    ['-ERR [IN-USE] The maildrop is locked.', 0],
    ['-ERR [AUTH] Authentication failed.', 1],
    ['-ERR no', 1],
  ])('POP3: %s', async (verdict, count) => {
    const server = await ScriptedServer.start([], {
      answer: (command) => (/^(PASS|AUTH) /i.test(command) ? `${verdict}\r\n` : null),
    });
    open.push(server);
    const counted = options();
    const proxy = await startPop3(server.port, counted);
    open.push(proxy);
    const client = new Conversation(connect(proxy.port, '127.0.0.1'));
    open.push(client);
    client.socket.write(header(GUESSER));
    await client.line();
    await client.ask('USER bob@example.org');
    expect(await client.ask('PASS secret')).toContain(verdict);
    expect(counted.failedLogins.count).toBe(count);
  });

  test.each([
    ['454 4.7.0 Temporary authentication failure', 0],
    ['535 5.7.8 Authentication failed', 1],
  ])('SMTP: %s', async (verdict, count) => {
    const counted = options();
    const gateway = await testGateway(
      { script: { AUTH: `${verdict}\r\n` } },
      { ...counted, allowPlainAuth: true },
    );
    open.push(gateway);
    const client = new TestClient(connect(gateway.port, '127.0.0.1'));
    client.send(header(GUESSER));
    await client.reply();
    await client.ask('EHLO client.test');
    expect(await client.ask(`AUTH PLAIN ${PLAIN}`)).toContain(verdict);
    client.end();
    expect(counted.failedLogins.count).toBe(count);
  });
});
