import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A client that says exactly what a test says, and reads raw octets. */
export class ImapConversation {
  readonly #socket: Socket;
  #received = Buffer.alloc(0);
  #wake: (() => void) | null = null;
  #ended = false;
  #tag = 0;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
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

  static async open(port: number): Promise<ImapConversation> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.setNoDelay(true);
    const conversation = new ImapConversation(socket);
    await conversation.until(/^\* .*\r\n/);
    return conversation;
  }

  static async login(port: number, user: string, password: string): Promise<ImapConversation> {
    const conversation = await ImapConversation.open(port);
    await conversation.command(`LOGIN ${user} ${password}`);
    return conversation;
  }

  get socket(): Socket {
    return this.#socket;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** What has arrived and was not taken. */
  get waiting(): string {
    return this.#received.toString('latin1');
  }

  send(octets: string | Buffer): void {
    this.#socket.write(typeof octets === 'string' ? Buffer.from(octets, 'latin1') : octets);
  }

  /** Takes what matches, from the beginning; waits for it. Throws when the connection ends before. */
  async until(pattern: RegExp): Promise<string> {
    for (;;) {
      const text = this.#received.toString('latin1');
      const found = pattern.exec(text);
      if (found !== null) {
        const taken = text.slice(0, found.index + found[0].length);
        this.#received = this.#received.subarray(taken.length);
        return taken;
      }
      if (this.#ended) throw new Error(`ended before ${pattern}: ${text.slice(-500)}`);
      await this.#more();
    }
  }

  /** Everything up to the end of the connection. */
  async rest(): Promise<string> {
    while (!this.#ended) await this.#more();
    return this.#received.toString('latin1');
  }

  /** Sends a command with a tag of its own; returns all up to and including its tagged response. */
  async command(text: string): Promise<string> {
    const tag = `c${++this.#tag}`;
    this.send(`${tag} ${text}\r\n`);
    return await this.until(new RegExp(`(?:^|\\r\\n)${tag} (?:OK|NO|BAD)[^\\r\\n]*\\r\\n`));
  }

  close(): void {
    this.#socket.destroy();
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

/** The octets of the first literal after `label` in a response. */
export function literalAfter(response: string, label: string): string {
  const at = response.indexOf(label);
  const found = at === -1 ? null : /\{([0-9]+)\}\r\n/.exec(response.slice(at));
  if (found === null) throw new Error(`no literal after ${label} in ${response.slice(0, 300)}`);
  const start = at + found.index + found[0].length;
  return response.slice(start, start + Number(found[1]));
}

/** Octets as a literal (RFC 9051 §4.3). */
export function literal(octets: string | Buffer): string {
  const text = octets.toString('latin1');
  return `{${text.length}}\r\n${text}`;
}
