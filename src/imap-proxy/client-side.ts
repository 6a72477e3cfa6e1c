import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { type CommandStart, readCommandStart } from './client-command.ts';
import { type CommandKind, commandKind, enableArguments } from './command-table.ts';
import { DeferredFetch } from './deferred-fetch.ts';
import { planFetch, readFetchCommand } from './fetch-plan.ts';
import type { FramerEvent } from './framer.ts';
import { Pending } from './pending.ts';
import type { Exchange } from './session.ts';
import { Turn } from './turn.ts';
import type { UpstreamSide } from './upstream-side.ts';

type LineEvent = Extract<FramerEvent, { type: 'line' }>;

/** Commands on their way at a time; a client that sends more waits. */
const PIPELINED = 200;
/** RFC 7888 §5: with LITERAL- a non-synchronising literal has at most this many octets. */
const LITERAL_MINUS_OCTETS = 4_096;

/**
 * From the client to the mail server. Commands go on in their order, octets unchanged; the gateway only decides when,
 * and puts commands of its own between them where no command of the client is on its way.
 */
export class ClientSide {
  readonly #exchange: Exchange;
  readonly #upstreamSide: UpstreamSide;
  /** Whose commands go upstream now: the client's, or those of a FETCH that comes back to what it has waited for. */
  readonly #turn = new Turn();

  constructor(exchange: Exchange, upstreamSide: UpstreamSide) {
    this.#exchange = exchange;
    this.#upstreamSide = upstreamSide;
  }

  /** Until the client ends or has logged out. Throws SealgateError `imap.framing`, `imap.protocol`. */
  async run(): Promise<void> {
    const { client } = this.#exchange.parts;
    for (;;) {
      const event = await client.next();
      if (event === null) return;
      if (event.type !== 'line') throw protocol('a literal without a command');
      await this.#turn.take();
      try {
        if (this.#exchange.over || (await this.#command(event)) === 'logged-out') return;
      } finally {
        this.#turn.give();
      }
    }
  }

  async #command(event: LineEvent): Promise<'logged-out' | 'goes-on'> {
    const { parts, pending } = this.#exchange;
    const start = readCommandStart(event.octets);
    if (start === null) {
      if (isLateDone(event)) return 'goes-on';
      throw protocol('a line without a tag');
    }
    const kind = commandKind(start.name);
    if (kind === null) return this.#refuse(event, start.tag, 'BAD', 'Unknown command');
    if (pending.has(start.tag)) return this.#refuse(event, start.tag, 'BAD', 'This tag is in use');
    while (pending.size >= PIPELINED && !parts.upstream.ended) {
      await this.#without([...pending.values()][0]?.finished);
    }
    switch (kind) {
      case 'pass':
      case 'append':
        await this.#forward(event, kind, new Pending(start.tag, 'client', null, false));
        return 'goes-on';
      case 'fetch':
        await this.#fetch(event, start);
        return 'goes-on';
      case 'idle':
        await this.#idle(event, start);
        return 'goes-on';
      case 'enable':
        return this.#enable(event, start);
      case 'select':
        await this.#alone(event, new Pending(start.tag, 'select', null, false));
        return 'goes-on';
      case 'barrier':
        await this.#alone(event, new Pending(start.tag, 'client', null, false));
        return 'goes-on';
      case 'logout':
        await this.#alone(event, new Pending(start.tag, 'client', null, false));
        return 'logged-out';
    }
  }

  /**
   * Nothing is on its way before it, and nothing goes on behind it, until it is answered. Who goes elsewhere does not wait for a
   * key any longer.
   */
  async #alone(event: LineEvent, pending: Pending): Promise<void> {
    await this.#exchange.waits.giveUp(this.#exchange.idle());
    if (pending.kind === 'select') this.#exchange.parts.views.select(0);
    if (await this.#forward(event, 'barrier', pending)) await pending.done;
  }

  /** Waits for FETCHes that may need the turn themselves before they are done. */
  async #without(work: Promise<void> | undefined): Promise<void> {
    this.#turn.give();
    await work;
    await this.#turn.take();
  }

  async #enable(event: LineEvent, start: CommandStart): Promise<'goes-on'> {
    if (event.literal !== null) return this.#refuse(event, start.tag, 'BAD', 'Unexpected literal');
    const allowed = enableArguments(start.argument);
    const pending = new Pending(start.tag, 'client', null, false);
    if (allowed.length === 0) {
      await this.#without(this.#exchange.idle());
      await this.#exchange.say(`* ENABLED\r\n${start.tag} OK Nothing was enabled\r\n`);
      return 'goes-on';
    }
    const octets = Buffer.from(`${start.tag} ENABLE ${allowed.join(' ')}\r\n`, 'latin1');
    await this.#alone({ ...event, octets }, pending);
    return 'goes-on';
  }

  async #idle(event: LineEvent, start: CommandStart): Promise<void> {
    const { client, upstream } = this.#exchange.parts;
    if (event.literal !== null)
      return void (await this.#refuse(event, start.tag, 'BAD', 'Unexpected literal'));
    // A key may still be waited for: whoever types its PIN wants the mail. A mere delay would hold up what is new.
    this.#exchange.waits.endDelays();
    await this.#without(this.#exchange.idle());
    const pending = new Pending(start.tag, 'client', null, false);
    this.#exchange.add(pending);
    const accepted = pending.continuation(true);
    await upstream.write(event.octets);
    if (!(await accepted)) return;
    const text = await client.nextText();
    if (text === null) return;
    // RFC 2177 §3: nothing but DONE may follow.
    if (!/^DONE\r\n$/i.test(text.toString('latin1'))) throw protocol('something else than DONE ends IDLE');
    if (pending.settled) return;
    await upstream.write('DONE\r\n');
    await pending.done;
  }

  async #fetch(event: LineEvent, start: CommandStart): Promise<void> {
    const byUid = start.name === 'UID FETCH';
    const command = event.literal === null ? readFetchCommand(byUid, start.argument) : null;
    const plan = planFetch(command, this.#exchange.parts.views.names);
    if (!plan.alone) {
      await this.#forward(event, 'pass', new Pending(start.tag, 'fetch', command, false));
      return;
    }
    const pending = new Pending(start.tag, 'fetch', command, true);
    const deferred = new DeferredFetch({
      exchange: this.#exchange,
      upstreamSide: this.#upstreamSide,
      turn: this.#turn,
      byUid,
      pending,
      set: plan.classifyFirst ? (/^([0-9:,*]+|\$) /.exec(start.argument)?.[1] ?? null) : null,
      forward: () => this.#forward(event, 'pass', pending),
    });
    await deferred.begin();
  }

  /**
   * Sends a command on, literals included. false: it ended before it was whole, because the upstream refused a literal
   * or the gateway did.
   */
  async #forward(event: LineEvent, kind: CommandKind, pending: Pending): Promise<boolean> {
    const { client, upstream } = this.#exchange.parts;
    let line: FramerEvent = event;
    let octets = 0;
    this.#exchange.add(pending);
    for (;;) {
      if (line.type !== 'line') throw protocol('a literal out of place');
      octets += line.octets.length + (line.literal?.size ?? 0);
      const tooMuch =
        octets > (kind === 'append' ? limits.messageOctets + 65_536 : limits.imap.commandOctets);
      if (tooMuch) {
        if (!line.first) throw protocol('a command is larger than allowed');
        this.#exchange.settle(pending, { status: 'lost', line: Buffer.alloc(0) });
        this.#exchange.finish(pending);
        await this.#refuse(
          line,
          pending.tag,
          'NO',
          kind === 'append' ? '[TOOBIG] Too large' : '[LIMIT] Too large',
        );
        return false;
      }
      if (line.literal === null) {
        await upstream.write(line.octets);
        return true;
      }
      const { size, nonSync } = line.literal;
      const direct = nonSync && this.#takesNonSync(size);
      const accepted = direct ? Promise.resolve(true) : pending.continuation(!nonSync);
      await upstream.write(nonSync && !direct ? withoutPlus(line.octets) : line.octets);
      if (!(await accepted)) {
        if (nonSync) await this.#drain(line);
        else client.abandonLiteral();
        return false;
      }
      await this.#relayLiteral(size);
      const next = await client.next();
      if (next === null) throw closed();
      line = next;
    }
  }

  async #relayLiteral(size: number): Promise<void> {
    const { client, upstream } = this.#exchange.parts;
    let left = size;
    while (left > 0) {
      const event = await client.next();
      if (event === null || event.type !== 'literal') throw closed();
      left = event.remaining;
      await upstream.write(event.octets);
    }
  }

  #takesNonSync(size: number): boolean {
    const { upstreamCapabilities } = this.#exchange.parts;
    if (upstreamCapabilities.has('LITERAL+')) return true;
    return upstreamCapabilities.has('LITERAL-') && size <= LITERAL_MINUS_OCTETS;
  }

  /** Answers a command that does not go on, and takes what the client sends of it regardless. */
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
      if (octets > limits.messageOctets) throw protocol('a refused command is larger than allowed');
      for (let left = line.literal.size; left > 0; ) {
        const part = await client.next();
        if (part === null || part.type !== 'literal') throw closed();
        left = part.remaining;
      }
      const next = await client.next();
      if (next === null) throw closed();
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

function closed(): SealgateError {
  return protocol('the client closed in the middle of a command');
}

function protocol(reason: string): SealgateError {
  return new SealgateError({
    code: 'imap.protocol',
    publicText: 'The client does not follow the IMAP protocol. Connect again.',
    duration: 'permanent',
    reason,
  });
}
