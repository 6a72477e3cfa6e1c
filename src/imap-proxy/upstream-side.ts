import type { MessageClass } from '../mail-view/message-class.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import { Observations } from '../reading/observations.ts';
import { type GatheredResponse, ToldResponses } from './epoch/told-responses.ts';
import { FetchItems } from './fetch-plan.ts';
import { FetchRelay, type RelayContext } from './fetch-relay.ts';
import type { FramerEvent } from './framer.ts';
import { isOriginal } from './gathering.ts';
import { type Injected, type InjectedContext, InjectedFetch } from './injected-fetch.ts';
import type { PassedMessage } from './passed-message.ts';
import { Pending, type TaggedReply } from './pending.ts';
import { upstreamProtocol } from './protocol-error.ts';
import { cleanCapability, readServerLine, type ServerLine } from './server-line.ts';
import type { Exchange } from './session.ts';
import { ShortWays } from './short-ways.ts';
import { StatusResponses } from './status-responses.ts';
import type { Wire } from './wire.ts';
import { sendWritten, type Written } from './written-command.ts';

/** Of messages that wait to be looked at, which are in memory. */
const OBSERVED_OCTETS = 1024 * 1024;

type LineEvent = Extract<FramerEvent, { type: 'line' }>;

/** What is done with the response that is arriving. */
type Handler =
  | { kind: 'pass' }
  /** Its octets go nowhere. */
  | { kind: 'drop' }
  | { kind: 'fetch'; fetch: FetchRelay | PassedMessage | InjectedFetch }
  /** For a command of the gateway's own. */
  | { kind: 'take'; name: string; pieces: Buffer[] }
  /** STATUS, of which the UIDVALIDITY may be told otherwise. */
  | { kind: 'told'; response: GatheredResponse };

/** A whole untagged response that a command of the gateway's own has brought. */
export type Answer = { /** Upper case. */ name: string; octets: Buffer };
export type Asked = { reply: TaggedReply; answers: readonly Answer[] };

/** Octets of all answers to one command of the gateway's own. */
const ASKED_OCTETS = 32 * 1024 * 1024;

/** In every response that may say something else of a message than of its view. */
const SAYS_MORE = ['BODY', 'RFC822', 'ENVELOPE', 'BINARY', 'PREVIEW'];

const DROP: Handler = { kind: 'drop' };
const PASS: Handler = { kind: 'pass' };

/**
 * From the mail server to the client. One response at a time, in order; what is not known is not passed on, and a
 * tagged response to a command nobody sent ends the session.
 */
export class UpstreamSide {
  readonly #exchange: Exchange;
  #handler: Handler = PASS;
  /** Told of each message number that is gone; null: those of unknown numbers are. */
  readonly renumbered = new Set<(msn: number | null) => void>();
  /** While a command of the gateway's own is on its way. */
  #injection: Pick<InjectedContext, 'wants' | 'found'> | null = null;
  /** While a command of the gateway's own asks for something else than messages. */
  #question: { wanted: ReadonlySet<string>; answers: Answer[]; octets: number } | null = null;
  /** Learnt before a FETCH by message number; valid until it is answered. */
  readonly uids = new Map<number, number>();
  readonly #observations: Observations;
  readonly #told: ToldResponses;
  readonly #status: StatusResponses;
  readonly #items: FetchItems;
  readonly #shortWays: ShortWays;
  readonly #relayContext: RelayContext;
  /** What has to be waited for before the next response. */
  #waited: Promise<void> | null = null;

  constructor(exchange: Exchange) {
    this.#exchange = exchange;
    const { views } = exchange.parts;
    this.#told = new ToldResponses(exchange);
    this.#status = new StatusResponses(exchange, (command, wanted) => this.ask(command, wanted));
    this.#items = new FetchItems(views.names, () => views.listing);
    this.#observations = new Observations((octets) => views.observe(octets), OBSERVED_OCTETS);
    this.#relayContext = {
      views,
      places: exchange.places,
      items: this.#items,
      waits: exchange.waits,
      write: (each) => exchange.voice.piece(each),
      say: (each) => exchange.say(each),
      inBackground: (work) => exchange.inBackground(work),
      fetchOf: (msn, uid) => exchange.fetchOf(msn, uid),
      uids: this.uids,
      observe: (each) => this.#observations.add(bufferSource(each)),
    };
    this.#shortWays = new ShortWays(this.#relayContext);
  }

  /** Until the upstream ends. Throws SealgateError `upstream.framing`, `imap.protocol`. */
  async run(): Promise<void> {
    const { upstream } = this.#exchange.parts;
    const attend = (): boolean => {
      this.#waited = this.#attend();
      return this.#waited === null;
    };
    try {
      for (;;) {
        // What came for a client that has gone by now is an answer to nothing, and no key is used for it.
        if (this.#waited === null && this.#exchange.isLost) return;
        const wait = this.#waited ?? this.#attend();
        this.#waited = null;
        if (wait !== null) await wait;
        else if (!(await upstream.more(attend))) return;
      }
    } finally {
      if (this.#handler.kind === 'fetch') this.#handler.fetch.abandon();
    }
  }

  /**
   * Deals with what is here, in one tick, as far as nothing has to be waited for; it leaves in one write. A promise: to be waited for
   * before the rest.
   */
  #attend(): Promise<void> | null {
    const { client, upstream } = this.#exchange.parts;
    let wait: Promise<void> | null = null;
    client.cork();
    try {
      while (wait === null) {
        const short = this.#short(upstream);
        if (short === 'coming') break;
        if (short !== 'other') {
          wait = short;
          continue;
        }
        const event = upstream.take();
        if (event === null) break;
        wait = event.type === 'line' ? this.#line(event) : this.#literal(event.octets, event.remaining);
      }
    } finally {
      const draining = client.uncork();
      wait ??= draining;
    }
    return wait;
  }

  /** What goes a short way, if the next response may. `other`: it does not; `coming`: it is not whole yet. Else: what has to be waited for. */
  #short(upstream: Wire): Promise<void> | null | 'other' | 'coming' {
    const exchange = this.#exchange;
    if (this.#injection !== null || this.#question !== null || exchange.adjustsPlain) return 'other';
    // Of mail that lies encrypted at rest even the size is another one.
    if (exchange.parts.views.atRest?.isEmpty === false) return 'other';
    const found = this.#shortWays.next(upstream, exchange.pending);
    switch (found.kind) {
      case 'other':
      case 'coming':
        return found.kind;
      case 'begun':
        this.#handler = { kind: 'fetch', fetch: found.rest };
        return exchange.voice.piece(found.octets);
      case 'whole': {
        const wait = this.#whole(found.octets);
        if (found.done !== null) {
          const { pending, line } = found.done;
          exchange.settle(pending, { status: 'OK', line });
          exchange.finish(pending);
        }
        return wait;
      }
    }
  }

  /**
   * Sends a command of the gateway's own; nothing of the client's may be on its way. `found` is called for each message
   * that the answer brings, and not once this has resolved: what comes whole when the session is over is let go.
   */
  async inject(
    command: string,
    wants: (messageClass: MessageClass) => boolean,
    found: (injected: Injected) => void,
  ): Promise<TaggedReply> {
    const exchange = this.#exchange;
    const pending = new Pending(exchange.nextTag(), 'injected', null, true);
    exchange.add(pending);
    let isOver = false;
    const foundInTime = (injected: Injected): Promise<void> | null => {
      const { original } = injected;
      if (isOver) return original !== null && isOriginal(original) ? original.discard() : null;
      found(injected);
      return null;
    };
    this.#injection = { wants, found: foundInTime };
    await exchange.parts.upstream.write(`${pending.tag} ${command}\r\n`);
    const reply = await pending.done;
    isOver = true;
    this.#injection = null;
    exchange.finish(pending);
    return reply;
  }

  /**
   * Sends a command of the gateway's own; nothing of the client's may be on its way. Untagged responses whose names are in
   * `wanted` (upper case: SEARCH, ESEARCH, LIST, STATUS …) are kept from the client and handed back whole; all others go on.
   */
  async ask(command: string | Written, wanted: ReadonlySet<string>): Promise<Asked> {
    const exchange = this.#exchange;
    const pending = new Pending(exchange.nextTag(), 'injected', null, true);
    const answers: Answer[] = [];
    exchange.add(pending);
    this.#question = { wanted, answers, octets: 0 };
    const written = typeof command === 'string' ? [command] : command;
    await sendWritten(exchange, pending, [`${pending.tag} `, ...written, '\r\n']);
    const reply = await pending.done;
    this.#question = null;
    exchange.finish(pending);
    return { reply, answers };
  }

  #line(event: LineEvent): Promise<void> | null {
    if (event.first) return this.#begin(event);
    return this.#toHandler(event, 0);
  }

  #literal(octets: Buffer, remaining: number): Promise<void> | null {
    const handler = this.#handler;
    switch (handler.kind) {
      case 'pass':
        return this.#exchange.voice.piece(octets);
      case 'drop':
        return null;
      case 'fetch':
        return handler.fetch.literal(octets, remaining);
      case 'take':
        this.#take(handler, octets);
        return null;
      case 'told':
        handler.response.add(octets);
        return null;
    }
  }

  #toHandler(event: LineEvent, at: number): Promise<void> | null {
    const handler = this.#handler;
    if (handler.kind === 'fetch') {
      const wait = handler.fetch.line(event.octets, at, event.literal);
      if (event.literal !== null) return wait;
      return wait === null ? this.#responseEnded() : wait.then(() => void this.#responseEnded());
    }
    if (handler.kind === 'told') {
      handler.response.add(event.octets);
      if (event.literal !== null) return null;
      this.#handler = PASS;
      return handler.response.end();
    }
    const wait = handler.kind === 'pass' ? this.#exchange.voice.piece(event.octets) : null;
    if (handler.kind === 'take') this.#take(handler, event.octets);
    if (event.literal === null) {
      if (handler.kind === 'take') {
        this.#question?.answers.push({ name: handler.name, octets: Buffer.concat(handler.pieces) });
      }
      this.#responseEnded();
    }
    return wait;
  }

  #take(handler: Extract<Handler, { kind: 'take' }>, octets: Buffer): void {
    const question = this.#question;
    if (question === null) return;
    question.octets += octets.length;
    if (question.octets > ASKED_OCTETS) throw upstreamProtocol('more than was asked for');
    handler.pieces.push(octets);
  }

  #dataHandler(name: string): Handler {
    const response = this.#told.gather(name);
    return response === null ? PASS : { kind: 'told', response };
  }

  #responseEnded(): null {
    this.#handler = PASS;
    this.#exchange.voice.responseEnded();
    return null;
  }

  #begin(event: LineEvent): Promise<void> | null {
    if (this.#question !== null) {
      const name = untaggedName(event.octets);
      if (name !== null && this.#question.wanted.has(name)) {
        this.#handler = { kind: 'take', name, pieces: [] };
        return this.#toHandler(event, 0);
      }
    }
    const line = readServerLine(event.octets);
    switch (line.kind) {
      case 'tagged':
        return this.#told.line(event.octets, line.tag, (octets) => this.#status.tagged(line, octets));
      case 'continuation':
        return this.#status.continuation();
      case 'status':
        return this.#told.line(event.octets, null, (octets) => this.#status.status(line, octets));
      case 'capability':
        this.#status.learnCapabilities(event.octets);
        return this.#whole(cleanCapability(event.octets, this.#exchange.parts.telling));
      case 'fetch':
        return this.#fetch(line, event);
      case 'expunge':
      case 'vanished':
        // Not allowed while messages are asked for by number (RFC 9051 §7.5.1): what was learnt by number is void.
        this.uids.clear();
        if (line.kind === 'expunge') this.#tellRenumbered(line.msn);
        else if (!line.earlier) this.#tellRenumbered(null);
        return this.#renumbered(event.octets);
      case 'data':
        if (line.name === 'EXISTS') {
          this.#exchange.parts.views.atRest?.grew();
          this.#exchange.parts.foreign?.lookAgain();
          this.#exchange.parts.views.warmUp?.grew();
          this.#status.hear(event.octets);
        }
        this.#handler = this.#dataHandler(line.name);
        return this.#toHandler(event, 0);
      case 'unknown':
        if (event.octets[0] !== 0x2a)
          throw upstreamProtocol('a response that is neither tagged nor untagged');
        this.#handler = DROP;
        return this.#toHandler(event, 0);
    }
  }

  #tellRenumbered(msn: number | null): void {
    for (const tell of this.renumbered) tell(msn);
  }

  /**
   * Message numbers change: what is waited for is answered before, while its number still means its message. Nor may this be
   * said while a FETCH by number is going on (RFC 9051 §7.5.1).
   */
  #renumbered(octets: Buffer): Promise<void> | null {
    const answered = this.#exchange.waits.giveUpAll();
    if (answered === null) return this.#whole(octets);
    return answered.then(() => this.#whole(octets) ?? undefined);
  }

  #fetch(line: Extract<ServerLine, { kind: 'fetch' }>, event: LineEvent): Promise<void> | null {
    const { octets, literal } = event;
    const { places } = this.#exchange;
    if (this.#injection !== null) {
      const { wants, found } = this.#injection;
      const write = (each: Buffer): Promise<void> | null => this.#whole(each);
      this.#handler = {
        kind: 'fetch',
        fetch: new InjectedFetch({ places, items: this.#items, write, wants, found }, line.msn),
      };
      return this.#toHandler(event, line.at);
    }
    // Flags and the like: nothing to look at.
    if (literal === null && !SAYS_MORE.some((name) => octets.indexOf(name) !== -1))
      return this.#whole(octets);
    const relay = new FetchRelay(this.#relayContext, line.msn);
    this.#handler = { kind: 'fetch', fetch: relay };
    return this.#toHandler(event, line.at);
  }

  /** A whole response. */
  #whole(octets: Buffer): Promise<void> | null {
    return this.#exchange.say(octets);
  }
}

/** The word after `* `; null: a number, or no untagged response. */
function untaggedName(line: Buffer): string | null {
  return /^\* ([A-Za-z]+)[ \r]/.exec(line.toString('latin1', 0, 24))?.[1]?.toUpperCase() ?? null;
}
