import type { CommandContext } from '../commands/command-context.ts';
import { Pending, type TaggedReply } from '../pending.ts';

/**
 * A client's IDLE, in which the gateway may ask the mail server something itself: it ends the IDLE there, and begins another one of its
 * own behind it. The client hears of one IDLE.
 *
 * Holds: the client gets the answer to its IDLE once, after everything that was said before.
 */
export class Idling {
  readonly #context: CommandContext;
  readonly #client: Pending;
  /** The one that the mail server is in; null: none. */
  #current: Pending | null = null;
  /** What the mail server has answered to the client's own. */
  #reply: TaggedReply | null = null;
  #isAnswered = false;

  constructor(context: CommandContext, tag: string) {
    this.#context = context;
    // Where nothing is opened ahead, its answer goes to the client as it comes.
    this.#client = new Pending(tag, 'client', null, context.exchange.parts.views.warmUp !== null);
  }

  /** Sends the client's command on. false: it was refused. */
  async begin(octets: Buffer): Promise<boolean> {
    const { exchange } = this.#context;
    exchange.add(this.#client);
    this.#current = this.#client;
    const accepted = this.#client.continuation(true);
    await exchange.parts.upstream.write(octets);
    if (await exchange.owed(accepted)) return true;
    await this.answer();
    return false;
  }

  /** Whether the client has its answer. */
  get isAnswered(): boolean {
    return this.#isAnswered || (!this.#client.held && this.#client.settled);
  }

  /** Resolves when the mail server has ended it by itself. */
  async ended(): Promise<void> {
    await (this.#current ?? this.#client).done;
  }

  /** Ends it at the mail server; the client goes on to wait. false: the connection is gone. */
  async interrupt(): Promise<boolean> {
    const current = this.#current;
    if (current === null) return true;
    const { exchange } = this.#context;
    this.#current = null;
    if (!current.settled) {
      exchange.hasSaidDone = true;
      await exchange.parts.upstream.write('DONE\r\n');
    }
    const reply = await current.done;
    if (current === this.#client) this.#reply = reply;
    else exchange.finish(current);
    return reply.status !== 'lost';
  }

  /** Begins one of the gateway's own. false: it was refused, and the mail server tells no news until the client asks. */
  async resume(): Promise<boolean> {
    const { exchange } = this.#context;
    const pending = new Pending(exchange.nextTag(), 'injected', null, true);
    exchange.add(pending);
    const accepted = pending.continuation(false);
    await exchange.parts.upstream.write(`${pending.tag} IDLE\r\n`);
    if (!(await exchange.owed(accepted))) {
      exchange.finish(pending);
      return false;
    }
    this.#current = pending;
    return true;
  }

  /** The client's own has its answer. */
  async answer(): Promise<void> {
    const { exchange } = this.#context;
    await this.interrupt();
    const { status, line } = this.#reply ?? (await this.#client.done);
    if (!this.#client.held) return;
    this.#isAnswered = true;
    if (status !== 'lost') await exchange.say(line);
    exchange.finish(this.#client);
  }
}
