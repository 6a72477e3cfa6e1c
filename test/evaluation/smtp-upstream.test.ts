import { once } from 'node:events';
import { createServer, type Server } from 'node:net';
import { createTransport } from 'nodemailer';
import { describe, expect, test } from 'vitest';
import { freePort, portOr } from '../../src/evaluation/free-port.ts';
import { deliverByLmtp } from '../../src/evaluation/lmtp-delivery.ts';
import { services } from '../support/services/services.ts';

const users = [{ login: 'alice@example.test', password: 'a' }] as const;
const raw = 'From: alice@example.test\r\nSubject: raw\r\n\r\n.dot\r\n..two\r\n\r\ntrailing blanks  \r\n';

describe('the small SMTP upstream', () => {
  test('keeps octets and envelope as they came', async () => {
    await using upstream = await services.smtpUpstream({ users, lmtpPort: null, alsoTake: ['@other.test'] });
    const transport = createTransport({
      host: '127.0.0.1',
      port: upstream.port,
      ignoreTLS: true,
      auth: { user: 'alice@example.test', pass: 'a' },
    });
    await transport.sendMail({
      raw,
      envelope: { from: 'alice@example.test', to: ['x@other.test', 'alice@example.test'] },
      dsn: { id: 'envid-1', return: 'headers', notify: ['failure', 'delay'] },
    });
    transport.close();
    expect(upstream.received).toEqual([
      {
        octets: Buffer.from(raw),
        envelope: {
          login: 'alice@example.test',
          reversePath: 'alice@example.test',
          recipients: ['x@other.test', 'alice@example.test'],
          body: '7bit',
          smtpUtf8: false,
          ret: 'HDRS',
          envid: 'envid-1',
          notify: [
            ['FAILURE', 'DELAY'],
            ['FAILURE', 'DELAY'],
          ],
          tls: false,
        },
      },
    ]);
  });

  test('refuses wrong passwords, strangers as recipients and mail without login', async () => {
    await using upstream = await services.smtpUpstream({ users, lmtpPort: null });
    const send = (auth: { user: string; pass: string } | undefined, to: string) => {
      const transport = createTransport({
        host: '127.0.0.1',
        port: upstream.port,
        ignoreTLS: true,
        ...(auth === undefined ? {} : { auth }),
      });
      return transport
        .sendMail({ raw, envelope: { from: 'alice@example.test', to } })
        .finally(() => transport.close());
    };
    const alice = { user: 'alice@example.test', pass: 'a' };
    await expect(send({ ...alice, pass: 'b' }, 'alice@example.test')).rejects.toMatchObject({
      responseCode: 535,
    });
    await expect(send(alice, 'stranger@example.test')).rejects.toMatchObject({ responseCode: 550 });
    await expect(send(undefined, 'alice@example.test')).rejects.toMatchObject({ responseCode: 530 });
    expect(upstream.received).toEqual([]);
  });

  test('says 451 when the mail store cannot be reached, so that nothing is lost', async () => {
    const port = await freePort();
    await using upstream = await services.smtpUpstream({ users, lmtpPort: port });
    const transport = createTransport({
      host: '127.0.0.1',
      port: upstream.port,
      ignoreTLS: true,
      auth: { user: 'alice@example.test', pass: 'a' },
    });
    const sent = transport.sendMail({ raw, envelope: { from: '', to: 'alice@example.test' } });
    await expect(sent).rejects.toMatchObject({ responseCode: 451 });
    transport.close();
  });
});

describe('delivery by LMTP', () => {
  test('an address cannot smuggle a second command', async () => {
    const { server, port } = await silentServer('220 ready\r\n250 ok\r\n250 ok\r\n');
    const delivery = { reversePath: '', recipients: ['a>\r\nRCPT TO:<b'], octets: Buffer.from('x\r\n') };
    await expect(deliverByLmtp(port, delivery)).rejects.toThrow('one line');
    server.close();
  });

  test('a server that hangs up in the middle is an error', async () => {
    const { server, port } = await silentServer('220 ready\r\n', true);
    const delivery = { reversePath: '', recipients: ['a'], octets: Buffer.from('x\r\n') };
    await expect(deliverByLmtp(port, delivery)).rejects.toThrow();
    server.close();
  });
});

describe('free ports', () => {
  test('are never given twice, and a wanted one only while nothing listens there', async () => {
    const ports = await Promise.all(Array.from({ length: 30 }, () => freePort()));
    expect(new Set(ports).size).toBe(30);
    const { server, port } = await silentServer('');
    expect(await portOr(port)).not.toBe(port);
    server.close();
    await once(server, 'close');
    expect(await portOr(port)).toBe(port);
  });
});

/** Says its piece and, unless it hangs up, listens without another word. */
async function silentServer(words: string, hangUp = false): Promise<{ server: Server; port: number }> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    if (hangUp) socket.end(words);
    else socket.write(words);
  });
  server.listen(await freePort(), '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  return { server, port: typeof address === 'object' && address !== null ? address.port : 0 };
}
