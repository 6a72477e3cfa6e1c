import { afterEach, describe, expect, test, vi } from 'vitest';
import { limits } from '../../../src/limits.ts';
import { PLAIN } from './client.ts';
import {
  beside,
  CLIENT_ENDS,
  CUT_BENEATH_TLS,
  defects,
  endAll,
  nextMail,
  nothingIsLeft,
  passing,
  type Said,
  SERVER_ENDS,
  say,
  until,
} from './ends.ts';
import type { FakeOptions } from './fake-upstream.ts';
import { gatewayOf, KINDS, type Kind, type KindGateway, logsIn, prelude, type Secured } from './kinds.ts';

/**
 * A session may end at any point: its client goes, its mail server goes or says nothing more, the gateway stops. Whenever that is, the
 * session ends, what it had is given back, and the next client is served as the first one was.
 */

let gateway: KindGateway | null = null;

const base64 = (text: string) => Buffer.from(text, 'latin1').toString('base64');
const ENVELOPE = ['MAIL FROM:<a@example.org>', 'RCPT TO:<b@example.net>'];
const LINE = `${'x'.repeat(98)}\r\n`;
/** More than is kept in memory. */
const LONG = LINE.repeat(Math.ceil(limits.smtp.memoryOctets / LINE.length) + 100);
const SCRAM = `AUTH SCRAM-SHA-256 ${base64('n,,n=alice@example.org,r=fyko+d2lbbFgONRv9qkxdawL')}`;
const SERVER_FIRST = base64('r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096');

const FINAL = base64('c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=');

type Of = Said & { of?: readonly Kind[] };
const WITH_LOGIN = KINDS.filter(logsIn);
const WITHOUT_QUEUE = KINDS.filter((kind) => kind !== 'queue');

/** The client is the one that is waited for. */
const CLIENTS_TURN: Readonly<Record<string, (kind: Kind) => Of>> = {
  greeting: () => ({ lines: [] }),
  'half a word': () => ({ lines: [], rest: 'EHL' }),
  'a CR': (kind) => ({ lines: [], rest: `${prelude(kind)[0]}\r` }),
  EHLO: (kind) => ({ lines: prelude(kind).slice(0, 1) }),
  'half of AUTH': (kind) => ({ lines: prelude(kind).slice(0, 1), rest: 'AUTH PL', of: WITH_LOGIN }),
  'AUTH PLAIN': (kind) => ({ lines: [prelude(kind)[0] ?? '', 'AUTH PLAIN'], of: WITH_LOGIN }),
  'half a response': (kind) => ({
    ...{ lines: [prelude(kind)[0] ?? '', 'AUTH PLAIN'], rest: PLAIN.slice(0, 9), of: WITH_LOGIN },
  }),
  'AUTH LOGIN': (kind) => ({ lines: [prelude(kind)[0] ?? '', 'AUTH LOGIN'], of: WITH_LOGIN }),
  'AUTH LOGIN and a name': (kind) => ({
    ...{ lines: [prelude(kind)[0] ?? '', 'AUTH LOGIN', base64('alice@example.org')], of: WITH_LOGIN },
  }),
  SCRAM: (kind) => ({ lines: [prelude(kind)[0] ?? '', SCRAM], of: WITH_LOGIN }),
  'before MAIL': (kind) => ({ lines: prelude(kind) }),
  MAIL: (kind) => ({ lines: [...prelude(kind), ...ENVELOPE.slice(0, 1)] }),
  'half of RCPT': (kind) => ({ lines: [...prelude(kind), ...ENVELOPE.slice(0, 1)], rest: 'RCPT TO:<b@' }),
  RCPT: (kind) => ({ lines: [...prelude(kind), ...ENVELOPE] }),
  '354': (kind) => ({ lines: [...prelude(kind), ...ENVELOPE, 'DATA'] }),
  'the middle of a message': (kind) => ({ lines: [...prelude(kind), ...ENVELOPE, 'DATA'], rest: LINE }),
  'nearly the end of a message': (kind) => ({
    ...{ lines: [...prelude(kind), ...ENVELOPE, 'DATA'], rest: `${LINE}.\r` },
  }),
  'the middle of a long message': (kind) => ({
    ...{ lines: [...prelude(kind), ...ENVELOPE, 'DATA'], rest: LONG },
  }),
  'the middle of a message that is refused': (kind) => ({
    ...{ lines: [...prelude(kind), ...ENVELOPE, 'DATA'], rest: `bare\n${LONG}` },
  }),
  'the middle of a chunk': (kind) => ({
    ...{ lines: [...prelude(kind), ...ENVELOPE], rest: `BDAT ${2 * LINE.length} LAST\r\n${LINE}` },
  }),
  'the middle of a long chunk': (kind) => ({
    ...{ lines: [...prelude(kind), ...ENVELOPE], rest: `BDAT ${2 * LONG.length}\r\n${LONG}` },
  }),
  'between two chunks': (kind) => ({
    lines: [...prelude(kind), ...ENVELOPE, `BDAT ${LONG.length}\r\n${LONG.slice(0, -2)}`],
  }),
  'behind a chunk that was refused': (kind) => ({
    lines: [...prelude(kind), ...ENVELOPE, 'BDAT 4\r\na\n'],
  }),
  'the end of data': (kind) => ({ lines: [...prelude(kind), ...ENVELOPE, 'DATA', 'text\r\n.'] }),
  'the last chunk': (kind) => ({ lines: [...prelude(kind), ...ENVELOPE, 'BDAT 6 LAST\r\ntext'] }),
  'a message that was refused': (kind) => ({ lines: [...prelude(kind), ...ENVELOPE, 'DATA', 'bare\n\r\n.'] }),
  RSET: (kind) => ({ lines: [...prelude(kind), ...ENVELOPE, 'RSET'] }),
  'a second EHLO': (kind) => ({ lines: [...prelude(kind), ...ENVELOPE, prelude(kind)[0] ?? ''] }),
  'a second MAIL': (kind) => ({
    lines: [...prelude(kind), ...ENVELOPE, 'DATA', 'text\r\n.', ...ENVELOPE.slice(0, 1)],
  }),
};

type Start = (kind: Kind, script?: FakeOptions['script']) => Promise<KindGateway>;

const startsWith =
  (secured: Secured | null): Start =>
  async (kind, script = {}) => {
    const scripted = { script: { ...script, 'AUTH SCRAM': `334 ${SERVER_FIRST}\r\n` } };
    gateway = await gatewayOf(kind, scripted, { maxConnections: 2 }, secured);
    return gateway;
  };

const points = (turns: Readonly<Record<string, (kind: Kind) => Of>>) =>
  KINDS.flatMap((kind) =>
    Object.entries(turns).flatMap(([point, said]) => {
      const { of = KINDS } = said(kind);
      return of.includes(kind) ? [{ kind, point, said: said(kind) }] : [];
    }),
  );

/** What the mail server does not answer, on the first connection where it is asked. `isMessage`: it may have the whole of one. */
const SERVERS_TURN: Readonly<Record<string, (kind: Kind) => Of & { silent: string; isMessage?: true }>> = {
  greeting: (kind) => ({ silent: 'GREETING', lines: [], rest: `${prelude(kind)[0]}\r\n` }),
  EHLO: (kind) => ({ silent: 'EHLO', lines: [], rest: `${prelude(kind)[0]}\r\n` }),
  'AUTH PLAIN': (kind) => ({
    ...{ silent: 'AUTH', lines: prelude(kind).slice(0, 1), rest: `${prelude(kind)[1]}\r\n`, of: WITH_LOGIN },
  }),
  SCRAM: (kind) => ({
    ...{
      silent: 'AUTH VERDICT',
      lines: [prelude(kind)[0] ?? '', SCRAM],
      rest: `${FINAL}\r\n`,
      of: WITH_LOGIN,
    },
  }),
  MAIL: (kind) => ({
    ...{ silent: 'MAIL', lines: prelude(kind), rest: `${ENVELOPE[0]}\r\n`, of: WITHOUT_QUEUE },
  }),
  'MAIL, with all behind it': (kind) => ({
    ...{ silent: 'MAIL', lines: prelude(kind), of: WITHOUT_QUEUE },
    rest: `${ENVELOPE.join('\r\n')}\r\nDATA\r\n`,
  }),
  RCPT: (kind) => ({
    ...{ silent: 'RCPT', lines: [...prelude(kind), ...ENVELOPE.slice(0, 1)], of: WITHOUT_QUEUE },
    rest: `${ENVELOPE[1]}\r\n`,
  }),
  NOOP: (kind) => ({
    ...{ silent: 'NOOP', lines: [...prelude(kind), ...ENVELOPE], rest: 'NOOP\r\n', of: WITHOUT_QUEUE },
  }),
  RSET: (kind) => ({
    ...{ silent: 'RSET', lines: [...prelude(kind), ...ENVELOPE], rest: 'RSET\r\n', of: WITHOUT_QUEUE },
  }),
  DATA: (kind) => ({
    ...{ silent: 'DATA', lines: [...prelude(kind), ...ENVELOPE, 'DATA'], of: WITHOUT_QUEUE },
    ...{ rest: 'text\r\n.\r\n', isMessage: true },
  }),
  'the end of data': (kind) => ({
    ...{ silent: 'END', lines: [...prelude(kind), ...ENVELOPE, 'DATA'], of: WITHOUT_QUEUE },
    ...{ rest: 'text\r\n.\r\n', isMessage: true },
  }),
  'the end of a long message': (kind) => ({
    ...{ silent: 'END', lines: [...prelude(kind), ...ENVELOPE, 'DATA'], of: WITHOUT_QUEUE },
    ...{ rest: `${LONG}.\r\n`, isMessage: true },
  }),
  'the last chunk': (kind) => ({
    ...{ silent: 'END', lines: [...prelude(kind), ...ENVELOPE, 'BDAT 4\r\nab'], of: WITHOUT_QUEUE },
    ...{ rest: 'BDAT 0 LAST\r\n', isMessage: true },
  }),
};

const ANSWERS: Readonly<Record<string, string>> = {
  GREETING: '220 upstream.test ESMTP\r\n',
  EHLO: '250-upstream.test\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN SCRAM-SHA-256\r\n',
  AUTH: '235 2.7.0 welcome\r\n',
  DATA: '354 go ahead\r\n',
};

/** It says nothing, and the test hears when it has been asked. */
async function startSilent(
  start: Start,
  kind: Kind,
  silent: string,
): Promise<{ running: KindGateway; asked: Promise<void> }> {
  const asked = Promise.withResolvers<void>();
  let first: number | null = null;
  const running = await start(kind, {
    [silent]: (_line: string, connection: number) => {
      first ??= connection;
      if (connection !== first) return ANSWERS[silent] ?? '250 2.0.0 Ok\r\n';
      asked.resolve();
      return '';
    },
  });
  return { running, asked: asked.promise };
}

const serversPoints = KINDS.flatMap((kind) =>
  Object.entries(SERVERS_TURN).flatMap(([point, said]) => {
    const { of = KINDS, silent, isMessage = false, ...rest } = said(kind);
    return of.includes(kind) ? [{ kind, point, silent, isMessage, said: rest }] : [];
  }),
);

const BEFORE_TLS = new Set(['greeting', 'EHLO']);

/** @param secured how both sides are; null: they are not */
export function everyEnd(kinds: readonly Kind[], secured: Secured | null): void {
  const start = startsWith(secured);
  const cut = secured === null ? { client: {}, server: {} } : CUT_BENEATH_TLS;
  // What comes before STARTTLS is the same as where nothing is secured.
  const isLater = (point: string) => secured?.tls !== 'starttls' || !BEFORE_TLS.has(point);
  const later = serversPoints.filter(({ kind, point }) => kinds.includes(kind) && isLater(point));
  const clientsPoints = points(CLIENTS_TURN).filter(({ kind }) => kinds.includes(kind));
  const clientEnds = Object.entries({ ...CLIENT_ENDS, ...cut.client });
  const serverEnds = Object.entries({ ...SERVER_ENDS, ...cut.server });
  afterEach(async () => {
    vi.useRealTimers();
    await endAll(gateway);
    gateway = null;
  });

  describe.each(clientsPoints)('$kind, after $point', ({ kind, said }) => {
    test.each(clientEnds)('the client %s', async (_, end) => {
      const running = await start(kind);
      const other = await beside(running);
      const client = await say(running, said, other);
      const before = running.upstream.accepted.length + running.held.committed;
      end(client);
      await nextMail(running);
      expect(running.upstream.accepted.length + running.held.committed).toBe(before + 1);
      other.end();
      await nothingIsLeft(running);
    });

    test('the gateway stops', async () => {
      const running = await start(kind);
      const other = await beside(running);
      const client = await say(running, said, other);
      const before = running.upstream.accepted.length + running.held.committed;
      // A client is done with its handshake before the gateway is (RFC 8446 section 2), and within one nothing can be said.
      for (let i = 0; i < 3; i++) await other.ask('VRFY x');
      await nothingIsLeft(running);
      expect((await client.toEnd()).at(-1)).toMatch(/^421 4\.3\.2/);
      expect(running.upstream.accepted.length + running.held.committed).toBe(before);
    });

    test.each(serverEnds)('the mail server %s', async (_, end) => {
      const running = await start(kind);
      const other = await beside(running);
      const client = await say(running, said, other);
      if (kind === 'queue' && said.lines.length > 1 && said.lines[1]?.endsWith(PLAIN) === true) {
        await until(() => running.upstream.open.size === 0);
      }
      const hadOne = running.upstream.open.size > 0;
      end(running);
      await until(() => running.upstream.open.size === 0);
      // Whoever is in the middle of a message hears of it at its end, and whose mail goes into the queue never does.
      for (let i = 0; i < 3; i++) await other.ask('VRFY x');
      if (hadOne && said.rest === undefined && said.lines.at(-1) !== 'DATA') {
        expect((await client.toEnd()).at(-1)).toMatch(/^421 4\.4\.2/);
      } else client.end();
      await nextMail(running);
      other.end();
      await nothingIsLeft(running);
    });
  });

  describe.each(later)(
    '$kind, while the mail server says nothing to $point',
    ({ kind, silent, isMessage, said }) => {
      test.each(clientEnds)('the client %s', async (_, end) => {
        const { running, asked } = await startSilent(start, kind, silent);
        const other = await beside(running);
        const client = await say(running, said, other);
        await asked;
        const open = running.upstream.open.size;
        end(client);
        if (isMessage) {
          // It may have it: what it says of it decides.
          for (let i = 0; i < 3; i++) await other.ask('VRFY x');
          expect(running.upstream.open.size).toBe(open);
          for (const socket of running.upstream.open) socket.destroy();
        }
        await nextMail(running);
        other.end();
        await nothingIsLeft(running);
      });

      test.each(serverEnds)('it %s', async (_, end) => {
        const { running, asked } = await startSilent(start, kind, silent);
        const other = await beside(running);
        const client = await say(running, said, other);
        await asked;
        end(running);
        expect((await client.toEnd()).at(-1)).toMatch(/^4[25]1 4\.[34]\.[0-3]/);
        await nextMail(running);
        other.end();
        await nothingIsLeft(running);
      });

      test('the gateway stops', async () => {
        const { running, asked } = await startSilent(start, kind, silent);
        const other = await beside(running);
        const client = await say(running, said, other);
        await asked;
        other.end();
        vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
        const closed = running.listener.close();
        await vi.advanceTimersByTimeAsync(limits.smtp.closeTimeoutMs);
        await closed;
        const told = await client.toEnd();
        expect(told.at(-1)).toMatch(/^421 4\.3\.2/);
        if (isMessage) expect(told.at(-2)).toMatch(/^451 4\.4\.2/);
        await until(() => running.upstream.open.size === 0 && running.held.spools === 0);
        expect(defects(running)).toEqual([]);
      });

      test('its time is over', async () => {
        const { running, asked } = await startSilent(start, kind, silent);
        const other = await beside(running);
        vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
        const client = await say(running, said, other);
        await asked;
        const told = await passing(client.toEnd(), limits.smtp.upstreamEndOfDataTimeoutMs);
        expect(told.at(-1)).toMatch(/^421 4\.4\.[12]/);
        vi.useRealTimers();
        await nextMail(running);
        other.end();
        await nothingIsLeft(running);
      });
    },
  );
}
