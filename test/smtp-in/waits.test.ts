import { connect } from 'node:net';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import { FailedLogins } from '../../src/connections/failed-logins.ts';
import { limits } from '../../src/limits.ts';
import { Secret } from '../../src/log/secret.ts';
import { certificateFor } from '../support/certificate.ts';
import { PLAIN, TestClient } from './support/client.ts';
import {
  beside,
  CLIENT_ENDS,
  defects,
  endAll,
  nextMail,
  nothingIsLeft,
  passing,
  SERVER_ENDS,
  say,
  until,
} from './support/ends.ts';
import { gatewayOf, KINDS, type KindGateway, logsIn, prelude } from './support/kinds.ts';

/** What else a session waits for, and what ends that: not the mail server's answer, which is in every-end.test.ts. */

const material = certificateFor('localhost');
afterAll(() => material.remove());
let gateway: KindGateway | null = null;
afterEach(async () => {
  vi.useRealTimers();
  await endAll(gateway);
  gateway = null;
});

async function start(...of: Parameters<typeof gatewayOf>): Promise<KindGateway> {
  gateway = await gatewayOf(...of);
  return gateway;
}

const ENVELOPE = ['MAIL FROM:<a@example.org>', 'RCPT TO:<b@example.net>'];
const NEVER = new Promise<never>(() => undefined);
const fakeTime = () => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
const clientEnds = Object.entries(CLIENT_ENDS);

/** The gateway stops, in the time that sessions have for it; the mail servers' connections have ended with it. */
async function stops(running: KindGateway): Promise<void> {
  fakeTime();
  await passing(running.listener.close(), limits.smtp.closeTimeoutMs);
  vi.useRealTimers();
  await until(() => running.upstream.open.size === 0);
  expect(defects(running)).toEqual([]);
}

describe.each(KINDS.filter(logsIn))('%s: a login that has to wait since others failed', (kind) => {
  async function waiting(command: string) {
    const failedLogins = new FailedLogins({
      now: () => 0,
      wait: (_ms, signal) =>
        new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true })),
    });
    const { freeFailures } = limits.connections;
    for (let i = 0; i < freeFailures; i++) failedLogins.failed('127.0.0.1', `guess ${i}`);
    const running = await start(kind, {}, { failedLogins, maxConnections: 2 });
    const other = await beside(running);
    const lines = prelude(kind).slice(0, 1);
    const client = await say(running, { lines, rest: `${command}\r\n` }, other);
    const asked = running.upstream.commands.length;
    return { running, other, client, asked };
  }

  describe.each([`AUTH PLAIN ${PLAIN}`, 'AUTH SCRAM-SHA-256 biwsbj1hLHI9Yg=='])('%s', (command) => {
    test.each(clientEnds)('the client %s', async (_, end) => {
      const { running, other, client, asked } = await waiting(command);
      end(client);
      await until(() => running.upstream.open.size === 0);
      // In nobody's name.
      expect(running.upstream.commands.slice(asked).join()).not.toContain('AUTH');
      expect(running.events.map(({ event }) => event)).not.toContain('smtp.refused');
      other.end();
      await nothingIsLeft(running);
    });

    test('the gateway stops', async () => {
      const { running, other, asked } = await waiting(command);
      other.end();
      await stops(running);
      expect(running.upstream.commands.slice(asked).join()).not.toContain('AUTH');
    });
  });
});

describe.each(KINDS)('%s: a recipient about whom somebody else is asked', (kind) => {
  async function waiting() {
    const running = await start(kind, {}, { maxConnections: 2 });
    const { story } = running;
    Object.assign(story, {
      judgeRecipient: () => {
        Object.assign(story, { judgeRecipient: () => null });
        return NEVER;
      },
    });
    const other = await beside(running);
    const lines = [...prelude(kind), ...ENVELOPE.slice(0, 1)];
    return { running, other, client: await say(running, { lines, rest: `${ENVELOPE[1]}\r\n` }, other) };
  }

  test.each(clientEnds)('the client %s', async (_, end) => {
    const { running, other, client } = await waiting();
    end(client);
    await nextMail(running);
    other.end();
    await nothingIsLeft(running);
  });

  test('the gateway stops', async () => {
    const { running, other } = await waiting();
    other.end();
    await stops(running);
  });

  test('the answer is an error', async () => {
    const running = await start(kind, {}, { maxConnections: 2 });
    const { story } = running;
    Object.assign(story, {
      judgeRecipient: () => {
        Object.assign(story, { judgeRecipient: () => null });
        return Promise.reject(new Error('a defect of the test'));
      },
    });
    const other = await beside(running);
    const lines = [...prelude(kind), ...ENVELOPE.slice(0, 1)];
    const client = await say(running, { lines, rest: `${ENVELOPE[1]}\r\n${ENVELOPE[1]}\r\nDATA\r\n` }, other);
    expect((await client.toEnd()).at(-1)).toMatch(/^421 4\.3\.0/);
    expect(defects(running)).toHaveLength(1);
    running.events.length = 0;
    await nextMail(running);
    other.end();
    await nothingIsLeft(running);
  });
});

describe.each(KINDS)('%s: a message that the story is working on', (kind) => {
  const LINE = `${'x'.repeat(98)}\r\n`;
  const LONG = LINE.repeat(Math.ceil(limits.smtp.memoryOctets / LINE.length) + 100);

  async function waiting(text: string) {
    const running = await start(kind, {}, { maxConnections: 2 });
    const { story } = running;
    const [asked, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const submit = story.submit.bind(story);
    story.submit = async (...given) => {
      story.submit = submit;
      asked.resolve();
      await goOn.promise;
      return submit(...given);
    };
    const other = await beside(running);
    const client = await say(
      running,
      { lines: [...prelude(kind), ...ENVELOPE, 'DATA'], rest: `${text}.\r\n` },
      other,
    );
    await asked.promise;
    return { running, other, client, goOn };
  }

  const taken = ({ upstream, held }: KindGateway) => upstream.accepted.length + held.committed;

  describe.each([
    ['short', 'text\r\n'],
    ['long', LONG],
  ])('%s', (_, text) => {
    test.each(clientEnds)('the client %s: it is handed over all the same', async (_how, end) => {
      const { running, other, client, goOn } = await waiting(text);
      end(client);
      for (let i = 0; i < 3; i++) await other.ask('VRFY x');
      goOn.resolve();
      await nextMail(running);
      expect(taken(running)).toBe(2);
      other.end();
      await nothingIsLeft(running);
    });

    test('the gateway stops and does not wait for ever; then no mail server gets it', async () => {
      const { running, other, goOn } = await waiting(text);
      other.end();
      fakeTime();
      const { closeTimeoutMs, lastWordsTimeoutMs } = limits.smtp;
      await passing(running.listener.close(), closeTimeoutMs + lastWordsTimeoutMs);
      vi.useRealTimers();
      goOn.resolve();
      await until(() => running.held.spools === 0 && running.held.keepings === 0);
      await until(() => running.upstream.open.size === 0);
      expect(running.upstream.accepted).toEqual([]);
      expect(defects(running)).toEqual([]);
    });

    test.each(Object.entries(SERVER_ENDS))('the mail server %s', async (_how, end) => {
      const { running, other, client, goOn } = await waiting(text);
      if (kind === 'queue') await until(() => running.upstream.open.size === 0);
      end(running);
      await until(() => running.upstream.open.size === 0);
      goOn.resolve();
      if (kind === 'queue') expect(await client.reply()).toMatch(/^250/);
      else {
        const said = await client.toEnd();
        expect(said.map((line) => line.slice(0, 3))).toEqual(['451', '421']);
      }
      client.end();
      await nextMail(running);
      expect(taken(running)).toBe(kind === 'queue' ? 2 : 1);
      other.end();
      await nothingIsLeft(running);
    });
  });
});

describe('queue: whether there is room', () => {
  async function waiting() {
    const goOn = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    let isFirst = true;
    const running = await start('queue', {}, { maxConnections: 2 });
    // The one of the test, which is asked for each mail.
    const { begin } = running.storeAndForward;
    Object.assign(running.storeAndForward, {
      begin,
      full: async () => {
        if (!isFirst) return null;
        isFirst = false;
        asked.resolve();
        await goOn.promise;
        return null;
      },
    });
    return { running, asked: asked.promise, goOn };
  }

  test.each(clientEnds.flatMap((end) => ['DATA', 'BDAT 4\r\nab'].map((how) => [...end, how] as const)))(
    'the client %s',
    async (_, end, how) => {
      const { running, asked, goOn } = await waiting();
      const other = await beside(running);
      const client = await say(
        running,
        { lines: [...prelude('queue'), ...ENVELOPE], rest: `${how}\r\n` },
        other,
      );
      await asked;
      end(client);
      for (let i = 0; i < 3; i++) await other.ask('VRFY x');
      goOn.resolve();
      await nextMail(running);
      other.end();
      await nothingIsLeft(running);
    },
  );
});

describe.each(['starttls', 'implicit'] as const)('a handshake (%s) that does not come', (tls) => {
  async function waiting(before: number) {
    const running = await start(
      'submission',
      {},
      { tls, tlsMaterial: { cert: material.cert, key: material.key } },
    );
    const sockets = [];
    for (let i = 0; i < before; i++) {
      const socket = connect(running.port, '127.0.0.1');
      socket.on('error', () => undefined);
      sockets.push(socket);
      if (tls === 'implicit') continue;
      const client = new TestClient(socket);
      await client.reply();
      await client.ask('EHLO client.test');
      expect(await client.ask('STARTTLS')).toMatch(/^220/);
    }
    await until(() => running.events.filter(({ event }) => event === 'smtp.connected').length === before);
    return { running, sockets };
  }

  const isClosed = ({ events }: KindGateway, count: number) =>
    events.filter(({ event }) => event === 'smtp.closed').length === count;

  // As many as may be under way, and one that waits for its place.
  const all = limits.connections.handshakesOfAddress + 1;
  describe.each([1, all])('of %i', (count) => {
    test.each([
      ['go by FIN', (socket: ReturnType<typeof connect>) => void socket.end()],
      ['reset their connections', (socket: ReturnType<typeof connect>) => void socket.resetAndDestroy()],
    ])('the clients %s', async (_, end) => {
      const { running, sockets } = await waiting(count);
      for (const socket of sockets) end(socket);
      await until(() => isClosed(running, count));
      await nothingIsLeft(running);
    });

    test('the gateway stops: at once', async () => {
      const { running } = await waiting(count);
      await nothingIsLeft(running);
      expect(isClosed(running, count)).toBe(true);
    });

    test('their time is over', async () => {
      fakeTime();
      const { running } = await waiting(count);
      for (let i = 0; i < 2; i++) {
        await vi.advanceTimersByTimeAsync(limits.connections.handshakeTimeoutMs);
        for (let j = 0; j < 20; j++) await new Promise((resolve) => setImmediate(resolve));
      }
      await until(() => isClosed(running, count));
      vi.useRealTimers();
      await nothingIsLeft(running);
    });
  });
});

describe('the gateway’s own login, which the mail server does not answer', () => {
  const upstreamLogin = { kind: 'password', name: 'gateway', password: new Secret('pw') } as const;
  async function waiting() {
    const asked = Promise.withResolvers<void>();
    const running = await start(
      'relay',
      {
        keywords: ['PIPELINING', 'AUTH PLAIN'],
        script: {
          AUTH: (_line, connection) => {
            if (connection > 1) return '235 2.7.0 welcome\r\n';
            asked.resolve();
            return '';
          },
        },
      },
      { upstreamLogin, maxConnections: 2 },
    );
    const other = await beside(running);
    const client = await say(running, { lines: [], rest: 'EHLO client.test\r\n' }, other);
    await asked.promise;
    return { running, other, client };
  }

  test.each(clientEnds)('the client %s', async (_, end) => {
    const { running, other, client } = await waiting();
    end(client);
    await nextMail(running);
    await until(() => running.upstream.open.size === 1);
    other.end();
    await nothingIsLeft(running);
  });

  test('the gateway stops', async () => {
    const { running, other } = await waiting();
    other.end();
    await stops(running);
  });
});

describe.each(['relay', 'lmtp'] as const)(
  '%s: a connection that is given back, and its RSET not answered',
  (kind) => {
    async function waiting() {
      const asked = Promise.withResolvers<void>();
      const running = await start(
        kind,
        {
          script: {
            RSET: (_line, connection) => {
              if (connection > 1) return '250 2.0.0 Ok\r\n';
              asked.resolve();
              return '';
            },
          },
        },
        { maxConnections: 2 },
      );
      const other = await beside(running);
      const client = await say(running, { lines: [...prelude(kind), ...ENVELOPE] }, other);
      client.end();
      await asked.promise;
      return { running, other };
    }

    test('the gateway stops', async () => {
      const { running, other } = await waiting();
      other.end();
      await nothingIsLeft(running);
    });

    test('the next client has another one', async () => {
      const { running, other } = await waiting();
      await nextMail(running);
      expect(running.upstream.accepted.map(({ from }) => from)).toEqual(['MAIL FROM:<next@example.org>']);
      other.end();
      await nothingIsLeft(running);
    });

    test('its time is over', async () => {
      fakeTime();
      const { running, other } = await waiting();
      await vi.advanceTimersByTimeAsync(11_000);
      await until(() => running.upstream.open.size === 0);
      vi.useRealTimers();
      other.end();
      await nothingIsLeft(running);
    });
  },
);

describe.each(KINDS)('%s: a balancer that says half of its header', (kind) => {
  const HEADER = 'PROXY TCP4 192.0.2.7 198.51.100.9 40001 587\r\n';
  async function waiting() {
    const running = await start(kind, {}, { proxyProtocolFrom: ['127.0.0.1'] });
    const socket = connect({ port: running.port, host: '127.0.0.1', noDelay: true });
    socket.on('error', () => undefined);
    await new Promise<void>((resolve) => socket.write(HEADER.slice(0, 20), () => resolve()));
    const beside = new TestClient(connect(running.port, '127.0.0.1'));
    beside.send('PROXY UNKNOWN\r\n');
    expect(await beside.reply()).toMatch(/^220/);
    for (let i = 0; i < 3; i++) await beside.ask('VRFY x');
    return { running, socket, other: beside };
  }

  test.each([
    ['nothing follows', false],
    ['the rest follows', true],
  ])('the gateway stops, and %s: at once', async (_, follows) => {
    const { running, socket, other } = await waiting();
    const closed = running.listener.close();
    if (follows) socket.write(`${HEADER.slice(20)}EHLO client.test\r\n`);
    await closed;
    expect((await other.toEnd()).at(-1)).toMatch(/^421 4\.3\.2/);
    expect(running.events.filter(({ event }) => event === 'listener.proxy-refused')).toEqual([]);
  });
});
