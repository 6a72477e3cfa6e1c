import { isDeepStrictEqual } from 'node:util';
import type { HandOver, HandOverOutcome, UpstreamFacts, Variant, WholeOutcome } from '../pipeline/ports.ts';
import type { Recipient } from '../smtp/envelope.ts';
import { maxSizeOf } from '../smtp/extensions.ts';
import { hasParameter } from '../smtp/parameters.ts';
import { isCompleted, reply, replyClass } from '../smtp/reply.ts';
import type { Answer, Upstream } from '../smtp-out/client.ts';
import type { Conversation, Transaction } from './conversation.ts';
import { mailCommand } from './mail-from.ts';
import { rcptCommand } from './rcpt-to.ts';
import { forwardOn } from './trusted-proxy.ts';

/**
 * Hands the variants of one submission over, one after the other, on the session's own connection to the upstream.
 *
 * What holds: a variant reaches all of its recipients or none, and nobody whom the upstream has not accepted from this client. What never
 * happens: anything is delivered after `close`, or a reply other than the upstream's 2xx to the end of data counts as acceptance.
 */
export class HandingOver implements HandOver {
  readonly #conversation: Conversation;
  readonly #transaction: Transaction;
  /** Commands of the upstream's transaction as it stands open; null: not known to be of use. */
  #open: readonly string[] | null;
  #closed = false;
  #last: Promise<unknown> = Promise.resolve();

  constructor(conversation: Conversation, transaction: Transaction) {
    this.#conversation = conversation;
    this.#transaction = transaction;
    this.#open = transaction.recipients.map(rcptCommand);
  }

  get upstream(): UpstreamFacts {
    const { upstream } = this.#conversation;
    if (upstream === null) return { tls: false, requireTls: false };
    return { tls: upstream.secure, requireTls: upstream.secure && upstream.extensions.has('REQUIRETLS') };
  }

  /** The session goes on: from now on the connection belongs to the next transaction. */
  close(): void {
    this.#closed = true;
  }

  deliver(variant: Variant): Promise<HandOverOutcome> {
    const outcome = this.#last.then(() => this.#deliver(variant));
    this.#last = outcome;
    return outcome;
  }

  async #deliver(variant: Variant): Promise<HandOverOutcome> {
    const { upstream } = this.#conversation;
    if (this.#closed || upstream === null) {
      return { kind: 'unreachable', reason: 'the transaction is over', unsent: true };
    }
    const wanted = variant.recipients.map(rcptCommand);
    const known = new Set(this.#transaction.recipients.map(rcptCommand));
    if (wanted.length === 0 || !wanted.every((command) => known.has(command))) {
      return {
        ...this.#defect('a variant has recipients that are not those of the submission'),
        unsent: true,
      };
    }
    const { requireTls } = this.upstream;
    // RFC 8689 §3: what the client has asked for is not dropped, whatever became of its mail.
    const byClient = hasParameter(this.#transaction.mailParameters, 'REQUIRETLS');
    if ((variant.requireTls && !upstream.secure) || (byClient && !requireTls)) {
      return {
        ...this.#defect('a variant that must leave by TLS only, and the upstream has none'),
        unsent: true,
      };
    }
    const asked = byClient || (variant.requireTls && requireTls);
    // Nor what the client has asked for of reports, where a server's would bring back what was opened for others.
    const hides = variant.opened === true && upstream.extensions.has('DSN');
    const max = maxSizeOf(upstream.extensions);
    if (max !== null && variant.octets.length > max) {
      const text = `The protected message has ${variant.octets.length} octets; the mail server accepts ${max}`;
      return { kind: 'rejected', reply: reply(552, '5.3.4', text) };
    }
    try {
      let heard = variant.recipients;
      // The transaction that stands open was begun as the client asked for it.
      if (asked !== byClient || hides || this.#open === null || !sameMembers(this.#open, wanted)) {
        const failure = await this.#reopen(upstream, variant, { asked, hides });
        if (failure !== null) return failure;
      } else {
        heard = inOrderOf(this.#open, heard);
      }
      this.#open = null;
      const outcome = await this.#transmit(upstream, variant, heard);
      // After the end of data there is no transaction; after a refused DATA there may be.
      this.#conversation.upstreamOpen = outcome.kind !== 'accepted';
      return outcome;
    } catch (error) {
      return this.#defect(String(error));
    }
  }

  /** RFC 2033 §4.2: by LMTP an answer for each recipient, in the order in which the upstream has `heard` of them. */
  async #transmit(
    upstream: Upstream,
    { octets, recipients }: Variant,
    heard: readonly Recipient[],
  ): Promise<HandOverOutcome> {
    if (upstream.protocol === 'smtp') return outcomeOf(upstream, await upstream.data(octets));
    const answers = await upstream.dataForEach(octets, heard.length);
    const fared = new Map(
      heard.map((recipient, i) => [recipient, outcomeOf(upstream, answers[i] ?? NOT_ANSWERED)]),
    );
    const outcomes = recipients.map((recipient) => ({
      recipient,
      outcome: fared.get(recipient) ?? outcomeOf(upstream, NOT_ANSWERED),
    }));
    const [first] = outcomes;
    const alike = outcomes.every(({ outcome }) => sameOutcome(outcome, first?.outcome));
    return alike && first !== undefined ? first.outcome : { kind: 'each', outcomes };
  }

  /** MAIL and RCPT anew for these recipients, in one write. DATA waits for all replies: 354 could not be taken back. */
  async #reopen(
    upstream: Upstream,
    { recipients, octets }: Variant,
    { asked, hides }: { asked: boolean; hides: boolean },
  ): Promise<HandOverOutcome | null> {
    const { reversePath } = this.#transaction;
    const parameters = this.#transaction.mailParameters.filter(
      ({ keyword }) => keyword !== 'REQUIRETLS' && !(hides && keyword === 'RET'),
    );
    if (asked) parameters.push({ keyword: 'REQUIRETLS', value: null });
    if (hides) parameters.push({ keyword: 'RET', value: 'HDRS' });
    this.#open = null;
    const commands: Promise<Answer>[] = [];
    if (this.#conversation.upstreamOpen) commands.push(upstream.command('RSET'));
    this.#conversation.upstreamOpen = true;
    forwardOn(this.#conversation);
    commands.push(upstream.command(mailCommand(reversePath, parameters, octets.length)));
    for (const recipient of recipients) commands.push(upstream.command(rcptCommand(recipient)));
    for (const answer of await Promise.all(commands)) {
      const outcome = outcomeOf(upstream, answer);
      if (outcome.kind === 'accepted') continue;
      if (outcome.kind === 'unreachable') return { ...outcome, unsent: true };
      await upstream.command('RSET');
      return outcome;
    }
    return null;
  }

  #defect(error: string): Extract<HandOverOutcome, { kind: 'unreachable' }> {
    this.#conversation.ports.log.write({
      event: 'gateway.defect',
      level: 'error',
      where: 'smtp-in/handing-over',
      error,
    });
    return { kind: 'unreachable', reason: error };
  }
}

const NOT_ANSWERED: Answer = { kind: 'lost', reason: 'it did not answer for each recipient' };

/** So that one reply says what became of both. */
function sameOutcome(one: WholeOutcome, other: WholeOutcome | undefined): boolean {
  if (one.kind === 'accepted' || one.kind === 'unreachable') return one.kind === other?.kind;
  return other?.kind === 'rejected' && isDeepStrictEqual(one.reply, other.reply);
}

function outcomeOf(upstream: Upstream, answer: Answer): WholeOutcome {
  if (answer.kind === 'lost') {
    return {
      kind: 'unreachable',
      reason: answer.reason,
      ...(answer.unsent === true ? { unsent: true } : {}),
    };
  }
  if (isCompleted(answer.reply)) return { kind: 'accepted', reply: answer.reply };
  if (replyClass(answer.reply) !== 'intermediate') return { kind: 'rejected', reply: answer.reply };
  upstream.abandon();
  return { kind: 'unreachable', reason: 'it replied 3xx where nothing more follows' };
}

/** The same recipients as they are in `commands`. */
function inOrderOf(commands: readonly string[], recipients: readonly Recipient[]): readonly Recipient[] {
  const byCommand = Map.groupBy(recipients, rcptCommand);
  return commands.flatMap((command) => byCommand.get(command)?.shift() ?? []);
}

function sameMembers(some: readonly string[], others: readonly string[]): boolean {
  if (some.length !== others.length) return false;
  if (some.every((member, i) => member === others[i])) return true;
  const sorted = [...others].sort();
  return [...some].sort().every((member, i) => member === sorted[i]);
}
