import { limits } from '../limits.ts';
import { readCommandStart } from './client-command.ts';
import { commandHandler } from './command-table.ts';
import {
  type AfterCommand,
  type CommandContext,
  type CommandLimit,
  clientClosed,
  clientProtocol,
  type LineEvent,
} from './commands/command-context.ts';
import { FetchReader } from './fetch-reader.ts';
import type { FramerEvent } from './framer.ts';
import type { Pending } from './pending.ts';
import type { Exchange } from './session.ts';
import { Turn } from './turn.ts';
import type { UpstreamSide } from './upstream-side.ts';
import { takesNonSync } from './written-command.ts';

/** Commands on their way at a time; a client that sends more waits. */
const PIPELINED = 200;

/**
 * From the client to the mail server. Commands go on in their order; each has a file in `commands/`, which decides when, and
 * puts commands of the gateway's own between them where no command of the client is on its way.
 */
export class ClientSide {
  readonly #exchange: Exchange;
  readonly #turn = new Turn();
  readonly #context: CommandContext;
  /** A command that has to be waited for. */
  #working: Promise<AfterCommand> | null = null;
  /** What the command before has taken and is none of it. */
  #next: LineEvent | null = null;

  constructor(exchange: Exchange, upstreamSide: UpstreamSide) {
    this.#exchange = exchange;
    this.#context = {
      exchange,
      upstreamSide,
      turn: this.#turn,
      fetches: new FetchReader(exchange.parts.views),
      forward: (event, pending, limit) => this.#forward(event, pending, limit),
      alone: (event, pending) => this.#alone(event, pending),
      without: (work) => this.#without(work),
      refuse: (event, tag, status, text) => this.#refuse(event, tag, status, text),
      next: (event) => {
        this.#next = event;
      },
      takeLiteral: (size, nonSync) => this.#takeLiteral(size, nonSync),
    };
  }

  /** Until the client ends or has logged out. Throws SealgateError `imap.framing`, `imap.protocol`. */
  async run(): Promise<void> {
    const { client } = this.#exchange.parts;
    const attend = (): boolean => {
      this.#working = this.#attend();
      return this.#working === null;
    };
    for (;;) {
      const working = this.#working ?? this.#attend();
      this.#working = null;
      if (working === null) {
        if (!(await client.more(attend))) return;
      } else if ((await working) === 'logged-out') return;
    }
  }

  /**
   * Deals with the commands that are here, in one tick, as far as nothing has to be waited for. What goes upstream where nothing is on
   * its way goes at once. A promise: to be waited for before the next command.
   */
  #attend(): Promise<AfterCommand> | null {
    const { parts, pending } = this.#exchange;
    if (pending.size > 0) return this.#commands();
    parts.upstream.cork();
    let working: Promise<AfterCommand> | null | 'failed' = 'failed';
    try {
      working = this.#commands();
    } finally {
      // Mail servers take a command that comes in pieces otherwise than one that is all there.
      if (working === null) parts.upstream.uncork();
      else parts.upstream.uncorkLater();
    }
    return working;
  }

  #commands(): Promise<AfterCommand> | null {
    for (let event = this.#take(); event !== null; event = this.#take()) {
      if (event.type !== 'line') throw clientProtocol('a literal without a command');
      const after = this.#turn.takeNow() ? this.#inTurn(event) : this.#whenInTurn(event);
      if (after !== 'goes-on') return Promise.resolve(after);
    }
    return null;
  }

  #take(): FramerEvent | null {
    const next = this.#next;
    this.#next = null;
    return next ?? this.#exchange.parts.client.take();
  }

  async #whenInTurn(event: LineEvent): Promise<AfterCommand> {
    await this.#turn.take();
    return this.#inTurn(event);
  }

  /** Gives the turn back. */
  #inTurn(event: LineEvent): AfterCommand | Promise<AfterCommand> {
    let after: AfterCommand | Promise<AfterCommand> = 'logged-out';
    try {
      if (!this.#exchange.over) after = this.#command(event);
    } finally {
      if (typeof after === 'string') this.#turn.give();
    }
    return typeof after === 'string' ? after : after.finally(() => this.#turn.give());
  }

  #command(event: LineEvent): AfterCommand | Promise<AfterCommand> {
    const { parts, pending } = this.#exchange;
    const start = readCommandStart(event.octets);
    if (start === null) {
      if (isLateDone(event)) return 'goes-on';
      throw clientProtocol('a line without a tag');
    }
    const handler = commandHandler(start.name);
    if (handler === null) return this.#refuse(event, start.tag, 'BAD', 'Unknown command');
    if (pending.has(start.tag)) return this.#refuse(event, start.tag, 'BAD', 'This tag is in use');
    if (pending.size < PIPELINED || parts.upstream.ended) return handler(this.#context, event, start);
    return this.#afterOthers().then(() => handler(this.#context, event, start));
  }

  async #afterOthers(): Promise<void> {
    const { parts, pending } = this.#exchange;
    while (pending.size >= PIPELINED && !parts.upstream.ended) {
      await this.#without([...pending.values()][0]?.finished);
    }
  }

  async #alone(event: LineEvent, pending: Pending): Promise<void> {
    const exchange = this.#exchange;
    await exchange.waits.giveUp(exchange.idle());
    if (pending.kind === 'select') exchange.parts.views.select();
    const limit = { octets: limits.imap.commandOctets, tooLarge: '[LIMIT] Too large' };
    if (await this.#forward(event, pending, limit)) await pending.done;
  }

  async #without(work: Promise<void> | undefined): Promise<void> {
    this.#turn.give();
    await work;
    await this.#turn.take();
  }

  #forward(event: LineEvent, pending: Pending, limit: CommandLimit): true | Promise<boolean> {
    const isWhole = event.literal === null && event.octets.length <= limit.octets;
    if (!isWhole) return this.#forwardPieces(event, pending, limit);
    this.#exchange.add(pending);
    const wait = this.#exchange.parts.upstream.write(event.octets);
    return wait === null ? true : wait.then(() => true);
  }

  async #forwardPieces(event: LineEvent, pending: Pending, limit: CommandLimit): Promise<boolean> {
    const { client, upstream } = this.#exchange.parts;
    let line: FramerEvent = event;
    let octets = 0;
    this.#exchange.add(pending);
    for (;;) {
      if (line.type !== 'line') throw clientProtocol('a literal out of place');
      octets += line.octets.length + (line.literal?.size ?? 0);
      if (octets > limit.octets) {
        if (!line.first) throw clientProtocol('a command is larger than allowed');
        this.#exchange.settle(pending, { status: 'lost', line: Buffer.alloc(0) });
        this.#exchange.finish(pending);
        await this.#refuse(line, pending.tag, 'NO', limit.tooLarge);
        return false;
      }
      if (line.literal === null) {
        await upstream.write(line.octets);
        return true;
      }
      const { size, nonSync } = line.literal;
      const direct = nonSync && takesNonSync(this.#exchange.parts.upstreamCapabilities, size);
      const accepted = direct ? Promise.resolve(true) : pending.continuation(!nonSync);
      await upstream.write(nonSync && !direct ? withoutPlus(line.octets) : line.octets);
      if (!(await this.#exchange.owed(accepted))) {
        if (nonSync) await this.#drain(line);
        else client.abandonLiteral();
        return false;
      }
      pending.literals?.begin(line.octets, size);
      await this.#relayLiteral(size, pending);
      const next = await client.next();
      if (next === null) throw clientClosed();
      line = next;
    }
  }

  async #relayLiteral(size: number, pending: Pending): Promise<void> {
    const { upstream } = this.#exchange.parts;
    for (let left = size; left > 0; ) {
      const { octets, remaining } = await this.#nextOfLiteral();
      left = remaining;
      if (pending.kind === 'select') pending.mailbox += octets.toString('latin1');
      pending.literals?.push(octets);
      await upstream.write(octets);
    }
  }

  async #takeLiteral(size: number, nonSync: boolean): Promise<Buffer | null> {
    if (!nonSync) await this.#exchange.say('+ Go on\r\n');
    const literal = Buffer.alloc(size);
    for (let left = size; left > 0; ) {
      const event = await this.#exchange.parts.client.next();
      if (event === null) return null;
      if (event.type !== 'literal') throw clientProtocol('a line inside a literal');
      event.octets.copy(literal, size - left);
      left = event.remaining;
    }
    return literal;
  }

  async #nextOfLiteral(): Promise<Extract<FramerEvent, { type: 'literal' }>> {
    const event = await this.#exchange.parts.client.next();
    if (event === null || event.type !== 'literal') throw clientClosed();
    return event;
  }

  async #refuse(event: LineEvent, tag: string, status: 'NO' | 'BAD', text: string): Promise<'goes-on'> {
    const { client } = this.#exchange.parts;
    if (event.literal !== null) {
      if (event.literal.nonSync) await this.#drain(event);
      else client.abandonLiteral();
    }
    await this.#exchange.say(`${tag} ${status} ${text}\r\n`);
    return 'goes-on';
  }

  /** Takes the rest of a command with non-synchronising literals, which are coming whatever was answered. */
  async #drain(event: LineEvent): Promise<void> {
    const { client } = this.#exchange.parts;
    let line: FramerEvent = event;
    let octets = 0;
    while (line.type === 'line' && line.literal !== null) {
      if (!line.literal.nonSync) return client.abandonLiteral();
      octets += line.literal.size;
      if (octets > limits.messageOctets) throw clientProtocol('a refused command is larger than allowed');
      for (let left = line.literal.size; left > 0; ) left = (await this.#nextOfLiteral()).remaining;
      const next = await client.next();
      if (next === null) throw clientClosed();
      line = next;
    }
  }
}

/** A DONE that crossed the end of its IDLE. */
function isLateDone(event: LineEvent): boolean {
  return event.literal === null && /^DONE\r\n$/i.test(event.octets.toString('latin1'));
}

/** `{5+}` as `{5}`, for an upstream that wants to be asked. */
function withoutPlus(line: Buffer): Buffer {
  return Buffer.from(line.toString('latin1').replace(/\+\}\r\n$/, '}\r\n'), 'latin1');
}
