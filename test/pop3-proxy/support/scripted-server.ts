import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import { stuffed } from '../../../src/smtp/dot-stuffing.ts';

export type ScriptedMessage = { octets: Buffer; uidl: string };

/** What a test may change of it. */
export type Script = {
  greeting?: string;
  /** null: CAPA is refused. */
  capabilities?: readonly string[] | null;
  /** What it says instead to a command; null: what it would say anyway. */
  answer?(command: string, socket: Socket): string | Buffer | null;
  /** Octets of messages as they are to be sent, terminating line included, where they are not in the grammar. */
  raw?: ReadonlyMap<number, Buffer>;
  /** Writes so many octets at a time. */
  piece?: number;
  /** Writes in its place, one answer after another. Then QUIT does not end the connection. */
  write?(octets: Buffer, socket: Socket): void;
  tls?: 'implicit' | 'starttls';
  /** For TLS. */
  material?: { cert: string; key: string };
};

export const CAPABILITIES = [
  'TOP',
  'UIDL',
  'RESP-CODES',
  'PIPELINING',
  'AUTH-RESP-CODE',
  'USER',
  'SASL PLAIN',
];

/** A small POP3 server without any storage: what it holds is in memory, and what it was told can be looked at. */
export class ScriptedServer {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #beneath = new WeakMap<Socket, Socket>();
  readonly #script: Script;
  messages: (ScriptedMessage | null)[];
  readonly commands: string[] = [];
  /** How each connection ended: with QUIT, or without. */
  readonly ends: ('quit' | 'cut')[] = [];
  #wake: (() => void)[] = [];

  private constructor(server: Server, messages: readonly ScriptedMessage[], script: Script) {
    this.#server = server;
    this.#script = script;
    this.messages = [...messages];
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      let quit = false;
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        this.ends.push(quit ? 'quit' : 'cut');
        this.#changed();
      });
      const quits = (): void => {
        quit = true;
      };
      if (script.tls === 'implicit') {
        const secured = this.#secured(socket);
        this.#greet(secured);
        this.#serve(secured, quits);
        return;
      }
      this.#greet(socket);
      this.#serve(socket, quits);
    });
  }

  static async start(messages: readonly ScriptedMessage[], script: Script = {}): Promise<ScriptedServer> {
    const server = createServer({ noDelay: true });
    const scripted = new ScriptedServer(server, messages, script);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return scripted;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The TCP connection under TLS. */
  beneath(socket: Socket): Socket {
    return this.#beneath.get(socket) ?? socket;
  }

  async told(pattern: RegExp): Promise<void> {
    while (!this.commands.some((command) => pattern.test(command))) await this.#news();
  }

  async ended(count = 1): Promise<void> {
    while (this.ends.length < count) await this.#news();
  }

  /** Cuts all connections. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #news(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  #changed(): void {
    const wake = this.#wake;
    this.#wake = [];
    for (const resolve of wake) resolve();
  }

  #secured(socket: Socket): TLSSocket {
    const secureContext = createSecureContext(this.#script.material);
    const secured = new TLSSocket(socket, { isServer: true, secureContext });
    this.#beneath.set(secured, socket);
    secured.on('error', () => undefined);
    return secured;
  }

  #greet(socket: Socket): void {
    socket.write(this.#script.greeting ?? '+OK hello <1896.697170952@dbc.mtview.ca.us>\r\n');
  }

  #serve(socket: Socket, quits: () => void): void {
    const deleted = new Set<number>();
    let begun = '';
    const take = (chunk: Buffer): void => {
      begun += chunk.toString('latin1');
      for (let end = begun.indexOf('\r\n'); end !== -1; end = begun.indexOf('\r\n')) {
        const command = begun.slice(0, end);
        begun = begun.slice(end + 2);
        this.commands.push(command);
        if (command === 'STLS' && this.#script.tls === 'starttls') {
          socket.off('data', take);
          socket.write('+OK begin\r\n');
          this.#serve(this.#secured(socket), quits);
          this.#changed();
          return;
        }
        const octets = this.#script.answer?.(command, socket) ?? this.#answer(command, deleted);
        this.#write(socket, typeof octets === 'string' ? Buffer.from(octets, 'latin1') : octets);
        if (/^QUIT$/i.test(command)) {
          quits();
          if (this.#script.write === undefined) socket.end();
        }
        this.#changed();
      }
    };
    socket.on('data', take);
  }

  #write(socket: Socket, octets: Buffer): void {
    const { piece = octets.length, write } = this.#script;
    if (write !== undefined) write(octets, socket);
    else for (let at = 0; at < octets.length; at += piece) socket.write(octets.subarray(at, at + piece));
  }

  #answer(command: string, deleted: Set<number>): string | Buffer {
    const [verb = '', first, second] = command.split(' ');
    const number = Number(first);
    const message = deleted.has(number) ? null : (this.messages[number - 1] ?? null);
    const all = this.messages.flatMap((each, i) =>
      each === null || deleted.has(i + 1) ? [] : [{ ...each, n: i + 1 }],
    );
    const total = all.reduce((sum, { octets }) => sum + octets.length, 0);
    const none = '-ERR no such message\r\n';
    switch (verb.toUpperCase()) {
      case 'CAPA': {
        const { capabilities = CAPABILITIES } = this.#script;
        return capabilities === null ? '-ERR what?\r\n' : ['+OK', ...capabilities, '.', ''].join('\r\n');
      }
      case 'USER':
      case 'NOOP':
        return '+OK\r\n';
      case 'PASS':
      case 'AUTH':
        return '+OK logged in\r\n';
      case 'STAT':
        return `+OK ${all.length} ${total}\r\n`;
      case 'LIST':
        if (first === undefined)
          return `+OK ${all.length} messages\r\n${all.map(({ n, octets }) => `${n} ${octets.length}\r\n`).join('')}.\r\n`;
        return message === null ? none : `+OK ${number} ${message.octets.length}\r\n`;
      case 'UIDL':
        if (first === undefined)
          return `+OK\r\n${all.map(({ n, uidl }) => `${n} ${uidl}\r\n`).join('')}.\r\n`;
        return message === null ? none : `+OK ${number} ${message.uidl}\r\n`;
      case 'RETR':
        if (message === null) return none;
        return this.#message(number, message.octets, `+OK ${message.octets.length} octets\r\n`);
      case 'TOP':
        if (message === null) return none;
        return this.#message(number, topOf(message.octets, Number(second)), '+OK\r\n');
      case 'DELE':
        if (message === null) return none;
        deleted.add(number);
        return '+OK marked\r\n';
      case 'RSET':
        deleted.clear();
        return '+OK\r\n';
      case 'QUIT':
        for (const n of deleted) this.messages[n - 1] = null;
        return '+OK bye\r\n';
      default:
        return '-ERR unknown command\r\n';
    }
  }

  #message(number: number, octets: Buffer, status: string): Buffer {
    const raw = this.#script.raw?.get(number);
    const sent = raw === undefined ? (stuffed(octets) ?? [octets, Buffer.from('\r\n.\r\n')]) : [raw];
    return Buffer.concat([Buffer.from(status), ...sent]);
  }
}

/** The header, the empty line and so many lines. */
export function topOf(octets: Buffer, lines: number): Buffer {
  const text = octets.toString('latin1');
  const body = text.indexOf('\r\n\r\n') + 4;
  let end = body;
  for (let left = lines; left > 0 && end < text.length; left--) {
    const line = text.indexOf('\r\n', end);
    end = line === -1 ? text.length : line + 2;
  }
  return octets.subarray(0, end);
}
