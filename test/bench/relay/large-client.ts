import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createInterface, type Interface } from 'node:readline';
import { RECIPIENT, SENDER } from './load.ts';

/** A mail program with one connection. */
export class LargeClient {
  readonly #socket: Socket;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#reader = createInterface({ input: socket });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  static async connect(port: number): Promise<LargeClient> {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    await once(socket, 'connect');
    const client = new LargeClient(socket);
    await client.#expect(220);
    await client.command('EHLO client.sealgate.test', 250);
    return client;
  }

  async command(line: string, code: number): Promise<void> {
    this.#socket.write(`${line}\r\n`);
    await this.#expect(code);
  }

  /** @returns milliseconds from the end of data to its reply */
  async send(mail: LargeMail): Promise<number> {
    await this.command(`MAIL FROM:<${SENDER}> SIZE=${mail.length}`, 250);
    await this.command(`RCPT TO:<${RECIPIENT}>`, 250);
    await this.command('DATA', 354);
    for (const block of mail.blocks()) {
      if (!this.#socket.write(block)) await once(this.#socket, 'drain');
    }
    const ended = performance.now();
    await this.command('.', 250);
    return performance.now() - ended;
  }

  close(): void {
    this.#reader.close();
    this.#socket.destroy();
  }

  async #expect(code: number): Promise<void> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done === true) throw new Error('the gateway has closed the connection');
      if (!/^\d{3} /.test(value)) continue;
      if (!value.startsWith(String(code))) throw new Error(`${code} was expected, and not: ${value}`);
      return;
    }
  }
}

const BLOCK_LINES = 13_000;
const LINE_OCTETS = 78;

/** A text and an attachment in base64, about so many octets. The attachment is the same megabyte again and again. */
export class LargeMail {
  readonly length: number;
  readonly #head: Buffer;
  readonly #block: Buffer;
  readonly #times: number;
  readonly #tail = Buffer.from('--attached--\r\n');

  constructor(octets: number) {
    const header = [
      ...[`From: ${SENDER}`, `To: ${RECIPIENT}`, 'Subject: A large mail', 'MIME-Version: 1.0'],
      'Content-Type: multipart/mixed; boundary=attached',
    ];
    const text = ['--attached', 'Content-Type: text/plain; charset=utf-8', '', 'See what is attached.'];
    const attached = [
      ...['--attached', 'Content-Type: application/zip; name="all.zip"'],
      ...['Content-Transfer-Encoding: base64', 'Content-Disposition: attachment', ''],
    ];
    this.#head = Buffer.from(`${[...header, '', ...text, ...attached].join('\r\n')}\r\n`);
    const lines = Math.min(BLOCK_LINES, Math.ceil(octets / LINE_OCTETS));
    const base64 = randomBytes(lines * 57).toString('base64');
    this.#block = Buffer.from(base64.replace(/.{76}/g, '$&\r\n'));
    this.#times = Math.max(1, Math.round(octets / this.#block.length));
    this.length = this.#head.length + this.#times * this.#block.length + this.#tail.length;
  }

  *blocks(): Iterable<Buffer> {
    yield this.#head;
    for (let i = 0; i < this.#times; i++) yield this.#block;
    yield this.#tail;
  }
}
