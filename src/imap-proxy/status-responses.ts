import { copiedIn } from './copied-messages.ts';
import type { Pending, TaggedReply } from './pending.ts';
import { upstreamProtocol } from './protocol-error.ts';
import { readSearchResponse } from './search/search-response.ts';
import { capabilityList, cleanStatus, mailboxNewsOf, type ServerLine } from './server-line.ts';
import type { Exchange } from './session.ts';
import type { Asked } from './upstream-side.ts';

const SEARCH: ReadonlySet<string> = new Set(['SEARCH']);

/**
 * What status responses and continuation requests mean to the commands on their way: an answer, a mailbox that is selected, messages
 * that have copies.
 */
export class StatusResponses {
  readonly #exchange: Exchange;
  readonly #ask: (command: string, wanted: ReadonlySet<string>) => Promise<Asked>;

  /** `ask`: of UpstreamSide. */
  constructor(exchange: Exchange, ask: (command: string, wanted: ReadonlySet<string>) => Promise<Asked>) {
    this.#exchange = exchange;
    this.#ask = ask;
  }

  /** To a command on its way. Throws SealgateError `imap.protocol`. */
  tagged(line: Extract<ServerLine, { kind: 'tagged' }>, octets: Buffer): Promise<void> | null {
    const pending = this.#exchange.pending.get(line.tag);
    if (pending === undefined) {
      const isToDone = line.status === 'BAD' && line.tag.toUpperCase() === 'DONE';
      if (isToDone && this.#exchange.hasSaidDone) return null;
      throw upstreamProtocol('a tagged response to no command');
    }
    if (pending.kind !== 'injected') this.learnCapabilities(octets);
    const reply: TaggedReply = {
      status: line.status,
      line: cleanStatus(octets, this.#exchange.parts.telling),
    };
    if (pending.kind === 'select') {
      // Behind this loop, which has to go on for what is asked meanwhile.
      this.#exchange.watch(this.#selected(pending, reply));
      return null;
    }
    const copied = this.#copied(octets, pending);
    if (copied === null) return this.#answered(pending, reply);
    return copied.then(() => this.#answered(pending, reply) ?? undefined);
  }

  #answered(pending: Pending, reply: TaggedReply): Promise<void> | null {
    const wait = pending.held || pending.kind === 'fetch' ? null : this.#exchange.say(reply.line);
    this.#exchange.settle(pending, reply);
    return pending.kind === 'fetch' && !pending.held ? this.#exchange.conclude(pending, reply) : wait;
  }

  /** For whoever waits for one. Throws SealgateError `imap.protocol`. */
  continuation(): Promise<void> | null {
    for (const pending of this.#exchange.pending.values()) {
      const meaning = pending.continue();
      if (meaning === 'relay') return this.#exchange.say(Buffer.from('+ Go on\r\n'));
      if (meaning === 'consumed') return null;
    }
    throw upstreamProtocol('a continuation request to no command');
  }

  /** Untagged. Throws SealgateError `imap.protocol`. */
  status(line: Extract<ServerLine, { kind: 'status' }>, octets: Buffer): Promise<void> | null {
    if (line.status === 'PREAUTH') throw upstreamProtocol('PREAUTH in the middle of a session');
    if (line.status === 'BYE') this.#exchange.byeSent = true;
    this.learnCapabilities(octets);
    this.hear(octets);
    const said = cleanStatus(octets, this.#exchange.parts.telling);
    const copied = this.#copied(octets, this.#copying());
    if (copied === null) return this.#exchange.say(said);
    return copied.then(() => this.#exchange.say(said) ?? undefined);
  }

  /** What is said of the mailbox that is being selected. */
  hear(octets: Buffer): void {
    const { pending, parts } = this.#exchange;
    const [only] = pending.values();
    if (only?.kind !== 'select') return;
    const news = mailboxNewsOf(octets);
    if (news !== null) parts.views.hear(news);
  }

  /** Nothing of the mailbox's messages is asked for before it has been entered. */
  async #selected(pending: Pending, reply: TaggedReply): Promise<void> {
    const { views } = this.#exchange.parts;
    if (reply.status !== 'OK') views.select();
    else if (pending.mailbox !== '') await views.enter(pending.mailbox, (msn) => this.#uidOf(msn));
    await this.#exchange.say(reply.line);
    this.#exchange.settle(pending, reply);
  }

  /**
   * What was said of messages is said of their copies (RFC 4315 §3), before the client hears that there are any. Whatever comes behind
   * waits: a COPYUID without a tag is of the oldest COPY or MOVE, and an answer that is ready must not get lost with the connection.
   */
  #copied(octets: Buffer, pending: Pending | null): Promise<void> | null {
    const copied = copiedIn(octets);
    if (copied === null || pending === null || !pending.copies || pending.mailbox === '') return null;
    return this.#exchange.parts.views.copied(copied, pending.mailbox);
  }

  /** The oldest COPY or MOVE on its way: RFC 6851 §4.3 has what it did in an untagged response. */
  #copying(): Pending | null {
    for (const pending of this.#exchange.pending.values()) {
      if (pending.copies && !pending.settled) return pending;
    }
    return null;
  }

  /** null: the server does not say. */
  async #uidOf(msn: number): Promise<number | null> {
    const { answers } = await this.#ask(`UID SEARCH ${msn}`, SEARCH);
    const [found] = answers;
    return found === undefined ? null : (readSearchResponse(found.octets)?.numbers.min ?? null);
  }

  /** From CAPABILITY, or a response code of that name. */
  learnCapabilities(octets: Buffer): void {
    const list = capabilityList(octets);
    if (list === null) return;
    const known = this.#exchange.parts.upstreamCapabilities;
    known.clear();
    for (const each of list) known.add(each.toUpperCase());
  }
}
