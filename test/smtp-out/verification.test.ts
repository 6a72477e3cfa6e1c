import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createServer, type Server, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, expect, test } from 'vitest';
import {
  type MailServerOptions,
  prepareMailServer,
  type Verification,
} from '../../src/connections/mail-server.ts';
import { connectUpstream } from '../../src/smtp-out/connect.ts';
import { logInTo } from '../../src/smtp-out/gateway-login.ts';
import { type FakeUpstream, fakeUpstream, KEYWORDS } from '../smtp-in/support/fake-upstream.ts';
import { certificateFor } from '../support/certificate.ts';

/** How a server shows who it is, and what the gateway shows. */

const stranger = certificateFor('mail.example.org');
const gateway = certificateFor('gateway.test');
const gatewayKey = join(dirname(gateway.file), 'key.pem');
afterAll(() => {
  for (const material of [stranger, gateway]) material.remove();
});
let ends: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.toReversed()) await end();
  ends = [];
});

const WITH_TLS = { tls: stranger, keywords: [...KEYWORDS, 'STARTTLS'] };

async function connect(
  options: Partial<MailServerOptions>,
  fakeOptions: Parameters<typeof fakeUpstream>[0] = WITH_TLS,
): Promise<{ secure: boolean; fake: FakeUpstream } | string> {
  const fake = await fakeUpstream(fakeOptions);
  ends.push(() => fake.close());
  const server = await prepareMailServer({ host: '127.0.0.1', port: fake.port, tls: 'starttls', ...options });
  try {
    const client = await connectUpstream(server, 'gateway.test');
    ends.push(() => client.abandon());
    return { secure: client.secure, fake };
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}

const fingerprint = createHash('sha256').update(stranger.cert).digest('hex');
const dane = (matches: boolean): Verification => ({
  ...{ kind: 'dane', serverName: 'mx.example.net' },
  check: (chain) => {
    const [leaf] = chain;
    const shown = createHash('sha256')
      .update(leaf?.toString() ?? '')
      .digest('hex');
    return (shown === fingerprint) === matches ? null : 'no TLSA record matches';
  },
});

test('TLSA records alone decide: the name and the authorities do not count', async () => {
  expect(await connect({ verification: dane(true) })).toMatchObject({ secure: true });
  expect(await connect({ verification: dane(false) })).toBe('upstream.tls');
});

test('by an authority, the name that is asked for counts, and not the host', async () => {
  const verified = (serverName: string): Partial<MailServerOptions> => ({
    ...{ caFile: stranger.file, verification: { kind: 'ca', serverName } },
  });
  expect(await connect(verified('mail.example.org'))).toMatchObject({ secure: true });
  expect(await connect(verified('127.0.0.1'))).toBe('upstream.tls');
});

test('without verification TLS hides the mail, and does not count as protection', async () => {
  const none = { verification: { kind: 'none', serverName: 'anybody.test' } } as const;
  const connected = await connect(none);
  expect(connected).toMatchObject({ secure: false });
  expect(typeof connected === 'string' || connected.fake.commands.includes('STARTTLS')).toBe(true);
});

test('where TLS is only taken if it is offered, it is; without it the connection is not secure', async () => {
  const opportunistic = { tls: 'if-offered', verification: { kind: 'none', serverName: 'x.test' } } as const;
  const encrypted = await connect(opportunistic);
  expect(typeof encrypted === 'string' ? [] : encrypted.fake.commands).toEqual([
    ...['EHLO gateway.test', 'STARTTLS', 'EHLO gateway.test'],
  ]);
  const plain = await connect(opportunistic, {});
  expect(plain).toMatchObject({ secure: false });
  expect(typeof plain === 'string' ? [] : plain.fake.commands).toEqual(['EHLO gateway.test']);
  // A server that offers TLS and then has none is of no use: what comes next is for whoever chose it.
  expect(await connect(opportunistic, { ...WITH_TLS, script: { STARTTLS: '454 4.7.0 not now\r\n' } })).toBe(
    'upstream.refused',
  );
});

/** A server with TLS from the first octet that wants a certificate of this authority. */
async function wantingCertificates(seen: (socket: TLSSocket) => void): Promise<number> {
  const server: Server = createServer(
    { cert: stranger.cert, key: stranger.key, requestCert: true, ca: gateway.cert },
    (socket) => {
      seen(socket);
      socket.on('error', () => undefined);
      socket.write('220 x\r\n');
      socket.on('data', (line) => {
        const text = line.toString();
        if (text.startsWith('EHLO')) socket.write('250-x\r\n250 AUTH EXTERNAL\r\n');
        else socket.write(text === 'AUTH EXTERNAL =\r\n' ? '235 2.7.0 ok\r\n' : '535 5.7.8 no\r\n');
      });
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => {
    server.close();
  });
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}

test('the gateway shows its certificate, and EXTERNAL goes by it', async () => {
  const shown: boolean[] = [];
  const port = await wantingCertificates((socket) => shown.push(socket.authorized));
  const place = { host: '127.0.0.1', port, tls: 'implicit', caFile: stranger.file } as const;
  for (const clientCertificate of [{ certificateFile: gateway.file, keyFile: gatewayKey }, null]) {
    const server = await prepareMailServer({
      ...{ ...place, serverName: 'mail.example.org' },
      ...(clientCertificate === null ? {} : { clientCertificate }),
    });
    const client = await connectUpstream(server, 'gateway.test').catch(() => null);
    if (clientCertificate !== null && client !== null) {
      expect(await logInTo(client, { kind: 'certificate', name: null })).toBeNull();
    }
    client?.abandon();
  }
  expect(shown).toEqual([true]);
});

test('a certificate and a key that are no pair are refused at the start', async () => {
  const other = join(dirname(gateway.file), 'other.pem');
  writeFileSync(other, stranger.key, { mode: 0o600 });
  for (const clientCertificate of [
    { certificateFile: gateway.file, keyFile: other },
    { certificateFile: '/nowhere', keyFile: gatewayKey },
    { certificateFile: gatewayKey, keyFile: gatewayKey },
  ]) {
    await expect(
      prepareMailServer({ host: 'x', port: 1, tls: 'implicit', clientCertificate }),
    ).rejects.toMatchObject({ code: 'upstream.client-certificate', duration: 'permanent' });
  }
});

test('LHLO is LMTP’s EHLO, on both sides of STARTTLS', async () => {
  const connected = await connect(
    { protocol: 'lmtp', caFile: stranger.file, serverName: 'mail.example.org' },
    { ...WITH_TLS, protocol: 'lmtp' },
  );
  expect(typeof connected === 'string' ? [connected] : connected.fake.commands).toEqual([
    ...['LHLO gateway.test', 'STARTTLS', 'LHLO gateway.test'],
  ]);
});
