import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { mailOf, recipientsOf, SENDER } from './numbered-mail.ts';

/** What became of the mails as their sender sees it. */
export type Sent = {
  /** Answered with 250. */
  accepted: Set<number>;
  /** Refused for good, with the reply: none should be. */
  refused: Map<number, string>;
  /** Attempts of which the end is not known: the connection was lost behind the end of data. */
  unknown: number;
  /** Attempts that were told to come again. */
  deferred: number;
};

/**
 * A client like any other: it sends each mail until it has heard 250, and calls again when the connection is lost.
 *
 * @param next the number of the next mail; null: there is none
 * @param options.pause of each connection behind a mail, milliseconds
 */
export async function sendAll(
  port: number,
  next: () => number | null,
  { lanes, pause }: { lanes: number; pause: number },
): Promise<Sent> {
  const sent: Sent = { accepted: new Set(), refused: new Map(), unknown: 0, deferred: 0 };
  const lane = async (): Promise<void> => {
    let connection: Connection | null = null;
    for (let number = next(); number !== null; number = next()) {
      for (let settled = false; !settled; ) {
        try {
          connection ??= await Connection.open(port);
          settled = note(await connection.send(number), number, sent);
        } catch (error) {
          if (!(error instanceof Lost)) throw error;
          if (error.behindTheEnd) sent.unknown++;
          connection?.close();
          connection = null;
          await sleep(20);
        }
      }
      if (pause > 0) await sleep(pause);
    }
    connection?.close();
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return sent;
}

/** Whether that was the last of it. */
function note(reply: string, number: number, sent: Sent): boolean {
  if (reply.startsWith('250')) sent.accepted.add(number);
  else if (reply.startsWith('5')) sent.refused.set(number, reply);
  else {
    sent.deferred++;
    return false;
  }
  return true;
}

class Lost extends Error {
  /** Whether the end of data had been sent. */
  readonly behindTheEnd: boolean;
  constructor(behindTheEnd: boolean) {
    super('the connection was lost');
    this.behindTheEnd = behindTheEnd;
  }
}

class Connection {
  readonly #socket: Socket;
  #unread = '';
  #wake: (() => void) | null = null;
  #gone = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (text: Buffer) => {
      this.#unread += text.toString('latin1');
      this.#wake?.();
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.#gone = true;
      this.#wake?.();
    });
  }

  static async open(port: number): Promise<Connection> {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
    } catch {
      throw new Lost(false);
    }
    const connection = new Connection(socket);
    for (const command of ['', 'EHLO client.sealgate.test\r\n']) {
      socket.write(command);
      if (!(await connection.#reply(false)).startsWith('2')) throw new Lost(false);
    }
    return connection;
  }

  /** The reply that settles it. */
  async send(number: number): Promise<string> {
    const recipients = recipientsOf(number);
    const commands = [`MAIL FROM:<${SENDER}>`, ...recipients.map((one) => `RCPT TO:<${one}>`), 'DATA'];
    this.#socket.write(`${commands.join('\r\n')}\r\n`);
    const replies: string[] = [];
    for (const _ of commands) replies.push(await this.#reply(false));
    const go = replies.at(-1) ?? '';
    const refusal = replies.slice(0, -1).find((one) => !one.startsWith('2'));
    if (!go.startsWith('354')) {
      this.#socket.write('RSET\r\n');
      await this.#reply(false);
      return refusal ?? go;
    }
    // The others' part of the mail must not leave without this one's.
    if (refusal !== undefined) throw new Lost(false);
    this.#socket.write(`${mailOf(number)}.\r\n`);
    return this.#reply(true);
  }

  close(): void {
    this.#socket.destroy();
  }

  async #reply(behindTheEnd: boolean): Promise<string> {
    for (;;) {
      const end = /^(?:\d{3}-[^\r\n]*\r\n)*\d{3} [^\r\n]*\r\n/.exec(this.#unread)?.[0];
      if (end !== undefined) {
        this.#unread = this.#unread.slice(end.length);
        if (end.startsWith('421')) throw new Lost(false);
        return end.trimEnd().split('\r\n').at(-1) ?? '';
      }
      if (this.#gone) throw new Lost(behindTheEnd);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
