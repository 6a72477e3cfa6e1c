import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { newSessionId } from '../../../src/ids.ts';
import { MailboxViews } from '../../../src/imap-proxy/mailbox-views.ts';
import { runSession, type SessionParts } from '../../../src/imap-proxy/session.ts';
import { Wire } from '../../../src/imap-proxy/wire.ts';
import { limits } from '../../../src/limits.ts';
import { viewNames } from '../../../src/mail-view/view-names.ts';
import { encryptedSpool } from '../../../src/octets/encrypted-spool.ts';
import type { InboundStory } from '../../../src/pipeline/ports.ts';
import { Openings } from '../../../src/reading/openings.ts';
import { systemTimers } from '../../../src/reading/timers.ts';
import { principalNamed } from '../../support/principal.ts';

/** What a mail server says to each command that it gets; `TAG` stands for the command's tag. */
export type Script = { command: string; answers: readonly { to: RegExp; say: string }[] };

/** How a session's client saw it end. */
export type Heard = { text: string; end: 'closed' | 'reset' };

/** Where a mail server breaks off: after so many octets, with or without a reset. */
export type Break = { octets: number; reset: boolean };

/** Sessions after login whose mail server follows a script. */
export class ScriptedSessions {
  readonly #server: Server;
  readonly #accepted = new Map<number, Socket>();
  readonly #all = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      this.#accepted.set(socket.remotePort ?? 0, socket);
      this.#all.add(socket);
      socket.on('close', () => this.#all.delete(socket));
    });
  }

  static async start(): Promise<ScriptedSessions> {
    const server = createServer({ noDelay: true });
    // Each pair that is being made listens.
    server.setMaxListeners(0);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new ScriptedSessions(server);
  }

  async close(): Promise<void> {
    for (const socket of this.#all) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  /** One command; without `cut` the mail server ends when all was answered. */
  async run(script: Script, story: InboundStory, cut?: Break): Promise<Heard> {
    const [client, clientLeg] = await this.#pair();
    const [server, serverLeg] = await this.#pair();
    const tag = script.command.split(' ')[0] ?? '';
    const heard = new Listener(client);
    const session = runSession(partsOf(clientLeg, serverLeg, story));
    client.write(script.command);
    await follow(server, script, cut);
    if (cut === undefined) {
      await heard.until(`\r\n${tag} `);
      server.end();
    }
    const result = await heard.end();
    await session;
    for (const socket of [client, clientLeg, server, serverLeg]) socket.destroy();
    return result;
  }

  async #pair(): Promise<[Socket, Socket]> {
    const address = this.#server.address();
    const socket = connect(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1');
    await once(socket, 'connect');
    socket.setNoDelay(true);
    const port = socket.localPort ?? 0;
    for (;;) {
      const accepted = this.#accepted.get(port);
      this.#accepted.delete(port);
      if (accepted !== undefined) return [socket, accepted];
      await once(this.#server, 'connection');
    }
  }
}

/** Says what the script has; resolves when it has broken off or everything is said. */
async function follow(server: Socket, { answers }: Script, cut: Break | undefined): Promise<void> {
  const heard = new Listener(server);
  let left = cut?.octets ?? Number.POSITIVE_INFINITY;
  for (const { to, say } of answers) {
    const tag = await heard.command(to);
    if (tag === null) return;
    const octets = Buffer.from(say.replaceAll('TAG', tag), 'latin1');
    if (octets.length > left) {
      await new Promise<void>((resolve) => server.write(octets.subarray(0, left), () => resolve()));
      if (cut?.reset === true) server.resetAndDestroy();
      else server.end();
      return;
    }
    server.write(octets);
    left -= octets.length;
  }
  if (cut !== undefined) server.end();
}

/** Everything that one end gets. */
class Listener {
  readonly #socket: Socket;
  #text = '';
  #at = 0;
  #end: Heard['end'] | null = null;
  #wake: () => void = () => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#text += chunk.toString('latin1');
      this.#wake();
    });
    socket.on('error', () => this.#ended('reset'));
    socket.on('end', () => this.#ended('closed'));
    socket.on('close', () => this.#ended('closed'));
  }

  async until(text: string): Promise<void> {
    while (!`\r\n${this.#text}`.includes(text) && this.#end === null) await this.#more();
  }

  /** The tag of the next line, which has to match; null: there is none. */
  async command(pattern: RegExp): Promise<string | null> {
    for (;;) {
      const end = this.#text.indexOf('\r\n', this.#at);
      if (end !== -1) {
        const line = this.#text.slice(this.#at, end);
        if (!pattern.test(line)) throw new Error(`another command than ${pattern}: ${line}`);
        this.#at = end + 2;
        return line.split(' ')[0] ?? '';
      }
      if (this.#end !== null) return null;
      await this.#more();
    }
  }

  async end(): Promise<Heard> {
    while (this.#end === null) await this.#more();
    return { text: this.#text, end: this.#end };
  }

  #ended(how: Heard['end']): void {
    this.#end ??= how;
    this.#socket.destroy();
    this.#wake();
  }

  #more(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

function partsOf(client: Socket, upstream: Socket, story: InboundStory): SessionParts {
  const session = newSessionId();
  const log = { write: () => undefined };
  const timers = systemTimers;
  const views = new MailboxViews({
    ...{ session, story, log, timers, hasKeys: true, secret: Buffer.alloc(32, 7) },
    principal: principalNamed('bob@example.org'),
    names: viewNames('7f3a9c2e', 'gw.example.net'),
  });
  return {
    ...{
      session,
      views,
      log,
      timers,
      keyAway: 'refuse',
      search: { kind: 'opened' },
      storing: null,
      foreign: null,
      refreshing: null,
      keeping: null,
      told: null,
    },
    client: new Wire(client, 'client', limits.imap.clientLineOctets),
    upstream: new Wire(upstream, 'server', limits.imap.upstreamLineOctets),
    telling: { storesAtRest: false, hidden: new Set() },
    upstreamCapabilities: new Set(['LITERAL+']),
    spool: encryptedSpool(),
    openings: new Openings(),
    storing: null,
  };
}
