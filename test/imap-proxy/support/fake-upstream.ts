import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { ImapConversation } from './imap-conversation.ts';

/** A mail server that says what a test says. */
export class FakeUpstream {
  readonly #server: Server;
  readonly #waiting: Socket[] = [];
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      this.#waiting.push(socket);
      this.#sockets.add(socket);
    });
  }

  static async start(): Promise<FakeUpstream> {
    const server = createServer({ noDelay: true });
    const upstream = new FakeUpstream(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return upstream;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The next connection, nothing said yet. `over`: what is laid on it. */
  async accept(over: (socket: Socket) => Socket = (socket) => socket): Promise<ImapConversation> {
    while (this.#waiting.length === 0) await once(this.#server, 'connection');
    const socket = this.#waiting.shift();
    if (socket === undefined) throw new Error('no connection');
    return new ImapConversation(over(socket));
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

export const CAPABILITIES = 'IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL+ IDLE ENABLE UIDPLUS';

/** Both ends of a logged-in session through a proxy on `port`. */
export async function loggedIn(
  upstream: FakeUpstream,
  port: number,
  capabilities = CAPABILITIES,
): Promise<{ client: ImapConversation; server: ImapConversation }> {
  const opening = ImapConversation.open(port);
  const server = await upstream.accept();
  server.send(`* OK [CAPABILITY ${capabilities}] hello\r\n`);
  const client = await opening;
  client.send('l LOGIN bob@example.org secret\r\n');
  await server.until(/^l AUTHENTICATE PLAIN [^\r\n]*\r\n/);
  server.send('l OK in\r\n');
  await client.until(/l OK in\r\n/);
  return { client, server };
}
