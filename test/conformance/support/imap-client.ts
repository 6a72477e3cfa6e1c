import { once } from 'node:events';
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type Fetched, fetched, type Response, ResponseReader } from './imap-response.ts';

export type Answer = {
  /** Of the tagged response. */
  status: 'OK' | 'NO' | 'BAD';
  text: string;
  untagged: Response[];
};

/** What a command is made of: Buffers are sent as non-synchronising literals. */
export type Piece = string | Buffer;

/** A client that says exactly what a test says, and takes answers of any size. */
export class ImapClient {
  readonly socket: Socket;
  readonly #reader = new ResponseReader();
  #wake: (() => void) | null = null;
  #ended = false;
  #tag = 0;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.#reader.add(chunk);
      this.#wake?.();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake?.();
    };
    socket.on('end', end);
    socket.on('close', end);
    socket.on('error', end);
  }

  /** @param ca of implicit TLS; without it the connection is in the clear. */
  static async open(port: number, ca?: string): Promise<ImapClient> {
    const socket =
      ca === undefined
        ? connectPlain(port, '127.0.0.1')
        : connectTls({ host: '127.0.0.1', port, ca, servername: 'localhost' });
    const client = new ImapClient(socket);
    await once(socket, ca === undefined ? 'connect' : 'secureConnect');
    await client.response();
    return client;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Octets that have come and are no whole response. */
  get unfinished(): Buffer {
    return this.#reader.unfinished;
  }

  async login(login: string, password: string): Promise<void> {
    const { status, text } = await this.command(`LOGIN "${login}" "${password}"`);
    if (status !== 'OK') throw new Error(`login: ${status} ${text}`);
  }

  /** The next response; rejects when the connection ends before it. */
  async response(): Promise<Response> {
    for (;;) {
      const response = this.#reader.next();
      if (response !== null) return response;
      if (this.#ended)
        throw new Error(`ended after ${this.#reader.unfinished.toString('latin1').slice(0, 200)}`);
      await new Promise<void>((resolve) => {
        this.#wake = () => {
          this.#wake = null;
          resolve();
        };
      });
    }
  }

  /** Responses up to the end of the connection. */
  async rest(): Promise<Response[]> {
    const responses: Response[] = [];
    for (;;) {
      try {
        responses.push(await this.response());
      } catch (error) {
        if (this.#ended) return responses;
        throw error;
      }
    }
  }

  /** Sends a command; its tag. */
  send(...pieces: readonly Piece[]): string {
    const tag = `t${++this.#tag}`;
    const octets: Buffer[] = [Buffer.from(`${tag} `)];
    for (const piece of pieces) {
      if (typeof piece === 'string') octets.push(Buffer.from(piece, 'latin1'));
      else octets.push(Buffer.from(`{${piece.length}+}\r\n`), piece);
    }
    this.socket.write(Buffer.concat([...octets, Buffer.from('\r\n')]));
    return tag;
  }

  /** Everything up to the tagged response. */
  async answer(tag: string): Promise<Answer> {
    const untagged: Response[] = [];
    for (;;) {
      const response = await this.response();
      if (response.tag === tag) {
        const found = /^(OK|NO|BAD)(?: (.*))?$/s.exec(response.text);
        if (found === null) throw new Error(`no status: ${response.text}`);
        return { status: found[1] as Answer['status'], text: found[2] ?? '', untagged };
      }
      untagged.push(response);
    }
  }

  async command(...pieces: readonly Piece[]): Promise<Answer> {
    return await this.answer(this.send(...pieces));
  }

  /** A command that has to succeed. */
  async ok(...pieces: readonly Piece[]): Promise<Answer> {
    const answer = await this.command(...pieces);
    if (answer.status !== 'OK')
      throw new Error(`${String(pieces[0]).slice(0, 100)}: ${answer.status} ${answer.text}`);
    return answer;
  }

  /** Makes a mailbox where there is none of the name. */
  async create(mailbox: string): Promise<void> {
    const { status, text } = await this.command(`CREATE ${mailbox}`);
    if (status !== 'OK' && !text.includes('ALREADYEXISTS')) throw new Error(`CREATE ${mailbox}: ${text}`);
  }

  /** `FETCH …` or `UID FETCH …` that has to succeed: its FETCH responses. */
  async fetch(command: string): Promise<Fetched[]> {
    const { untagged } = await this.ok(command);
    return untagged.flatMap((response) => fetched(response) ?? []);
  }

  /** The one octet string that one item of one message is; NIL is nothing. */
  async item(uid: number, item: string): Promise<Buffer> {
    const all = await this.fetch(`UID FETCH ${uid} (${item})`);
    const label = item
      .replace('.PEEK', '')
      .replace(/<(\d+)\.\d+>$/, '<$1>')
      .toUpperCase();
    const value = all.find(({ items }) => items.has(label))?.items.get(label);
    if (Buffer.isBuffer(value)) return value;
    throw new Error(`no ${label} of message ${uid}: ${JSON.stringify(value)}`);
  }

  /** Puts octets into a mailbox; the new UID. */
  async append(mailbox: string, octets: Buffer, flags = ''): Promise<number> {
    const { text } = await this.ok(`APPEND ${mailbox} ${flags === '' ? '' : `(${flags}) `}`, octets);
    const uid = /\[APPENDUID [0-9]+ ([0-9]+)\]/.exec(text)?.[1];
    if (uid === undefined) throw new Error(`no APPENDUID: ${text}`);
    return Number(uid);
  }

  close(): void {
    this.socket.destroy();
  }
}
