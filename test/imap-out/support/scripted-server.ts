import { createServer, type Socket } from 'node:net';
import { type MailServer, prepareMailServer } from '../../../src/connections/mail-server.ts';

/** A mail server that does as a test says. */
export type ScriptedServer = AsyncDisposable & {
  server: MailServer;
  /** What each connection said, in their order. */
  heard: string[];
};

/** One connection: what the client says, octet by octet, and what it is told. */
export type Conversation = {
  say(text: string): void;
  /** @returns the next line without its CRLF; '' where the client has gone */
  line(): Promise<string>;
  octets(count: number): Promise<string>;
  end(): void;
};

/** @param allowHalfOpen it goes on where the client has said its last */
export async function scriptedServer(
  script: (conversation: Conversation, connection: number) => Promise<void>,
  tls: 'none' | 'starttls' = 'none',
  allowHalfOpen = false,
): Promise<ScriptedServer> {
  const heard: string[] = [];
  const sockets = new Set<Socket>();
  const listening = createServer({ allowHalfOpen, noDelay: true }, (socket) => {
    const connection = heard.push('') - 1;
    sockets.add(socket);
    let unread = '';
    let gone = false;
    let told: () => void = () => undefined;
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      heard[connection] += chunk.toString('latin1');
      unread += chunk.toString('latin1');
      told();
    });
    socket.on('close', () => {
      gone = true;
      sockets.delete(socket);
      told();
    });
    const take = async (length: () => number): Promise<string> => {
      for (;;) {
        const end = length();
        if (end >= 0) {
          const taken = unread.slice(0, end);
          unread = unread.slice(end);
          return taken;
        }
        if (gone) return '';
        await new Promise<void>((resolve) => {
          told = resolve;
        });
      }
    };
    void script(
      {
        say: (text) => void socket.write(Buffer.from(text, 'latin1')),
        line: async () => (await take(() => unread.indexOf('\n') + 1 || -1)).replace(/\r\n$/, ''),
        octets: (count) => take(() => (unread.length >= count ? count : -1)),
        end: () => void socket.end(),
      },
      connection,
    );
  });
  await new Promise<void>((resolve) => listening.listen(0, '127.0.0.1', resolve));
  const address = listening.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    heard,
    server: await prepareMailServer({ host: '127.0.0.1', port, tls }),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => listening.close(resolve));
    },
  };
}

/** Answers a login by `LOGIN` with literals, and no capability. */
export async function takeLogin({ say, line }: Conversation): Promise<void> {
  say('* OK [CAPABILITY IMAP4rev1] ready\r\n');
  await line();
  say('+ go on\r\n');
  await line();
  say('+ go on\r\n');
  await line();
  say('A1 OK [CAPABILITY IMAP4rev1] in\r\n');
}
