import { unreachable } from '../errors.ts';
import type { SessionId } from '../ids.ts';
import { limits } from '../limits.ts';
import { type Command, readCommand } from '../smtp/command-line.ts';
import { type Line, LineReader } from '../smtp/line-reader.ts';
import { formatReply, type Reply, reply } from '../smtp/reply.ts';
import { type Conversation, newConversation, type SessionPorts, type Step } from './conversation.ts';
import type { Intake } from './intake.ts';
import { replyFromError, upstreamLost } from './reply-from-error.ts';
import { forgetBeforeTls } from './starttls.ts';
import { giveBackWhatIsOver } from './transaction-end.ts';
import { perform } from './verbs.ts';

/** The client's side of a session, as the session uses it. */
export interface ClientPort {
  /** Whole replies. Those of one turn of the event loop leave together. */
  write(text: string): void;
  /** What has been written goes out, then the handshake begins; `secured` follows. */
  startTls(): void;
  /** What has been written goes out, then the connection ends. */
  end(): void;
  /** Whether to read on, each time it changes: what the client sends ahead is bounded. */
  read(on: boolean): void;
}

/** A reply in its place; null while it is under way. */
type Slot = { reply: Reply | null };

/**
 * One submission session: octets of the client in, replies out, without a socket.
 *
 * What holds: every command is answered once and in order; a 421, whosever it is, ends the session; what the client has sent
 * behind STARTTLS is never read; a message of which the end has not come is delivered to nobody. Commands are worked on one at a
 * time, except that RCPT does not wait for the replies to MAIL and RCPT before it (RFC 2920 §3.2).
 */
export class SubmissionSession {
  readonly #conversation: Conversation;
  readonly #client: ClientPort;
  readonly #lines = new LineReader(limits.smtp.commandLineOctets);
  #slots: Slot[] = [];
  /** Replies of the upstream that are under way. */
  #underWay = 0;
  /** A command that waits until none is. */
  #held: Command | null = null;
  /** `message`: its end has come, and it goes its way whether its client is there or not. `keeping`: octets of one are being written away. */
  #work: 'none' | 'verb' | 'message' | 'handshake' | 'keeping' = 'none';
  #answer: ((line: Buffer | null) => Step | Promise<Step>) | null = null;
  #intake: Intake | null = null;
  #errors = 0;
  /** The client has sent so much ahead that it is not read for now. */
  #full = false;
  #ending: 'no' | 'when-idle' | 'ended' = 'no';
  #cause = 'the client quit';
  readonly #isOver = Promise.withResolvers<void>();
  readonly #gone = new AbortController();

  constructor(ports: SessionPorts, client: ClientPort, id: SessionId, remote: string, secure: boolean) {
    this.#client = client;
    this.#conversation = newConversation(
      {
        ...ports,
        openUpstream: async (signal) => {
          const upstream = await ports.openUpstream(signal);
          upstream.whenLost((reason) => this.#upstreamLost(upstream.name, reason));
          return upstream;
        },
      },
      id,
      remote,
      secure,
      this.#gone.signal,
    );
  }

  get authenticated(): boolean {
    return this.#conversation.origin !== null;
  }

  /** Whether the client is waited for, and not the upstream or the story. */
  get waitsForClient(): boolean {
    return this.#work === 'none' && this.#underWay === 0;
  }

  /** Resolves when it has ended and nothing is at work any more: a message may be handed over for long after its client has gone. */
  get over(): Promise<void> {
    return this.#isOver.promise;
  }

  /** For the log, once it has ended. */
  get cause(): string {
    return this.#cause;
  }

  /** RFC 5321 §3.1. */
  greet(): void {
    const { settings, admission } = this.#conversation.ports;
    const protocol = admission?.protocol === 'lmtp' ? 'LMTP' : 'ESMTP';
    this.#say(reply(220, null, `${settings.hostname} ${protocol} Sealgate`));
    this.#flush();
  }

  receive(chunk: Buffer): void {
    if (this.#ending === 'ended') return;
    this.#lines.push(chunk);
    this.#pump();
  }

  /** The TLS handshake is done. */
  secured(): void {
    forgetBeforeTls(this.#conversation);
    this.#work = 'none';
    this.#pump();
  }

  /** The client has gone. Unfinished commands die with it; a message whose end has come is still handed over. */
  clientGone(cause: string): void {
    if (this.#ending === 'ended') return;
    this.#finish(cause);
  }

  timedOut(): void {
    this.#endWith(
      reply(421, '4.4.2', 'Nothing was received for too long; closing the connection'),
      'timeout',
    );
  }

  /** The gateway stops (RFC 5321 §3.8): at once, or after the message that is being handed over. */
  shutDown(): void {
    if (this.#ending !== 'no') return;
    // A message whose end has not come is nobody's yet, and nobody has said anything in a handshake.
    const isIdle = this.waitsForClient || this.#work === 'keeping' || this.#work === 'handshake';
    if (isIdle) this.#endWith(SHUTTING_DOWN, 'shutdown');
    else this.#ending = 'when-idle';
  }

  /**
   * It has had its time to end by itself: the mail server is waited for no longer. Whose message it has not answered is told so, also that it may
   * have it; nothing is handed over any more.
   */
  hurry(): void {
    if (this.#work === 'message') this.#conversation.upstream?.abandon('the gateway stops');
    else this.#endWith(SHUTTING_DOWN, 'shutdown');
  }

  #pump(): void {
    try {
      while (this.#work === 'none' && this.#ending !== 'ended') {
        if (this.#held === null && this.#ending === 'when-idle' && this.#underWay === 0) {
          this.#endWith(SHUTTING_DOWN, 'shutdown');
        } else if (!this.#turn()) break;
      }
    } catch (error) {
      this.#defect(error);
    }
    this.#endWithUpstream();
    this.#flush();
    const full = this.#lines.unread > limits.smtp.readAheadOctets;
    if (full !== this.#full) {
      this.#full = full;
      this.#client.read(!full);
    }
  }

  /** One thing of those that are there to be done; false where the client or the upstream has to be waited for. */
  #turn(): boolean {
    if (this.#held !== null) {
      if (this.#underWay > 0) return false;
      const command = this.#held;
      this.#held = null;
      this.#do(command);
      return true;
    }
    if (this.#intake !== null) return this.#takeIn(this.#intake);
    const line = this.#lines.next();
    if (line === null) return false;
    const { kind } = line;
    if (kind === 'bare-line-end') {
      this.#endWith(reply(500, '5.5.2', 'Lines must end with CRLF; closing the connection'), 'bare CR or LF');
    } else if (this.#answer !== null) {
      const answer = this.#answer;
      this.#answer = null;
      this.#take(answer(kind === 'line' ? line.octets : null), 'verb');
    } else {
      this.#command(line);
    }
    return true;
  }

  #command(line: Exclude<Line, { kind: 'bare-line-end' }>): void {
    const command: Command =
      line.kind === 'line'
        ? readCommand(line.octets)
        : { verb: 'malformed', reply: reply(500, '5.5.2', 'The command line is too long') };
    const mayOvertake = command.verb === 'RCPT' && this.#underWay < limits.smtp.commandsInFlight;
    if (this.#underWay > 0 && !mayOvertake) this.#held = command;
    else this.#do(command);
  }

  #do(command: Command): void {
    // The last chunk may be one without octets.
    const work = command.verb === 'BDAT' ? 'message' : 'verb';
    this.#take(perform(this.#conversation, command, this.#underWay), work);
  }

  #take(step: Step | Promise<Step>, work: 'verb' | 'message'): void {
    if (!(step instanceof Promise)) {
      this.#apply(step);
      return;
    }
    this.#work = work;
    step.then(
      (done) => {
        this.#work = 'none';
        if (this.#ending === 'ended') this.#over();
        this.#apply(done);
        this.#pump();
      },
      (error: unknown) => {
        this.#work = 'none';
        if (this.#ending === 'ended') this.#over();
        this.#defect(error);
      },
    );
  }

  #apply(step: Step): void {
    if (this.#ending === 'ended') return;
    giveBackWhatIsOver(this.#conversation);
    switch (step.kind) {
      case 'reply':
        this.#reply(step.reply);
        break;
      case 'refused-before':
        this.#say(step.reply);
        break;
      case 'replies':
        for (const each of step.replies) this.#say(each);
        if (step.replies.some(({ code }) => code === 421)) this.#endWith(null, 'a 421 ended it');
        break;
      case 'relay':
        this.#relay(step.reply);
        break;
      case 'ask':
        this.#answer = step.answer;
        this.#say(step.reply);
        break;
      case 'take':
        this.#intake = step.intake;
        if (step.reply !== null) this.#say(step.reply);
        break;
      case 'start-tls':
        // RFC 3207 §4.2 and command injection: what came behind the command was not protected and is not read.
        this.#lines.takeRest();
        this.#work = 'handshake';
        this.#say(step.reply);
        this.#flush();
        this.#client.startTls();
        break;
      case 'end':
        this.#endWith(step.reply, 'a reply ended it');
        break;
      default:
        unreachable(step);
    }
  }

  #takeIn(intake: Intake): boolean {
    const chunk = this.#lines.takeRest();
    if (chunk.length === 0) return false;
    const outcome = intake.push(chunk);
    switch (outcome.kind) {
      case 'more':
        if (outcome.ready === null) return false;
        this.#work = 'keeping';
        outcome.ready.then(
          () => {
            this.#work = 'none';
            this.#pump();
          },
          (error: unknown) => this.#defect(error),
        );
        return true;
      case 'too-much':
        this.#endWith(
          reply(552, '5.3.4', 'The message is far too large; closing the connection'),
          'message far too large',
        );
        return true;
      case 'end':
        this.#intake = null;
        this.#lines.push(outcome.rest);
        this.#take(intake.done(), 'message');
        return true;
      default:
        return unreachable(outcome);
    }
  }

  /** A reply of ours, or one that is there. Too many refusals of ours end the session. */
  #reply(answer: Reply): void {
    if (answer.code === 421) {
      this.#endWith(answer, 'a 421 ended it');
      return;
    }
    this.#say(answer);
    if (answer.code < 500) return;
    this.#errors++;
    if (this.#errors < limits.smtp.errorsPerSession) return;
    this.#endWith(reply(421, '4.7.0', 'Too many errors; closing the connection'), 'too many errors');
  }

  #relay(answer: Promise<Reply>): void {
    const slot: Slot = { reply: null };
    this.#slots.push(slot);
    this.#underWay++;
    answer.then(
      (result) => {
        this.#underWay--;
        slot.reply = result;
        if (this.#work === 'none') giveBackWhatIsOver(this.#conversation);
        if (result.code === 421) this.#endWith(null, 'the upstream ended it');
        else if (this.#underWay === 0) this.#pump();
        this.#flush();
      },
      (error: unknown) => this.#defect(error),
    );
  }

  #say(answer: Reply): void {
    this.#slots.push({ reply: answer });
  }

  #flush(): void {
    if (this.#slots.length === 0) return;
    let text = '';
    let said = 0;
    for (const slot of this.#slots) {
      if (slot.reply === null) break;
      text += formatReply(slot.reply);
      said++;
    }
    if (said === 0) return;
    this.#slots = said === this.#slots.length ? [] : this.#slots.slice(said);
    this.#client.write(text);
  }

  #upstreamLost(name: string, reason: string): void {
    const { log } = this.#conversation.ports;
    log.write({
      event: 'smtp.upstream-lost',
      level: 'warn',
      session: this.#conversation.id,
      upstream: name,
      reason,
    });
    // A reply that is under way says it first; whoever waits for the client says it now.
    process.nextTick(() => this.#pump());
  }

  #endWithUpstream(): void {
    const lost = this.#conversation.upstream?.lost ?? null;
    if (lost === null || this.#ending === 'ended' || !this.waitsForClient || this.#intake !== null) return;
    this.#endWith(replyFromError(upstreamLost(lost)), 'the upstream was lost');
  }

  #defect(error: unknown): void {
    this.#conversation.ports.log.write({
      event: 'gateway.defect',
      level: 'error',
      where: 'smtp-in/session',
      error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    });
    this.#endWith(replyFromError(error), 'defect');
  }

  /** Says what is there to be said, and `last`, and no more. */
  #endWith(last: Reply | null, cause: string): void {
    if (this.#ending === 'ended') return;
    // Replies that are still under way stay unsaid: the client learns from the end that they are unknown.
    const open = this.#slots.findIndex((slot) => slot.reply === null);
    if (open !== -1) this.#slots.length = open;
    if (last !== null) this.#say(last);
    this.#flush();
    this.#finish(cause);
    this.#client.end();
  }

  #finish(cause: string): void {
    this.#ending = 'ended';
    this.#cause = cause;
    // In the middle of a login QUIT would be the next answer to the upstream: a guess, in the name of whoever has gone.
    if (this.#answer !== null) this.#conversation.upstream?.abandon();
    this.#answer = null;
    this.#intake?.discard();
    this.#intake = null;
    this.#gone.abort();
    // A message that is being handed over keeps its upstream until it is done. What it says to anything else nobody waits for any more.
    if (this.#work === 'verb') this.#conversation.upstream?.quit();
    else if (this.#work !== 'message') this.#over();
  }

  /** Nothing is at work any more. */
  #over(): void {
    this.#conversation.transaction = null;
    giveBackWhatIsOver(this.#conversation);
    this.#conversation.upstream?.quit();
    this.#isOver.resolve();
  }
}

const SHUTTING_DOWN = reply(421, '4.3.2', 'The gateway is shutting down; try again later');
