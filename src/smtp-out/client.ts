import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { atEndOfTurn } from '../connections/end-of-turn.ts';
import { limits } from '../limits.ts';
import { octetsInMemory } from '../octets/buffer-source.ts';
import type { OctetSource } from '../octets/source.ts';
import { stuffed } from '../smtp/dot-stuffing.ts';
import type { Extensions } from '../smtp/extensions.ts';
import { type Reply, summary } from '../smtp/reply.ts';
import { ReplyReader } from '../smtp/reply-reader.ts';
import { FAULTY_LINES, inBlocks } from './message-blocks.ts';

/** What became of a command. `lost`: no reply came, and none will. `unsent`: of the message that was to follow not an octet has left. */
export type Answer = { kind: 'reply'; reply: Reply } | { kind: 'lost'; reason: string; unsent?: true };

/** RFC 5321; RFC 2033, in which the server answers for each recipient. */
export type MailProtocol = 'smtp' | 'lmtp';

/** The upstream as a session uses it. */
export interface Upstream {
  /** `host:port`, for logs. */
  readonly name: string;
  readonly protocol: MailProtocol;
  /** Of its last EHLO. */
  readonly extensions: Extensions;
  /** By TLS, and the server has shown who it is. */
  readonly secure: boolean;
  /** Why the connection is gone; null while it stands. */
  readonly lost: string | null;
  /** Called once, when the connection is lost without `quit` or `abandon`. */
  whenLost(listener: (reason: string) => void): void;
  /** One command without CRLF. Commands of one turn of the event loop leave in one write where the upstream allows pipelining. */
  command(line: string): Promise<Answer>;
  /** A line with a secret, CRLF included: it is overwritten once it has been sent. */
  secret(line: Buffer): Promise<Answer>;
  /**
   * DATA, and after its 354 the message. A refusal is the answer, also one in the middle of the message; anything else that is not
   * 354 is no answer to DATA: `lost`. LMTP has several answers: `dataForEach`.
   *
   * @throws what reading the message throws, and Error where it has a fault of line-faults.ts. The server never hears the end of data then.
   */
  data(message: OctetSource): Promise<Answer>;
  /**
   * The same with an answer for each recipient whom the server has accepted, in their order. RFC 2033 §4.2: by LMTP they may
   * differ; by SMTP all are the one reply to the end of data.
   */
  dataForEach(message: OctetSource, recipients: number): Promise<readonly Answer[]>;
  quit(): void;
  /** At once; `reason`: what those hear who wait for a reply. */
  abandon(reason?: string): void;
}

type Pending = {
  timeoutMs: number;
  /** False as long as what is asked for has not been sent whole: no reply can mean yes yet. */
  sent: boolean;
  settle: (answer: Answer) => void;
};

type Expected = { answer: Promise<Answer>; pending: Pending };

/** A message in memory up to this size leaves in one write; any other in blocks, at the pace of the socket. */
const ONE_WRITE = 131_072;

/**
 * One connection to an SMTP server: commands out, replies in, in order (RFC 5321 §4.1.1, RFC 2920 §3.1).
 *
 * What holds: every command is answered exactly once, by its reply or by `lost`. What never happens: a reply is taken for another
 * command's. Octets that are no reply, or a reply nobody asked for, end the connection.
 */
export class SmtpClient implements Upstream {
  readonly name: string;
  readonly protocol: MailProtocol;
  readonly #socket: Socket;
  readonly #verified: boolean;
  readonly #replies = new ReplyReader();
  readonly #onData = (chunk: Buffer) => this.#receive(chunk);
  readonly #onEnd = () => this.#lose('it closed the connection');
  readonly #onError = (error: Error) => this.#lose(error.message);
  readonly #onEndOfTurn = () => this.#flush();
  #extensions: Extensions = new Map();
  #pending: Pending[] = [];
  /** Commands that wait because the upstream does not pipeline. */
  #unsent: { line: string; pending: Pending }[] = [];
  #out = '';
  /** When the reply that is waited for is late; null: none is waited for. As performance.now() counts. */
  #deadline: number | null = null;
  #timer: NodeJS.Timeout | null = null;
  #timerEnds = 0;
  #lost: string | null = null;
  #lostListener: ((reason: string) => void) | null = null;

  /** `verified`: TLS on this socket counts, since the server has shown who it is. */
  constructor(socket: Socket, name: string, protocol: MailProtocol = 'smtp', verified = true) {
    this.#socket = socket;
    this.name = name;
    this.protocol = protocol;
    this.#verified = verified;
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onEnd);
    socket.on('error', this.#onError);
    if (socket.destroyed) this.#onEnd();
  }

  /** By TLS, whoever it is. */
  get encrypted(): boolean {
    return this.#socket instanceof TLSSocket;
  }

  get secure(): boolean {
    return this.#verified && this.#socket instanceof TLSSocket;
  }

  get extensions(): Extensions {
    return this.#extensions;
  }

  /** Set by whoever has read the EHLO reply. */
  useExtensions(extensions: Extensions): void {
    this.#extensions = extensions;
  }

  get lost(): string | null {
    return this.#lost;
  }

  /** It stands, and no reply is to come. */
  get atRest(): boolean {
    return this.#lost === null && this.#pending.length === 0 && !this.#replies.hasUnread;
  }

  whenLost(listener: (reason: string) => void): void {
    this.#lostListener = listener;
  }

  /** The 220 that a server speaks first. RFC 5321 §3.1. */
  greeting(): Promise<Answer> {
    return this.#expect(limits.smtp.upstreamCommandTimeoutMs, true).answer;
  }

  command(line: string, timeoutMs: number = limits.smtp.upstreamCommandTimeoutMs): Promise<Answer> {
    // The one place where text becomes commands: what the parser let through cannot become two.
    if (/[\r\n\0]/.test(line)) throw new Error('a command contains a line end');
    if (this.#pending.length > 0 && !this.#extensions.has('PIPELINING')) {
      const { answer, pending } = this.#pendingFor(timeoutMs, true);
      if (this.#lost === null) this.#unsent.push({ line, pending });
      return answer;
    }
    this.#send(line);
    return this.#expect(timeoutMs, true).answer;
  }

  secret(line: Buffer): Promise<Answer> {
    const { answer } = this.#expect(limits.smtp.upstreamCommandTimeoutMs, true);
    if (this.#lost !== null) {
      line.fill(0);
      return answer;
    }
    this.#flush();
    this.#socket.write(line, () => line.fill(0));
    return answer;
  }

  async data(message: OctetSource): Promise<Answer> {
    if (this.protocol === 'lmtp') throw new Error('LMTP answers for each recipient');
    const [answer] = await this.#transmit(message, 1);
    if (answer === undefined) throw new Error('no answer was waited for');
    return answer;
  }

  async dataForEach(message: OctetSource, recipients: number): Promise<readonly Answer[]> {
    if (this.protocol === 'lmtp') return await this.#transmit(message, recipients);
    const answer = await this.data(message);
    return Array.from({ length: recipients }, () => answer);
  }

  /** `replies`: how many follow the end of data. */
  async #transmit(message: OctetSource, replies: number): Promise<readonly Answer[]> {
    const octets = octetsInMemory(message);
    const parts = octets === null || octets.length > ONE_WRITE ? 'in blocks' : stuffed(octets);
    if (parts === null) throw new Error(FAULTY_LINES);
    const go = await this.#mayFollow(replies);
    if (go !== 'yes') return go;
    if (parts !== 'in blocks') {
      const answers = this.#expectReplies(replies, limits.smtp.upstreamEndOfDataTimeoutMs, true);
      if (this.#lost === null)
        this.#socket.write(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts));
      return await Promise.all(answers.map(({ answer }) => answer));
    }
    const answers = this.#expectReplies(replies, limits.smtp.upstreamBlockTimeoutMs, false);
    await this.#writeInBlocks(message);
    for (const { pending } of answers) {
      pending.sent = true;
      pending.timeoutMs = limits.smtp.upstreamEndOfDataTimeoutMs;
    }
    this.#arm();
    return await Promise.all(answers.map(({ answer }) => answer));
  }

  /** DATA; the message follows only after 354. */
  async #mayFollow(replies: number): Promise<'yes' | readonly Answer[]> {
    const everybody = (answer: Answer) => Array.from({ length: replies }, () => answer);
    const go = await this.command('DATA', limits.smtp.upstreamDataTimeoutMs);
    if (go.kind === 'lost') return everybody({ ...go, unsent: true });
    if (go.reply.code >= 400) return everybody(go);
    if (go.reply.code === 354) return 'yes';
    // RFC 5321 §4.3.2: whoever takes a 2xx for an acceptance has sent no message.
    this.#lose('it did not ask for the message');
    return everybody({
      kind: 'lost',
      reason: `it answered DATA with ${summary(go.reply)}`,
      unsent: true,
    });
  }

  quit(): void {
    this.#lostListener = null;
    if (this.#lost !== null) return;
    if (this.#pending.length > 0) {
      this.abandon();
      return;
    }
    // RFC 5321 §4.1.1.10 asks to wait for the 221, but nobody waits long for a farewell.
    void this.command('QUIT', 2_000).then(() => this.abandon());
  }

  abandon(reason = 'the session is over'): void {
    this.#lostListener = null;
    this.#lose(reason);
  }

  /**
   * Gives the socket away for a TLS handshake. Null when the server has said anything behind its 220: that would have come
   * without protection and be read as if it had been protected (RFC 3207 §6, response injection).
   */
  detach(): Socket | null {
    if (this.#lost !== null || this.#pending.length > 0 || this.#replies.hasUnread) {
      this.#lose('it spoke before the TLS handshake');
      return null;
    }
    this.#socket.off('data', this.#onData);
    this.#socket.off('end', this.#onEnd);
    this.#socket.off('close', this.#onEnd);
    this.#socket.off('error', this.#onError);
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#lost = 'the connection has been handed on';
    return this.#socket;
  }

  #pendingFor(timeoutMs: number, sent: boolean): Expected {
    const { promise, resolve } = Promise.withResolvers<Answer>();
    if (this.#lost !== null) resolve({ kind: 'lost', reason: this.#lost });
    return { answer: promise, pending: { timeoutMs, sent, settle: resolve } };
  }

  #expect(timeoutMs: number, sent: boolean): Expected {
    const expected = this.#pendingFor(timeoutMs, sent);
    if (this.#lost === null) {
      this.#pending.push(expected.pending);
      if (this.#pending.length === 1) this.#arm();
    }
    return expected;
  }

  #expectReplies(count: number, timeoutMs: number, sent: boolean): Expected[] {
    return Array.from({ length: count }, () => this.#expect(timeoutMs, sent));
  }

  #send(line: string): void {
    if (this.#lost !== null) return;
    if (this.#out === '') atEndOfTurn(this.#onEndOfTurn);
    this.#out += `${line}\r\n`;
  }

  #flush(): void {
    const text = this.#out;
    this.#out = '';
    if (text !== '' && this.#lost === null) this.#socket.write(text, 'utf8');
  }

  /** Until it is whole, or the connection is gone. */
  async #writeInBlocks(message: OctetSource): Promise<void> {
    try {
      for await (const block of inBlocks(message)) {
        if (this.#lost !== null) return;
        await this.#written(block);
        this.#arm();
      }
    } catch (error) {
      this.#lose('the message could not be sent whole');
      throw error;
    }
  }

  /** Resolves when the socket is done with the octets: they may be overwritten then. */
  #written(octets: Buffer): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#socket.off('close', done);
        resolve();
      };
      this.#socket.once('close', done);
      this.#socket.write(octets, done);
    });
  }

  #receive(chunk: Buffer): void {
    this.#replies.push(chunk);
    while (this.#lost === null) {
      const outcome = this.#replies.next();
      if (outcome === null) return;
      if (outcome.kind === 'malformed') this.#lose(outcome.reason);
      else this.#answer(outcome.reply);
    }
  }

  #answer(reply: Reply): void {
    const pending = this.#pending.shift();
    if (pending === undefined) {
      this.#lose(reply.code === 421 ? `it said ${summary(reply)}` : 'it sent a reply that nobody asked for');
      return;
    }
    if (!pending.sent) {
      // A refusal in the middle of a message counts; an acceptance cannot be meant for all of it.
      this.#pending.unshift(pending);
      if (reply.code >= 400)
        for (const each of this.#pending.splice(0)) each.settle({ kind: 'reply', reply });
      this.#lose('it replied before the end of the message');
      return;
    }
    pending.settle({ kind: 'reply', reply });
    const next = this.#unsent.shift();
    if (next !== undefined) {
      this.#send(next.line);
      this.#pending.push(next.pending);
    }
    this.#arm();
  }

  /** From now on the first reply that is waited for has its time; a timer that ends before is left as it is, and looks then. */
  #arm(): void {
    const first = this.#pending[0];
    if (this.#lost !== null || first === undefined) {
      this.#deadline = null;
      return;
    }
    this.#deadline = performance.now() + first.timeoutMs;
    if (this.#timer !== null && this.#timerEnds <= this.#deadline) return;
    this.#startTimer(first.timeoutMs, this.#deadline);
  }

  #startTimer(delayMs: number, ends: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timerEnds = ends;
    // The connection itself keeps the process: a timer that is left over must not.
    this.#timer = setTimeout(() => this.#timerEnded(), delayMs).unref();
  }

  #timerEnded(): void {
    this.#timer = null;
    if (this.#deadline === null) return;
    const left = this.#deadline - performance.now();
    // Timers may end a little early.
    if (left <= 1) this.#lose('it did not reply in time');
    else this.#startTimer(left, this.#deadline);
  }

  #lose(reason: string): void {
    if (this.#lost !== null) return;
    this.#lost = reason;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const unanswered = [...this.#pending, ...this.#unsent.map((entry) => entry.pending)];
    this.#pending = [];
    this.#unsent = [];
    for (const pending of unanswered) pending.settle({ kind: 'lost', reason });
    this.#socket.destroy();
    this.#lostListener?.(reason);
    this.#lostListener = null;
  }
}
