import { constants, deflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { certificateFor, type TlsMaterial } from '../support/certificate.ts';
import { optionsOf, PLAIN } from './support/carriers.ts';
import { CAPABILITIES, FakeUpstream, loggedIn } from './support/fake-upstream.ts';
import { ImapConversation } from './support/imap-conversation.ts';
import { startTestProxy } from './support/listener.ts';

/** Octets that come behind STARTTLS or COMPRESS before it is answered, wherever they are cut: nobody takes them for what comes after it. */

let material: TlsMaterial;
beforeAll(() => {
  material = certificateFor('localhost');
});
afterAll(() => material.remove());

const STARTTLS = { tls: 'starttls', deflated: false } as const;

/** What is waited for between two pieces: the answer to the first, where there is one. */
async function inTwo(to: ImapConversation, octets: string, at: number): Promise<void> {
  to.send(octets.slice(0, at));
  for (let turns = 0; turns < 6; turns++) await new Promise(setImmediate);
  to.send(octets.slice(at));
}

const each = (octets: string): number[] => Array.from({ length: octets.length }, (_, at) => at);

test.each([
  's STARTTLS\r\nx LOGIN bob pw\r\n',
  's STARTTLS\r\nx NOOP\r\ny LOGIN {3}\r\nbob',
  's STARTTLS\r\n\r\n',
  's STARTTLS\r\nx',
])('attack: a client for whom somebody says more behind STARTTLS: %j', async (octets) => {
  const upstream = await FakeUpstream.start();
  const carriers = { client: STARTTLS, server: PLAIN };
  const proxy = await startTestProxy(upstream.port, optionsOf(carriers, material, upstream.port));
  for (const at of each(octets)) {
    const opening = ImapConversation.open(proxy.port);
    const server = await upstream.accept();
    server.send('* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] x\r\n');
    const client = await opening;
    await inTwo(client, octets, at);
    // What is no handshake is answered with an alert at most.
    client.socket.end();
    const heard = (await client.rest()).replace(/^s OK Begin TLS\r\n/, '');
    expect(/[xy] (?:OK|NO|BAD)|\+ /.test(heard), `${at}: ${heard}`).toBe(false);
    expect(await server.rest(), `${at}`).toBe('');
    client.close();
  }
  await proxy.close();
  await upstream.close();
});

test.each([
  'S1 OK begin\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN X\r\nS2 OK done\r\n',
  'S1 OK begin\r\n* OK [ALERT] call me\r\n',
  'S1 OK begin\r\n*',
  '* BYE [ALERT] call me\r\nS1 NO no\r\n',
])('attack: a mail server for which somebody says more behind its OK to STARTTLS: %j', async (octets) => {
  const upstream = await FakeUpstream.start();
  const carriers = { client: PLAIN, server: STARTTLS };
  const proxy = await startTestProxy(upstream.port, optionsOf(carriers, material, upstream.port));
  for (const at of each(octets)) {
    const dialling = ImapConversation.open(proxy.port).catch(() => null);
    const server = await upstream.accept();
    server.send('* OK x\r\n');
    await server.until(/S1 STARTTLS\r\n/);
    await inTwo(server, octets, at);
    server.socket.end();
    const client = await dialling;
    expect(client === null ? '' : await client.rest(), `${at}`).not.toMatch(/OK|call me/);
    // Nobody has logged in, and no command has come without TLS.
    expect(await server.rest(), `${at}`).not.toMatch(/^S2/m);
  }
  await proxy.close();
  await upstream.close();
});

test.each([
  'c COMPRESS DEFLATE\r\nx NOOP\r\n',
  'c COMPRESS DEFLATE\r\nx COMPRESS DEFLATE\r\ny NOOP\r\n',
  'c COMPRESS DEFLATE\r\nx DELETE y\r\n',
])(
  'a client that says more behind COMPRESS: it is done or the session ends, and never both: %j',
  async (octets) => {
    const upstream = await FakeUpstream.start();
    const proxy = await startTestProxy(upstream.port);
    for (const at of each(octets)) {
      const { client, server } = await loggedIn(upstream, proxy.port);
      await inTwo(client, octets, at);
      const answer = await client.until(/^c (?:OK|NO)[^\r]*\r\n/);
      const next = octets.split('\r\n')[1] ?? '';
      if (answer.startsWith('c NO')) {
        expect(answer).toContain('[CLIENTBUG]');
        // Plain it stays, and so is all behind it.
        if (next.includes('COMPRESS')) await client.until(/^x (?:OK|NO)[^\r]*\r\n/);
        else expect(await server.until(/\r\n/)).toBe(`${next}\r\n`);
      } else client.socket.end();
      client.close();
      const rest = await server.rest();
      expect(next.includes('COMPRESS') ? ['', 'y NOOP\r\n'] : [''], `${at}`).toContain(rest);
    }
    await proxy.close();
    await upstream.close();
  },
);

test('what a mail server says deflated behind its OK to COMPRESS is heard, wherever it is cut', async () => {
  const upstream = await FakeUpstream.start();
  const proxy = await startTestProxy(upstream.port, { compressUpstream: true });
  const early = deflateRawSync(Buffer.from('* OK [ALERT] early\r\n'), {
    finishFlush: constants.Z_SYNC_FLUSH,
  });
  const octets = `S5 OK DEFLATE active\r\n${early.toString('latin1')}`;
  for (const at of each(octets)) {
    const { client, server } = await loggedIn(upstream, proxy.port, `${CAPABILITIES} COMPRESS=DEFLATE`);
    await server.until(/S5 COMPRESS DEFLATE\r\n/);
    await inTwo(server, octets, at);
    expect(await client.until(/early\r\n/), `${at}`).toBe('* OK [ALERT] early\r\n');
    client.close();
  }
  await proxy.close();
  await upstream.close();
});
