import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

/** One end of a POP3 connection that says exactly what a test says, and reads octets. */
export class Conversation {
  readonly socket: Socket;
  #chunks: Buffer[] = [];
  #length = 0;
  #wake: (() => void) | null = null;
  #ended = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#length += chunk.length;
      this.#wake?.();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake?.();
    };
    for (const event of ['end', 'close', 'error']) socket.on(event, end);
  }

  /** A client that has been greeted. */
  static async open(port: number): Promise<Conversation> {
    const socket = connect(port, '127.0.0.1');
    socket.setNoDelay(true);
    await once(socket, 'connect');
    const conversation = new Conversation(socket);
    await conversation.line();
    return conversation;
  }

  /** The same over TLS from the first octet, logged in. */
  static async loginTls(
    port: number,
    ca: string,
    { login, password }: { login: string; password: string },
  ): Promise<Conversation> {
    const socket = connectTls({ host: '127.0.0.1', port, servername: 'localhost', ca });
    await once(socket, 'secureConnect');
    const client = new Conversation(socket);
    await client.line();
    await client.ask(`USER ${login}`);
    const answer = await client.ask(`PASS ${password}`);
    if (!answer.startsWith('+OK')) throw new Error(answer);
    return client;
  }

  static async login(port: number, user = 'bob@example.org', password = 'secret'): Promise<Conversation> {
    const client = await Conversation.open(port);
    await client.ask(`USER ${user}`);
    const answer = await client.ask(`PASS ${password}`);
    if (!answer.startsWith('+OK')) throw new Error(answer);
    return client;
  }

  send(octets: string | Buffer): void {
    this.socket.write(typeof octets === 'string' ? Buffer.from(octets, 'latin1') : octets);
  }

  /** Sends a command; the first line of its answer. */
  async ask(command: string): Promise<string> {
    this.send(`${command}\r\n`);
    return this.line();
  }

  /** Sends a command with a longer answer; its octets as they are without byte-stuffing. */
  async fetch(command: string): Promise<Buffer> {
    const status = await this.ask(command);
    if (!status.startsWith('+OK')) throw new Error(status);
    return this.message();
  }

  /** The next line without its CRLF. */
  async line(): Promise<string> {
    const octets = await this.#take((received) => {
      const end = received.indexOf('\r\n');
      return end === -1 ? null : end + 2;
    });
    return octets.toString('latin1', 0, octets.length - 2);
  }

  /** The rest of a longer answer, up to its terminating line. */
  async message(): Promise<Buffer> {
    const stuffed = await this.stuffed();
    return Buffer.from(stuffed.toString('latin1').replace(/(^|\r\n)\./g, '$1'), 'latin1');
  }

  /** The same as it came, without the terminating line. */
  async stuffed(): Promise<Buffer> {
    const octets = await this.#take((received) => {
      if (received.subarray(0, 3).toString('latin1') === '.\r\n') return 3;
      const end = received.indexOf('\r\n.\r\n');
      return end === -1 ? null : end + 5;
    });
    return octets.subarray(0, octets.length - 3);
  }

  /** Waits until that many octets have come, and leaves them. */
  async has(octets: number): Promise<void> {
    while (this.#length < octets) {
      if (this.#ended) throw new Error(`ended: ${this.waiting}`);
      await this.#more();
    }
  }

  /** Everything up to the end of the connection. */
  async rest(): Promise<string> {
    while (!this.#ended) await this.#more();
    return this.waiting;
  }

  /** What has arrived and was not taken. */
  get waiting(): string {
    return this.#received().toString('latin1');
  }

  close(): void {
    this.socket.destroy();
  }

  async #take(length: (received: Buffer) => number | null): Promise<Buffer> {
    for (;;) {
      const received = this.#received();
      const found = length(received);
      if (found !== null) {
        this.#chunks = [received.subarray(found)];
        this.#length -= found;
        return received.subarray(0, found);
      }
      if (this.#ended) throw new Error(`ended in the middle: ${this.waiting.slice(-300)}`);
      await this.#more();
    }
  }

  #received(): Buffer {
    const whole = Buffer.concat(this.#chunks);
    this.#chunks = [whole];
    return whole;
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = null;
        resolve();
      };
    });
  }
}
