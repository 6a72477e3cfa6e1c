import type { Extensions } from '../smtp/extensions.ts';
import { isCompleted, reply } from '../smtp/reply.ts';
import type { Answer, MailProtocol, Upstream } from '../smtp-out/client.ts';

/**
 * The mail server of a session whose mail goes into the queue: it decides who logs in, and hears nothing of the mail. MAIL, RCPT and RSET are
 * answered here. Once the login is known it is let go.
 */
export class QueuedUpstream implements Upstream {
  readonly name: string;
  readonly protocol: MailProtocol = 'smtp';
  readonly secure = true;
  readonly extensions: Extensions;
  readonly #logins: Upstream | null;
  #letGo = false;

  /** @param logins null: nobody logs in */
  constructor(logins: Upstream | null) {
    this.#logins = logins;
    this.name = logins?.name ?? 'queue';
    const mechanisms = logins?.extensions.get('AUTH');
    this.extensions = new Map([
      ...OWN_EXTENSIONS,
      ...(mechanisms === undefined ? [] : [['AUTH', mechanisms] as const]),
    ]);
  }

  get lost(): string | null {
    return this.#letGo ? null : (this.#logins?.lost ?? null);
  }

  whenLost(listener: (reason: string) => void): void {
    this.#logins?.whenLost((reason) => {
      if (!this.#letGo) listener(reason);
    });
  }

  async command(line: string): Promise<Answer> {
    const [verb = ''] = /^[A-Z]+(?= (?:FROM|TO):|$)/.exec(line) ?? [];
    if (verb === 'MAIL' || verb === 'RCPT') return said(250, verb === 'MAIL' ? '2.1.0' : '2.1.5', 'Ok');
    if (verb === 'RSET' || verb === 'NOOP') return said(250, '2.0.0', 'Ok');
    return this.#loggingIn((server) => server.command(line));
  }

  secret(line: Buffer): Promise<Answer> {
    return this.#loggingIn((server) => server.secret(line));
  }

  /** Nothing is handed over to it. */
  data(): Promise<Answer> {
    return Promise.resolve(NOT_HERE);
  }

  dataForEach(): Promise<readonly Answer[]> {
    return Promise.resolve([NOT_HERE]);
  }

  quit(): void {
    if (!this.#letGo) this.#logins?.quit();
    this.#letGo = true;
  }

  abandon(reason?: string): void {
    if (!this.#letGo) this.#logins?.abandon(reason);
  }

  async #loggingIn(ask: (server: Upstream) => Promise<Answer>): Promise<Answer> {
    if (this.#logins === null || this.#letGo) return said(503, '5.5.1', 'Bad sequence of commands');
    const answer = await ask(this.#logins);
    // RFC 4954 §4: whoever has logged in does so no second time.
    if (answer.kind === 'reply' && answer.reply.code === 235 && isCompleted(answer.reply)) this.quit();
    return answer;
  }
}

/** What the queue keeps of a mail's envelope and octets, whatever the server behind it says. */
const OWN_EXTENSIONS: readonly (readonly [string, readonly string[]])[] = [
  ['PIPELINING', []],
  ['8BITMIME', []],
  ['SMTPUTF8', []],
  ['DSN', []],
  ['ENHANCEDSTATUSCODES', []],
  ['SIZE', []],
  ['REQUIRETLS', []],
];

const NOT_HERE: Answer = { kind: 'lost', reason: 'the mail goes into the queue', unsent: true };

function said(code: number, enhanced: string, text: string): Answer {
  return { kind: 'reply', reply: reply(code, enhanced, text) };
}
