import { connect } from 'node:net';
import type { ImapListenerOptions } from '../../../src/imap-proxy/listener.ts';
import type { Timers } from '../../../src/reading/timers.ts';
import { FakeUpstream } from './fake-upstream.ts';
import type { ImapConversation } from './imap-conversation.ts';
import { startTestProxy, type TestProxy } from './listener.ts';
import { NumberedMailbox } from './numbered-mailbox.ts';
import { StrictClient } from './strict-client.ts';

const CAPABILITIES = 'IMAP4rev1 SASL-IR AUTH=PLAIN LITERAL+ IDLE ENABLE UIDPLUS MOVE SORT UNSELECT';

/** What a client says without its tag; `n` gives the number of a message that it means. */
export type Says = (n: (uid: number) => number) => string;

/** Who is slow in a session, and how. */
export type Pace = {
  /** Keys are open, or wait for somebody who types a PIN, or does not. */
  key: 'open' | 'typed' | 'refused';
  /** `together`: to all commands that are here, at once; `step by step`: one response after all else has been dealt with. */
  server: 'at once' | 'together' | 'step by step';
  /** How it says that messages have gone. */
  says: 'EXPUNGE' | 'VANISHED';
  /** Messages that others remove meanwhile, in this order. */
  removed: readonly number[];
};

/** Writes that are done one at a time, when nothing else goes on. */
export class SlowWrites {
  readonly #waiting: (() => void)[] = [];
  isSlow = false;

  write(): Promise<void> {
    if (!this.isSlow) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** false: nobody waits for one. */
  goOn(): boolean {
    const next = this.#waiting.shift();
    next?.();
    return next !== undefined;
  }
}

/** A second lasts no time, and so does a penalty; ten for ever. */
const quickTimers: Timers = {
  after(ms, run) {
    if (ms >= 10_000) return () => undefined;
    const timer = setImmediate(run);
    return () => clearImmediate(timer);
  },
  now: () => 0,
};

/** What has not come by then is told of as what never comes; milliseconds. */
const NEVER_MS = 5_000;
/** Turns of the event loop in which nobody has said anything: all has been dealt with, or waits. */
const QUIET_TURNS = 8;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/**
 * Commands that are sent together in a selected mailbox, in which others remove messages and bring some whenever they may.
 *
 * @param before what the client says and hears the end of first
 * @returns what no client may hear, or what it has in the place of what the mailbox has in the end
 */
export async function pipelined(
  commands: readonly Says[],
  pace: Pace,
  gateway: (writes: SlowWrites) => Partial<ImapListenerOptions>,
  before: readonly string[] = [],
): Promise<string[]> {
  const upstream = await FakeUpstream.start();
  const writes = new SlowWrites();
  const proxy = await startTestProxy(upstream.port, { timers: quickTimers, ...gateway(writes) });
  const socket = connect(proxy.port, '127.0.0.1').setNoDelay(true);
  const client = new StrictClient(socket);
  let timer: NodeJS.Timeout | undefined;
  try {
    const session = new PipelinedSession(proxy, client, await upstream.accept(), writes, pace);
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('it does not end')), NEVER_MS);
    });
    await Promise.race([session.run(before, commands), late]);
    const defect = proxy.events.find(
      ({ event }) => event === 'imap.protocol-error' || event === 'gateway.defect',
    );
    return defect === undefined ? client.wrong : [...client.wrong, JSON.stringify(defect)];
  } catch (error) {
    return [...client.wrong, String(error)];
  } finally {
    clearTimeout(timer);
    socket.destroy();
    writes.isSlow = false;
    while (writes.goOn());
    proxy.control.typed();
    await proxy.close();
    await upstream.close();
  }
}

class PipelinedSession {
  readonly #proxy: TestProxy;
  readonly #client: StrictClient;
  readonly #server: ImapConversation;
  readonly #writes: SlowWrites;
  readonly #pace: Pace;
  readonly #mailbox: NumberedMailbox;
  /** What the mail server says next. */
  #said = '';
  #hasSaid: () => void = () => undefined;
  #octets = 0;
  #isOver = false;

  constructor(
    proxy: TestProxy,
    client: StrictClient,
    server: ImapConversation,
    writes: SlowWrites,
    pace: Pace,
  ) {
    this.#proxy = proxy;
    this.#client = client;
    this.#server = server;
    this.#writes = writes;
    this.#pace = pace;
    this.#mailbox = new NumberedMailbox(pace.says);
    server.socket.on('data', (chunk: Buffer) => {
      this.#octets += chunk.length;
    });
  }

  async run(before: readonly string[], commands: readonly Says[]): Promise<void> {
    // It ends with its connection.
    this.#serve().catch(() => undefined);
    const slow = this.#goOnSlowly();
    try {
      await this.#converse(before, commands);
    } finally {
      this.#isOver = true;
      await slow;
    }
  }

  async #converse(before: readonly string[], commands: readonly Says[]): Promise<void> {
    const client = this.#client;
    const mailbox = this.#mailbox;
    const first = ['LOGIN bob@example.org secret', 'SELECT INBOX', 'FETCH 1:* (UID FLAGS)', ...before];
    for (const [at, each] of first.entries()) await this.#ask(`f${at}`, each);
    mailbox.disturb(this.#pace.removed, 2);
    this.#writes.isSlow = true;
    this.#proxy.control.mode = this.#pace.key === 'open' ? 'works' : 'waits';
    await this.#together(commands.map((each) => each((uid) => client.number(uid))));
    if (!mailbox.isSelected) return;
    for (let count = 0; !mailbox.isQuiet || count < 2; count++) await this.#ask(`n${count}`, 'NOOP');
    await this.#ask('z', 'FETCH 1:* (UID)');
    const [has, is] = [client.idea, mailbox.uids].map((each) => JSON.stringify(each));
    if (has !== is) client.wrong.push(`${has} in the place of ${is}`);
    for (const [tag, uids] of mailbox.done) {
      const meant = client.meant(tag);
      if (meant !== null && uids.some((uid) => !meant.includes(uid)))
        client.wrong.push(`${tag} was done to ${JSON.stringify(uids)}, not to ${JSON.stringify(meant)}`);
    }
  }

  async #ask(tag: string, command: string): Promise<void> {
    this.#client.say(`${tag} ${command}\r\n`);
    await this.#client.until(() => this.#client.isAnswered(tag));
  }

  /** IDLE is ended as soon as it has begun, with the next commands. */
  async #together(commands: readonly string[]): Promise<void> {
    const client = this.#client;
    let text = '';
    let idles = 0;
    for (const [at, each] of commands.entries()) {
      text += `p${at} ${each}\r\n`;
      if (each !== 'IDLE') continue;
      client.say(text);
      idles++;
      await client.until(() => client.asked >= idles);
      text = 'DONE\r\n';
    }
    client.say(text);
    await client.until(() => commands.every((_, at) => client.isAnswered(`p${at}`)));
  }

  /** Until the connection ends. */
  async #serve(): Promise<never> {
    const server = this.#server;
    const mailbox = this.#mailbox;
    let idle = '';
    server.send(`* OK [CAPABILITY ${CAPABILITIES}] hello\r\n`);
    for (;;) {
      const command = await this.#command();
      const [first = ''] = command.split(' ');
      const rest = command.slice(first.length + 1);
      if (rest === 'IDLE') {
        idle = first;
        await this.#say('+ idling\r\n');
        continue;
      }
      const answers = command === 'DONE' ? mailbox.answers(idle, 'IDLE') : mailbox.answers(first, rest);
      for (const each of answers) await this.#say(each);
      if (this.#pace.server !== 'together') for (const each of mailbox.between()) await this.#say(each);
    }
  }

  async #command(): Promise<string> {
    const server = this.#server;
    let command = (await server.until(/\r\n/)).slice(0, -2);
    for (;;) {
      const literal = /\{([0-9]+)(\+?)\}$/.exec(command);
      if (literal === null) return command;
      if (literal[2] === '') await this.#say('+ go on\r\n');
      const octets = await server.until(new RegExp(`^[\\s\\S]{${literal[1]}}`));
      command += `\r\n${octets}${(await server.until(/\r\n/)).slice(0, -2)}`;
    }
  }

  async #say(text: string): Promise<void> {
    this.#said += text;
    if (this.#pace.server === 'at once' || !this.#mailbox.isSelected) {
      this.#server.send(this.#said);
      this.#said = '';
      return;
    }
    if (this.#pace.server === 'together') return;
    await new Promise<void>((resolve) => {
      this.#hasSaid = resolve;
    });
  }

  /** Whoever is slow goes on when all that could be done has been, one after the other. */
  async #goOnSlowly(): Promise<void> {
    let quiet = 0;
    let before = '';
    while (!this.#isOver) {
      await turn();
      const now = `${this.#octets} ${this.#client.heard.length}`;
      quiet = now === before ? quiet + 1 : 0;
      before = now;
      if (quiet < QUIET_TURNS) continue;
      quiet = 0;
      if (this.#said !== '') {
        this.#server.send(this.#said);
        this.#said = '';
        this.#hasSaid();
      } else if (!this.#writes.goOn() && this.#proxy.control.waiting.size > 0) await this.#type();
    }
  }

  async #type(): Promise<void> {
    const { control } = this.#proxy;
    control.typed();
    if (this.#pace.key === 'refused') control.mode = 'waits';
    await turn();
    control.mode = 'waits';
  }
}
