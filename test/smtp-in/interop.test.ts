import { execFile } from 'node:child_process';
import type { AddressInfo } from 'node:net';
import { createTransport } from 'nodemailer';
import { SMTPServer } from 'smtp-server';
import { afterAll, afterEach, expect, test } from 'vitest';
import { type SubmissionListener, startSubmissionListener } from '../../src/smtp-in/listener.ts';
import { certificateFor } from '../support/certificate.ts';
import { ForwardingStory } from './support/gateway.ts';

const material = certificateFor('localhost');
afterAll(() => material.remove());

type Received = { from: string; to: string[]; user: string; octets: Buffer; secure: boolean };

let server: SMTPServer | null = null;
let listener: SubmissionListener | null = null;
let received: Received[] = [];
afterEach(async () => {
  await listener?.close();
  const old = server;
  if (old !== null) await new Promise<void>((resolve) => old.close(resolve));
  listener = null;
  server = null;
  received = [];
});

/** A real server behind the gateway: smtp-server with one account. */
async function start(tls: 'implicit' | 'starttls' | 'none'): Promise<number> {
  const secure = tls === 'implicit';
  const upstream = new SMTPServer({
    secure,
    key: material.key,
    cert: material.cert,
    authMethods: ['PLAIN', 'LOGIN'],
    allowInsecureAuth: tls === 'none',
    disabledCommands: tls === 'starttls' ? [] : ['STARTTLS'],
    hideDSN: false,
    hideENHANCEDSTATUSCODES: false,
    size: 20_000_000,
    onAuth: (auth, _session, done) => {
      if (auth.username === 'alice@example.org' && auth.password === 'opensesame')
        done(null, { user: auth.username });
      else done(Object.assign(new Error('5.7.8 smtp-server knows no such login'), { responseCode: 535 }));
    },
    onRcptTo: (address, _session, done) => {
      if (address.address.startsWith('nobody'))
        done(Object.assign(new Error('5.1.1 smtp-server knows nobody'), { responseCode: 550 }));
      else done();
    },
    onData: (stream, session, done) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        received.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map((recipient) => recipient.address),
          user: String(session.user),
          octets: Buffer.concat(chunks),
          secure: session.secure,
        });
        done(null, 'smtp-server took it');
      });
    },
  });
  upstream.on('error', () => undefined);
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', () => resolve()));
  server = upstream;
  const { port } = upstream.server.address() as AddressInfo;
  listener = await startSubmissionListener({
    name: 'interop',
    host: '127.0.0.1',
    port: 0,
    tls,
    tlsMaterial: { cert: material.cert, key: material.key },
    upstream: { host: '127.0.0.1', port, tls, serverName: 'localhost', caFile: material.file },
    story: new ForwardingStory(),
    log: { write: () => undefined },
    hostname: 'gateway.test',
  });
  return listener.port;
}

const nodemailer = (port: number, secure: boolean, pass = 'opensesame') =>
  createTransport({
    host: '127.0.0.1',
    port,
    secure,
    tls: { ca: material.cert, servername: 'localhost' },
    auth: { user: 'alice@example.org', pass },
  });

const swaks = (port: number, ...more: string[]): Promise<{ code: number; output: string }> =>
  new Promise((resolve) => {
    const from = ['--server', '127.0.0.1', '--port', String(port), '--from', 'alice@example.org'];
    const login = ['--auth-user', 'alice@example.org', '--auth-password', 'opensesame'];
    execFile('swaks', [...from, ...login, ...more], (error, stdout, stderr) => {
      const code = error === null ? 0 : Number(error.code);
      resolve({ code, output: stdout + stderr });
    });
  });

test.each(['none', 'starttls', 'implicit'] as const)(
  'nodemailer through TLS %s on both sides',
  async (tls) => {
    const port = await start(tls);
    const transport = nodemailer(port, tls === 'implicit');
    const body = `Grüße\r\n.\r\n..two\r\n${'long '.repeat(40)}`;
    const info = await transport.sendMail({
      from: 'alice@example.org',
      to: ['bob@example.net', 'carol@example.net'],
      subject: 'Interop',
      text: body,
      attachments: [{ filename: 'zero.bin', content: Buffer.alloc(300_000, 7) }],
    });
    transport.close();
    expect(info.response).toContain('smtp-server took it');
    expect(received).toEqual([
      expect.objectContaining({
        from: 'alice@example.org',
        to: ['bob@example.net', 'carol@example.net'],
        user: 'alice@example.org',
        secure: tls !== 'none',
      }),
    ]);
    expect(received[0]?.octets.toString('latin1')).toContain('Subject: Interop');
    expect(received[0]?.octets.length).toBeGreaterThan(400_000);
  },
);

test('nodemailer sees the verdict of the server on its password and on its recipients', async () => {
  const port = await start('none');
  const wrong = nodemailer(port, false, 'wrong');
  const mail = { from: 'alice@example.org', to: ['bob@example.net', 'nobody@example.net'], text: 'x' };
  await expect(wrong.sendMail(mail)).rejects.toMatchObject({
    responseCode: 535,
    response: expect.stringContaining('smtp-server knows no such login'),
  });
  const right = nodemailer(port, false);
  const info = await right.sendMail(mail);
  expect(info.accepted).toEqual(['bob@example.net']);
  expect(info.rejected).toEqual(['nobody@example.net']);
  expect(received[0]?.to).toEqual(['bob@example.net']);
  wrong.close();
  right.close();
});

test('nodemailer with a pool sends 200 mails over few connections', async () => {
  const port = await start('none');
  const transport = createTransport({
    host: '127.0.0.1',
    port,
    pool: true,
    maxConnections: 4,
    auth: { user: 'alice@example.org', pass: 'opensesame' },
  });
  const sent = Array.from({ length: 200 }, (_, i) =>
    transport.sendMail({ from: 'alice@example.org', to: 'bob@example.net', subject: `Mail ${i}`, text: 'x' }),
  );
  await Promise.all(sent);
  transport.close();
  const subjects = new Set(received.map((mail) => /Subject: (Mail \d+)/.exec(mail.octets.toString())?.[1]));
  expect(subjects.size).toBe(200);
});

test.each([
  ['PLAIN', 'none', []],
  ['LOGIN', 'none', ['--pipeline']],
  ['PLAIN', 'starttls', ['--tls', '--pipeline']],
  ['LOGIN', 'implicit', ['--tls-on-connect']],
] as const)('swaks with %s over TLS %s', async (mechanism, tls, more) => {
  const port = await start(tls);
  const result = await swaks(port, '--to', 'bob@example.net,carol@example.net', '--auth', mechanism, ...more);
  expect(result.output).toContain('smtp-server took it');
  expect(result.code).toBe(0);
  expect(received.map((mail) => mail.to)).toEqual([['bob@example.net', 'carol@example.net']]);
});

test('swaks sees who is refused, pipelined', async () => {
  const port = await start('none');
  const result = await swaks(port, '--to', 'nobody@example.net', '--auth', 'PLAIN', '--pipeline');
  expect(result.output).toMatch(/550 5.1.1 .*smtp-server knows nobody/);
  // swaks: 24 means that RCPT was refused.
  expect(result.code).toBe(24);
  expect(received).toEqual([]);
});
