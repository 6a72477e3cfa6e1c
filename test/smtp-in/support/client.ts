import { connect, type Socket } from 'node:net';
import { connect as tlsConnect } from 'node:tls';

/** A client that speaks octets: sends what it is told, waits for what it expects. */
export class TestClient {
  socket: Socket;
  /** Under TLS. */
  readonly raw: Socket;
  #received = '';
  #waiting: (() => void) | null = null;
  closed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    this.raw = socket;
    this.#listen(socket);
  }

  #listen(socket: Socket): void {
    socket.on('data', (chunk) => {
      this.#received += chunk.toString('utf8');
      this.#waiting?.();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.closed = true;
      this.#waiting?.();
    });
  }

  static async open(port: number): Promise<TestClient> {
    const client = new TestClient(connect({ port, host: '127.0.0.1', noDelay: true }));
    await client.reply();
    return client;
  }

  static async openTls(port: number, ca: string): Promise<TestClient> {
    const client = new TestClient(tlsConnect({ port, host: '127.0.0.1', ca, servername: 'localhost' }));
    await client.reply();
    return client;
  }

  /** TLS from the first octet, on a connection that can be cut beneath it. */
  static async openSecured(port: number, ca: string): Promise<TestClient> {
    const client = new TestClient(connect({ port, host: '127.0.0.1', noDelay: true }));
    await client.secure(ca);
    await client.reply();
    return client;
  }

  /** What has been received and not been read. */
  get unread(): string {
    return this.#received;
  }

  send(text: string | Buffer): void {
    this.socket.write(text);
  }

  /** One octet per segment. */
  async trickle(text: string): Promise<void> {
    for (const octet of Buffer.from(text, 'utf8')) {
      await new Promise<void>((resolve) => this.socket.write(Buffer.of(octet), () => setImmediate(resolve)));
    }
  }

  /** The next whole reply without its final CRLF; null when the connection closes first. */
  async reply(): Promise<string | null> {
    for (;;) {
      const match = /^(?:\d{3}-[^\r\n]*\r\n)*\d{3} [^\r\n]*\r\n/.exec(this.#received);
      if (match !== null) {
        this.#received = this.#received.slice(match[0].length);
        return match[0].slice(0, -2);
      }
      if (this.closed) return null;
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
  }

  async ask(line: string): Promise<string | null> {
    this.send(`${line}\r\n`);
    return await this.reply();
  }

  /** Resolves when the server has closed; the replies that came before. */
  async toEnd(): Promise<string[]> {
    const replies: string[] = [];
    for (let reply = await this.reply(); reply !== null; reply = await this.reply()) replies.push(reply);
    return replies;
  }

  async secure(ca: string): Promise<void> {
    const raw = this.socket;
    raw.removeAllListeners('data');
    raw.removeAllListeners('close');
    this.#received = '';
    const tls = tlsConnect({ socket: raw, ca, servername: 'localhost' });
    this.socket = tls;
    this.#listen(tls);
    await new Promise<void>((resolve, reject) => {
      tls.once('secureConnect', resolve);
      tls.once('close', () => reject(new Error('closed in the handshake')));
    });
  }

  end(): void {
    this.socket.destroy();
  }
}

export const PLAIN = Buffer.from('\0alice@example.org\0opensesame').toString('base64');
