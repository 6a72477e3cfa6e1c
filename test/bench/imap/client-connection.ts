import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { ResponseReader } from './response-reader.ts';

export type Server = {
  port: number;
  /** Name for which the certificate is, and the authority, PEM; null: without TLS. */
  tls: { servername: string; ca: string } | null;
};

export type Login = { login: string; password: string };

/** Octets that are read at a time, into memory that is used again and again. */
const READ_OCTETS = 256 * 1024;

/**
 * One raw connection to an IMAP server, one command at a time. Without TLS, `octetsASecond` makes a slow reader: what it has
 * not taken waits in the system and then in the server.
 */
export class ClientConnection {
  readonly #socket: Socket;
  readonly #reader: ResponseReader;
  #answer: { resolve(line: string): void; reject(error: Error): void } | null = null;
  #lost: Error | null = null;
  #greeted: () => void = () => undefined;

  constructor(server: Server, octetsASecond: number | null = null) {
    this.#reader = new ResponseReader((line) => this.#tagged(line));
    const slow = octetsASecond === null ? null : new Pace(octetsASecond);
    const pool = Buffer.allocUnsafe(slow === null ? READ_OCTETS : 16 * 1024);
    const onread = {
      buffer: pool,
      callback: (count: number): boolean => {
        this.#reader.push(pool.subarray(0, count));
        this.#greeted();
        if (slow === null) return true;
        const wait = slow.waitAfter(count);
        if (wait === 0) return true;
        setTimeout(() => this.#socket.resume(), wait);
        return false;
      },
    };
    const place = { host: '127.0.0.1', port: server.port, noDelay: true, onread };
    this.#socket = server.tls === null ? connect(place) : connectTls({ ...place, ...server.tls });
    this.#socket.on('error', (error) => this.#lose(error));
    this.#socket.on('close', () => this.#lose(new Error('the server closed the connection')));
  }

  get counts(): ResponseReader['counts'] {
    return this.#reader.counts;
  }

  async greeting(): Promise<void> {
    if (this.counts.untagged > 0) return;
    await new Promise<void>((resolve, reject) => {
      this.#greeted = () => {
        if (this.counts.untagged > 0) resolve();
      };
      this.#answer = { resolve: () => undefined, reject };
    });
    this.#greeted = () => undefined;
    this.#answer = null;
  }

  /** Resolves with the tagged answer, or the continuation request. Rejects when it is not OK. */
  async command(text: string): Promise<string> {
    const line = await this.#ask(`T ${text}\r\n`);
    if (!line.startsWith('T OK') && !line.startsWith('+')) throw new Error(`${text.slice(0, 60)}: ${line}`);
    return line;
  }

  /** Logs in and selects. */
  async open({ login, password }: Login, mailbox: string): Promise<void> {
    await this.greeting();
    await this.command(`LOGIN "${login}" "${password}"`);
    await this.command(`SELECT "${mailbox}"`);
  }

  close(): void {
    this.#socket.removeAllListeners('close');
    this.#socket.destroy();
  }

  #ask(text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      if (this.#lost !== null) return reject(this.#lost);
      this.#answer = { resolve, reject };
      this.#socket.write(text, 'latin1');
    });
  }

  #tagged(line: string): void {
    const answer = this.#answer;
    this.#answer = null;
    answer?.resolve(line);
  }

  #lose(error: Error): void {
    this.#lost ??= error;
    this.#answer?.reject(error);
    this.#answer = null;
  }
}

/** How long a reader waits so that it takes so many octets a second. */
class Pace {
  readonly #octetsASecond: number;
  #since = 0;
  #taken = 0;

  constructor(octetsASecond: number) {
    this.#octetsASecond = octetsASecond;
  }

  /** Milliseconds. */
  waitAfter(count: number): number {
    if (this.#since === 0) this.#since = performance.now();
    this.#taken += count;
    const ahead = (this.#taken / this.#octetsASecond) * 1000 - (performance.now() - this.#since);
    return ahead > 5 ? ahead : 0;
  }
}
