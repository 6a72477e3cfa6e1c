import { type Calling, call, callSecurely } from '../connections/call.ts';
import type { MailServer } from '../connections/mail-server.ts';
import { limits } from '../limits.ts';
import type { Secret } from '../log/secret.ts';
import {
  appendCommand,
  type Capabilities,
  type Command,
  largestAppend,
  loginCommand,
  mailboxCommand,
  plainCommand,
} from './commands.ts';
import { ImapConnection } from './connection.ts';
import { capabilitiesIn, type Response, said } from './response.ts';

/** Who logs in. Neither has control characters. */
export type ImapAccount = { login: string; password: Secret };

export type Appended =
  /** `uid`: UIDVALIDITY and UID, with a blank between (RFC 4315 §3); null: the server does not say. */
  | { kind: 'appended'; uid: string | null }
  /** `final`: this message will never be taken. `because`: a clause for people. */
  | { kind: 'refused'; final: boolean; because: string };

/** A command takes no longer than so many times the wait for one response: a server that says something each time does not hold it for days. */
const WAITS = 6;

/** The server's answer to a command. */
type Verdict = Extract<Response, { kind: 'status' }>;

/**
 * A session of the gateway's own with a mail server: logged in, and able to store messages. One command at a time.
 *
 * Must never happen: anything said before TLS outliving it; a session for which nobody has logged in (PREAUTH); a message that counts as
 * stored without the server's OK to its whole.
 */
export class ImapSession {
  #connection: ImapConnection;
  readonly #server: MailServer;
  #capabilities: Capabilities = new Set();
  #tag = 0;

  private constructor(connection: ImapConnection, server: MailServer) {
    this.#connection = connection;
    this.#server = server;
  }

  /**
   * Connects, with TLS as configured, and logs in.
   *
   * @param signal ends the attempt
   * @throws SealgateError `upstream.unreachable`, `upstream.tls`, `upstream.plaintext`, `upstream.refused` (temporary)
   */
  static async open(server: MailServer, account: ImapAccount, signal: AbortSignal): Promise<ImapSession> {
    const calling: Calling = { from: null, timeoutMs: limits.imapOut.connectTimeoutMs, signal };
    const session = new ImapSession(new ImapConnection(await call(server, calling), server), server);
    const abandon = (): void => session.destroy();
    signal.addEventListener('abort', abandon);
    try {
      if (signal.aborted) abandon();
      await session.#greeting();
      if (server.options.tls === 'starttls') await session.#startTls(calling);
      if (session.#capabilities.size === 0) await session.#askCapabilities();
      await session.#logIn(account);
      return session;
    } catch (error) {
      session.destroy();
      throw error;
    } finally {
      signal.removeEventListener('abort', abandon);
    }
  }

  get isLost(): boolean {
    return this.#connection.isLost;
  }

  /**
   * Stores one message, read; makes the mailbox where it is not there.
   *
   * @throws SealgateError `upstream.unreachable`, `upstream.refused` (temporary): nobody knows whether the server has it
   */
  async append(mailbox: string, octets: Buffer): Promise<Appended> {
    const largest = largestAppend(this.#capabilities);
    if (largest !== null && octets.length > largest) {
      return never(`the message has ${octets.length} octets, and the archive takes ${largest}`);
    }
    const command = appendCommand(mailbox, octets, this.#capabilities);
    if (command === null) return never('the message has a NUL, which the archive does not take');
    const first = await this.#command(command, limits.imapOut.appendTimeoutMs);
    // RFC 9051 §7.1: the mailbox is not there, and may be made.
    if (first.code?.name !== 'TRYCREATE' || first.status === 'OK') return outcomeOf(first);
    const made = await this.#command(mailboxCommand('CREATE', mailbox, this.#capabilities));
    // RFC 5530 §3: somebody else may have made it meanwhile.
    if (made.status !== 'OK' && made.code?.name !== 'ALREADYEXISTS') return outcomeOf(made);
    // So that mail programs list it; whether the server has subscriptions does not matter.
    await this.#command(mailboxCommand('SUBSCRIBE', mailbox, this.#capabilities));
    return outcomeOf(await this.#command(command, limits.imapOut.appendTimeoutMs));
  }

  /** Whether it still serves: a server that lost its patience has said so meanwhile. */
  async isAlive(): Promise<boolean> {
    try {
      const verdict = await this.#command(plainCommand('NOOP'), limits.imapOut.connectTimeoutMs);
      return verdict.status === 'OK';
    } catch {
      this.destroy();
      return false;
    }
  }

  /** Says goodbye, and waits for no answer. */
  logOut(): void {
    void this.#connection
      .write(Buffer.from(`${this.#nextTag()} LOGOUT\r\n`))
      .then(() => this.#connection.end())
      .catch(() => this.destroy());
  }

  destroy(): void {
    this.#connection.destroy();
  }

  async #greeting(): Promise<void> {
    const greeting = await this.#connection.next(limits.imapOut.connectTimeoutMs);
    if (greeting.kind !== 'status' || greeting.tag !== null) throw this.#refused('it does not greet');
    if (greeting.status === 'PREAUTH') {
      throw this.#refused('it greets with PREAUTH, so that nobody logs in');
    }
    if (greeting.status !== 'OK') throw this.#refused(`it greets with ${said(greeting.text)}`);
    this.#note(greeting);
  }

  async #startTls(calling: Calling): Promise<void> {
    const verdict = await this.#command(plainCommand('STARTTLS'), limits.imapOut.connectTimeoutMs);
    if (verdict.status !== 'OK') throw this.#refused('it does not start TLS');
    const socket = this.#connection.release();
    this.#connection = new ImapConnection(await callSecurely(this.#server, socket, calling), this.#server);
    // RFC 9051 §6.2.1: what was said before is forgotten.
    this.#capabilities = new Set();
  }

  async #askCapabilities(): Promise<void> {
    const verdict = await this.#command(plainCommand('CAPABILITY'), limits.imapOut.connectTimeoutMs);
    if (verdict.status !== 'OK') throw this.#refused('it does not tell its capabilities');
  }

  async #logIn(account: ImapAccount): Promise<void> {
    const command = loginCommand(this.#capabilities, account);
    if (command === null) throw this.#refused('it offers no login by password');
    // RFC 9051 §6.2.2: after a login they may be others.
    this.#capabilities = new Set();
    const verdict = await this.#command(command);
    if (verdict.status !== 'OK')
      throw this.#refused(`it refuses the login: ${said(withoutPassword(verdict.text, account))}`);
    if (this.#capabilities.size === 0) await this.#askCapabilities();
  }

  /** @returns the tagged response; what is said besides is looked through for capabilities */
  async #command(command: Command, timeoutMs: number = limits.imapOut.commandTimeoutMs): Promise<Verdict> {
    const connection = this.#connection;
    const patience = setTimeout(
      () => connection.destroy('it took too long over one command'),
      WAITS * timeoutMs,
    );
    try {
      return await this.#converse(command, timeoutMs);
    } finally {
      clearTimeout(patience);
    }
  }

  async #converse([first = Buffer.alloc(0), ...further]: Command, timeoutMs: number): Promise<Verdict> {
    const tag = this.#nextTag();
    await this.#connection.write(Buffer.concat([Buffer.from(`${tag} `), first]));
    for (let responses = 0; responses < limits.imapOut.responses; responses++) {
      const response = await this.#connection.next(timeoutMs);
      this.#note(response);
      if (response.kind === 'continue') {
        const piece = further.shift();
        if (piece === undefined) throw this.#refused('it asks for more than there is to say');
        await this.#connection.write(piece);
      } else if (response.kind === 'status' && response.tag !== null) {
        if (response.tag !== tag) throw this.#refused('it answers a command that nobody gave');
        // An OK to half of a command cannot be meant for all of it.
        if (response.status === 'OK' && further.length > 0) {
          throw this.#refused('it answered before the end of a command');
        }
        return response;
      }
    }
    throw this.#refused('it says more than a command is worth');
  }

  #nextTag(): string {
    this.#tag++;
    return `A${this.#tag}`;
  }

  #note(response: Response): void {
    this.#capabilities = capabilitiesIn(response) ?? this.#capabilities;
  }

  /** What cannot be believed any more is the end of the connection. */
  #refused(reason: string): Error {
    this.destroy();
    return this.#connection.failed('upstream.refused', reason);
  }
}

function outcomeOf({ status, code, text }: Verdict): Appended {
  if (status === 'OK') {
    const isUid = code?.name === 'APPENDUID' && /^\d{1,10} \d{1,10}$/.test(code.text);
    return { kind: 'appended', uid: isUid ? code.text : null };
  }
  const because = `the archive said: ${status}${code === null ? '' : ` [${said(code.name)}]`} ${said(text)}`;
  // RFC 7889 §4: of this size never. Whatever else stands against it, somebody may put right.
  return { kind: 'refused', final: code?.name === 'TOOBIG', because };
}

/** Some servers cite the command that they do not like. */
function withoutPassword(text: string, { login, password }: ImapAccount): string {
  const secret = Buffer.from(password.reveal(), 'utf8');
  const coded = Buffer.from(`\0${login}\0${password.reveal()}`, 'utf8').toString('base64');
  const isCited = [secret.toString('latin1'), secret.toString('base64'), coded].some((one) =>
    text.includes(one),
  );
  return isCited ? '(its words have the password in them)' : text;
}

function never(because: string): Appended {
  return { kind: 'refused', final: true, because };
}
