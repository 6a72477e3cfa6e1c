import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { type CommandStart, readCommandStart } from './client-command.ts';
import { type CommandKind, commandKind, enableArguments } from './command-table.ts';
import { answerFromView, needsView } from './fetch-answer.ts';
import { planFetch, readFetchCommand } from './fetch-plan.ts';
import type { FramerEvent } from './framer.ts';
import type { Injected } from './injected-fetch.ts';
import { type Parked, Pending, type TaggedReply } from './pending.ts';
import type { Exchange } from './session.ts';
import { finalReply, type UpstreamSide } from './upstream-side.ts';

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
      if ((await this.#command(event)) === 'logged-out') return;
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
    while (pending.size >= PIPELINED && !parts.upstream.ended) await [...pending.values()][0]?.done;
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

  /** Nothing is on its way before it, and nothing goes on behind it, until it is answered. */
  async #alone(event: LineEvent, pending: Pending): Promise<void> {
    await this.#exchange.idle();
    if (pending.kind === 'select') this.#exchange.parts.views.select(0);
    if (await this.#forward(event, 'barrier', pending)) await pending.done;
  }

  async #enable(event: LineEvent, start: CommandStart): Promise<'goes-on'> {
    if (event.literal !== null) return this.#refuse(event, start.tag, 'BAD', 'Unexpected literal');
    const allowed = enableArguments(start.argument);
    const pending = new Pending(start.tag, 'client', null, false);
    if (allowed.length === 0) {
      await this.#exchange.idle();
      await this.#exchange.parts.client.write(`* ENABLED\r\n${start.tag} OK Nothing was enabled\r\n`);
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
    await this.#exchange.idle();
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
    await this.#exchange.idle();
    const set = /^([0-9:,*]+|\$) /.exec(start.argument)?.[1] ?? null;
    if (plan.classifyFirst && set !== null && !(byUid && this.#allKnown(set)))
      await this.#classify(byUid, set);
    const pending = new Pending(start.tag, 'fetch', command, true);
    if (!(await this.#forward(event, 'pass', pending))) return;
    const reply = await pending.done;
    this.#upstreamSide.uids.clear();
    for (const parked of pending.parked) await this.#answerParked(parked, pending, byUid);
    await this.#reply(pending, reply);
  }

  async #reply(pending: Pending, reply: TaggedReply): Promise<void> {
    if (reply.status === 'lost') return;
    await this.#exchange.parts.client.write(finalReply(pending, reply.status, reply.line));
  }

  /** Whether every message of a set of UIDs is known already; not for sets with `*`, and not for large ones. */
  #allKnown(set: string): boolean {
    const { views } = this.#exchange.parts;
    let count = 0;
    for (const range of set.split(',')) {
      const found = /^([0-9]{1,10})(?::([0-9]{1,10}))?$/.exec(range);
      if (found === null) return false;
      const from = Number(found[1]);
      const to = Number(found[2] ?? found[1]);
      for (let uid = Math.min(from, to); uid <= Math.max(from, to); uid++) {
        if (++count > 1_000 || views.known(uid) === null) return false;
      }
    }
    return true;
  }

  /** Asks for the one field that tells what a message is; `set` is made of digits, colons, commas, * or is $. */
  async #classify(byUid: boolean, set: string): Promise<void> {
    const { views } = this.#exchange.parts;
    const { uids } = this.#upstreamSide;
    uids.clear();
    await this.#upstreamSide.inject(
      `${byUid ? 'UID ' : ''}FETCH ${set} (UID BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE)])`,
      () => false,
      ({ msn, uid, messageClass }) => {
        if (uid === null) return;
        views.learn(uid, views.kindOf(messageClass));
        if (!byUid) uids.set(msn, uid);
      },
    );
  }

  /**
   * Fetches the message of a response that waits for it, and answers. By message number when the client asked so: the one
   * command in which no EXPUNGE may come (RFC 9051 §7.5.1); by UID otherwise.
   */
  async #answerParked(parked: Parked, pending: Pending, byUid: boolean): Promise<void> {
    const { parts } = this.#exchange;
    const { views } = parts;
    const which = byUid && parked.uid !== null ? `UID FETCH ${parked.uid}` : `FETCH ${parked.msn}`;
    const found: Injected[] = [];
    try {
      const wanted = needsView(parked.items, views.names);
      const reply = await this.#upstreamSide.inject(
        `${which} (UID BODY.PEEK[])`,
        (messageClass) => wanted && found.length === 0 && views.kindOf(messageClass) === 'shell',
        (injected) => found.push(injected),
      );
      if (reply.status === 'lost') return;
      const [message] = found;
      // Without one the message is expunged: its response is left out, as the server would.
      if (message !== undefined) await this.#answerFrom(message, parked, pending);
      else if (reply.status !== 'OK')
        pending.withhold({ code: 'UNAVAILABLE', text: 'A message could not be fetched.' });
    } finally {
      for (const each of found) each.release();
    }
  }

  async #answerFrom(message: Injected, parked: Parked, pending: Pending): Promise<void> {
    const { client, views } = this.#exchange.parts;
    const { uid, msn } = message;
    if (uid === null || (parked.uid !== null && parked.uid !== uid)) {
      return pending.withhold({ code: 'SERVERBUG', text: 'The mail server answered for another message.' });
    }
    const kind = views.known(uid) ?? views.kindOf(message.messageClass);
    views.learn(uid, kind);
    if (kind === 'identity') {
      if (parked.raw === null) {
        return pending.withhold({ code: 'SERVERBUG', text: 'A message changed while it was read.' });
      }
      for (const octets of parked.raw) await client.write(octets);
      return;
    }
    let view = views.cached(uid);
    if (view === null && needsView(parked.items, views.names)) {
      if (message.original === null) {
        const text = 'A message is too large to be opened by the gateway.';
        return pending.withhold({ code: 'LIMIT', text });
      }
      const opened = await views.open(uid, message.original);
      if (opened.kind === 'withheld') return pending.withhold({ code: opened.code, text: opened.text });
      view = opened.view;
    }
    const answer = answerFromView(
      { ...parked, msn },
      {
        view,
        header: views.shownHeader(uid),
        boundary: views.boundary(uid),
        names: views.names,
        command: pending.fetch,
      },
    );
    if (answer === null)
      pending.withhold({ code: 'SERVERBUG', text: 'A part of this message cannot be shown.' });
    else await client.write(answer);
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
    await client.write(`${tag} ${status} ${text}\r\n`);
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
