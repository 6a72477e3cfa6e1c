import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ImapFlow } from 'imapflow';
import { describe, expect, test } from 'vitest';
import { awaitGreeting } from '../../src/evaluation/await-greeting.ts';
import { startDovecot } from '../../src/evaluation/dovecot.ts';
import { deliverByLmtp } from '../../src/evaluation/lmtp-delivery.ts';
import { services } from '../support/services/services.ts';

const users = [
  { login: 'alice@example.test', password: 'colon: blank, "quote" and ünïcode' },
  { login: 'bob', password: 'b' },
] as const;
const octets = Buffer.from('Subject: hello\r\n\r\n.dot\r\n..two\r\nend\r\n');

describe('a throwaway Dovecot', () => {
  test('takes mail by LMTP and shows it by IMAP to the user it was for', async () => {
    await using dovecot = await services.dovecot({ users });
    const outcomes = await deliverByLmtp(dovecot.lmtpPort, {
      reversePath: '',
      recipients: ['alice@example.test', 'nobody-here@example.test'],
      octets,
    });
    expect(outcomes.map(({ code }) => code)).toEqual([250, 550]);

    const [file] = await readdir(join(dovecot.mailFolder('alice@example.test'), 'new'));
    const stored = await readFile(join(dovecot.mailFolder('alice@example.test'), 'new', file ?? ''), 'utf8');
    expect(stored.endsWith('\n\n.dot\n..two\nend\n')).toBe(true);

    const client = new ImapFlow({
      host: '127.0.0.1',
      port: dovecot.imapPort,
      secure: false,
      auth: { user: users[0].login, pass: users[0].password },
      logger: false,
    });
    await client.connect();
    const boxes = await client.list();
    expect(boxes.map(({ path }) => path).sort()).toEqual(['Drafts', 'INBOX', 'Sent', 'Trash']);
    await client.mailboxOpen('INBOX');
    const fetched = await client.fetchOne('*', { source: true });
    expect(fetched ? fetched.source?.toString() : '').toContain('\r\n\r\n.dot\r\n..two\r\nend\r\n');
    await client.logout();
  });

  test('refuses a wrong password, and offers TLS only with a certificate', async () => {
    await using pki = await services.pki();
    await using plain = await services.dovecot({ users });
    await using secure = await services.dovecot({ users, tls: await pki.issueServer() });
    expect(plain.imapsPort).toBeNull();
    expect(await awaitGreeting(plain.imapPort, () => true, 30_000)).not.toContain('STARTTLS');
    expect(await awaitGreeting(secure.imapPort, () => true, 30_000)).toContain('STARTTLS');
    const login = (pass: string) => {
      const client = new ImapFlow({
        host: 'localhost',
        port: secure.imapsPort ?? 0,
        secure: true,
        tls: { ca: pki.ca.certificate },
        auth: { user: 'bob', pass },
        logger: false,
      });
      return client.connect().then(() => client.logout());
    };
    await login('b');
    await expect(login('wrong')).rejects.toMatchObject({ authenticationFailed: true });
  });

  test('two instances do not disturb each other, and leave nothing', async () => {
    const [one, two] = await Promise.all([services.dovecot({ users }), services.dovecot({ users })]);
    await deliverByLmtp(one.lmtpPort, { reversePath: '', recipients: ['bob'], octets });
    await expect(access(two.mailFolder('bob'))).rejects.toThrow('ENOENT');
    await one.stop();
    expect(await awaitGreeting(two.imapPort, () => true, 30_000)).toContain('Dovecot ready');
    await two.stop();
    await two.stop();
    for (const dovecot of [one, two]) {
      await expect(access(dovecot.mailFolder('bob'))).rejects.toThrow('ENOENT');
      const socket = connect(dovecot.imapPort, '127.0.0.1');
      await expect(once(socket, 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    }
  });

  test('stops while a client is logged in and idle', async () => {
    const dovecot = await services.dovecot({ users });
    const client = connect(dovecot.imapPort, '127.0.0.1');
    client.on('error', () => undefined);
    client.write('a LOGIN bob b\r\nb SELECT INBOX\r\nc IDLE\r\n');
    let heard = '';
    const idling = new Promise<void>((resolve) => {
      client.on('data', (chunk) => {
        heard += chunk.toString('latin1');
        if (heard.includes('+ idling')) resolve();
      });
    });
    await idling;
    const closed = once(client, 'close');
    await dovecot.stop();
    await closed;
  });

  test('does not outlive a process that was killed before it could stop it', async () => {
    const script = fileURLToPath(new URL('./support/start-dovecot.ts', import.meta.url));
    const owner = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(owner.stdout, 'data');
    const { port, mail } = JSON.parse(String(line));
    expect(await awaitGreeting(port, () => true, 30_000)).toContain('Dovecot ready');
    owner.kill('SIGKILL');
    // Until nobody listens there any more: one that only takes its time over the greeting is not gone.
    while (await isTaken(port));
    // What was killed cannot remove its files.
    await rm(dirname(dirname(dirname(mail))), { recursive: true, maxRetries: 20, retryDelay: 50 });
  });

  test('a folder that the mail server cannot reach is named, and so is a login that cannot be', async () => {
    const closed = await mkdtemp(join(tmpdir(), 'sealgate-closed-'));
    try {
      const folder = join(closed, 'dovecot');
      await mkdir(folder);
      const start = startDovecot({ folder, users });
      // Only root gives mail to another account; an ordinary user's Dovecot reaches what the user reaches.
      if (process.getuid?.() === 0) await expect(start).rejects.toThrow(`pass through ${closed}`);
      else await (await start).stop();
      await expect(access(folder)).rejects.toThrow('ENOENT');
    } finally {
      await rm(closed, { recursive: true });
    }
    for (const login of ['a:b', 'a b', 'a\nroot', '', '%u', '..']) {
      await expect(startDovecot({ users: [{ login, password: 'x' }] }), login).rejects.toThrow(
        'cannot be a Dovecot user',
      );
    }
  });

  test('a login that looks like a path stays inside the mail folder', async () => {
    await using dovecot = await services.dovecot({ users: [{ login: '../../../escape', password: 'x' }] });
    expect(dovecot.mailFolder('../../../escape')).toMatch(/\/mail\/\.\.%2F\.\.%2F\.\.%2Fescape\/Maildir$/);
  });
});

async function isTaken(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch (error) {
    // Reset: it was closed with the connection waiting in it.
    expect(error).toMatchObject({ code: expect.stringMatching(/^ECONN(?:REFUSED|RESET)$/) });
    return false;
  } finally {
    socket.destroy();
  }
}
