import { createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import { MessageCollector } from '../../../src/smtp/dot-stuffing.ts';

/** What the fake does with one command: the text to send (CRLF included), or one of its deaths. */
export type Act = string | { close: true } | { say: string; thenClose: true };

export type FakeOptions = {
  /** RFC 2033: what follows the end of data is for the script to say. */
  protocol?: 'lmtp';
  /** EHLO keywords. */
  keywords?: readonly string[];
  /** Replies by command prefix, upper case (`MAIL`, `RCPT TO:<B@`); first match wins. `END` is the end of data, `GREETING` the beginning. */
  script?: Readonly<Record<string, Act | ((line: string, connection: number) => Act)>>;
  tls?: { cert: string; key: string };
  /** TLS from the first octet. */
  implicit?: boolean;
  /** Where it listens, in place of 127.0.0.1 and a port of the system's choice. */
  place?: { host: string; port: number };
};

export type FakeUpstream = {
  port: number;
  /** Every command line of all connections, in order. */
  commands: string[];
  /** Octets of one `data` event each, as text: what came in one segment. */
  segments: string[];
  /** Messages whose end of data was answered with 2xx. */
  accepted: { from: string; to: string[]; octets: Buffer }[];
  /** Connections that have been opened. */
  connections: number;
  open: Set<Socket>;
  /** What lies above each of them where it is secured. */
  secured: Map<Socket, TLSSocket>;
  close(): Promise<void>;
};

export const KEYWORDS = [
  'PIPELINING',
  'SIZE 10485760',
  '8BITMIME',
  'SMTPUTF8',
  'DSN',
  'ENHANCEDSTATUSCODES',
  'AUTH PLAIN LOGIN XOAUTH2 OAUTHBEARER',
  'CHUNKING',
  'BINARYMIME',
];

const DEFAULTS: Readonly<Record<string, string>> = {
  GREETING: '220 upstream.test ESMTP\r\n',
  'AUTH LOGIN': '334 VXNlcm5hbWU6\r\n',
  AUTH: '235 2.7.0 upstream says welcome\r\n',
  MAIL: '250 2.1.0 upstream sender ok\r\n',
  RCPT: '250 2.1.5 upstream recipient ok\r\n',
  DATA: '354 go ahead\r\n',
  END: '250 2.0.0 upstream queued as 4711\r\n',
  RSET: '250 2.0.0 upstream reset\r\n',
  NOOP: '250 2.0.0 upstream noop\r\n',
  QUIT: '221 2.0.0 bye\r\n',
  STARTTLS: '220 2.0.0 go\r\n',
};

/** A server that answers by script, and remembers what it was told. */
export async function fakeUpstream(options: FakeOptions = {}): Promise<FakeUpstream> {
  const fake: Omit<FakeUpstream, 'port' | 'close'> = {
    commands: [],
    segments: [],
    accepted: [],
    connections: 0,
    open: new Set(),
    secured: new Map(),
  };
  const server: Server = createServer({ noDelay: true }, (raw) => {
    const connection = ++fake.connections;
    fake.open.add(raw);
    raw.on('close', () => {
      fake.open.delete(raw);
      fake.secured.delete(raw);
    });
    raw.on('error', () => raw.destroy());
    let socket: Socket = raw;
    let unread = '';
    let transaction: { from: string; to: string[] } = { from: '', to: [] };
    let collector: MessageCollector | null = null;
    let saslSteps = 0;

    const act = (key: string, line: string): string => {
      const entry = Object.entries(options.script ?? {}).find(([prefix]) =>
        key.toUpperCase().startsWith(prefix),
      );
      const given = entry?.[1];
      let what: Act | undefined = typeof given === 'function' ? given(line, connection) : given;
      if (what === undefined && key.startsWith(options.protocol === 'lmtp' ? 'LHLO' : 'EHLO')) {
        const lines = ['upstream.test', ...(options.keywords ?? KEYWORDS)];
        what = lines.map((text, i) => `250${i === lines.length - 1 ? ' ' : '-'}${text}\r\n`).join('');
      }
      what ??= Object.entries(DEFAULTS).find(([prefix]) => key.toUpperCase().startsWith(prefix))?.[1];
      what ??= '500 5.5.1 upstream does not understand\r\n';
      if (typeof what === 'string') {
        if (what !== '') socket.write(what);
        return what;
      }
      if ('say' in what) socket.write(what.say, () => raw.destroy());
      else raw.destroy();
      return '';
    };
    const onLine = (line: string): void => {
      fake.commands.push(line);
      if (saslSteps > 0) {
        saslSteps--;
        if (saslSteps > 0) socket.write('334 UGFzc3dvcmQ6\r\n');
        else if (act('AUTH VERDICT', line).startsWith('334')) saslSteps = 1;
        return;
      }
      const said = act(line, line);
      if (/^AUTH LOGIN$/i.test(line) && said.startsWith('334')) saslSteps = 2;
      else if (/^AUTH/i.test(line) && said.startsWith('334')) saslSteps = 1;
      else if (/^MAIL/i.test(line) && said.startsWith('2')) transaction = { from: line, to: [] };
      else if (/^RCPT/i.test(line) && said.startsWith('2')) transaction.to.push(line);
      else if (/^RSET/i.test(line)) transaction = { from: '', to: [] };
      else if (/^DATA/i.test(line) && said.startsWith('354')) collector = new MessageCollector(1 << 28);
      else if (/^QUIT/i.test(line)) socket.end();
      else if (/^STARTTLS/i.test(line) && said.startsWith('220') && options.tls !== undefined) startTls();
    };
    const onData = (chunk: Buffer): void => {
      fake.segments.push(chunk.toString('latin1'));
      let rest: Buffer = chunk;
      while (rest.length > 0) {
        if (collector !== null) {
          const outcome = collector.push(rest);
          if (outcome.kind === 'more') return;
          const message = collector.collected();
          collector = null;
          rest = outcome.rest;
          if (act('END', '').startsWith('2') && message.kind === 'message') {
            fake.accepted.push({ ...transaction, octets: message.octets });
          }
          transaction = { from: '', to: [] };
          continue;
        }
        const lf = rest.indexOf(10);
        unread += rest.subarray(0, lf === -1 ? rest.length : lf + 1).toString('latin1');
        rest = lf === -1 ? rest.subarray(rest.length) : rest.subarray(lf + 1);
        if (unread.endsWith('\n')) {
          const line = unread.replace(/\r\n$/, '');
          unread = '';
          onLine(line);
        }
      }
    };
    const startTls = (): void => {
      if (options.tls === undefined) throw new Error('no TLS material');
      raw.off('data', onData);
      const tls = new TLSSocket(raw, { isServer: true, secureContext: createSecureContext(options.tls) });
      tls.on('error', () => raw.destroy());
      tls.on('data', onData);
      fake.secured.set(raw, tls);
      socket = tls;
    };
    if (options.implicit === true) {
      startTls();
      (socket as TLSSocket).once('secure', () => act('GREETING', ''));
    } else {
      raw.on('data', onData);
      act('GREETING', '');
    }
  });
  await new Promise<void>((resolve) =>
    server.listen(options.place?.port ?? 0, options.place?.host ?? '127.0.0.1', resolve),
  );
  const address = server.address();
  return Object.assign(fake, {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of fake.open) socket.destroy();
      await closed;
    },
  });
}
