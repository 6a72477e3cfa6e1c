import { SealgateError } from '../../errors.ts';
import { limits } from '../../limits.ts';
import type { AtRestMessages } from '../../reading/at-rest-messages.ts';
import type { Exchange } from '../session.ts';
import type { UpstreamSide } from '../upstream-side.ts';
import type { Written } from '../written-command.ts';
import { listAttributes } from './append-command.ts';
import {
  type AppendDecision,
  type AppendRule,
  decideAppend,
  mayStoreAtRest,
  type SpecialUses,
} from './append-rules.ts';
import { readMailboxName } from './mailbox-name.ts';

/** Mailboxes of all logins into which something was stored encrypted; kept over restarts. */
export interface AtRestMailboxes {
  /** Whether there is one of this login. */
  any(login: string): Promise<boolean>;
  has(login: string, mailbox: string): Promise<boolean>;
  add(login: string, mailbox: string): Promise<void>;
  /** With everything below it. */
  renamed(login: string, from: string, to: string, delimiter: string | null): Promise<void>;
}

export type StoringOptions = {
  login: string;
  rules: readonly AppendRule[];
  messages: AtRestMessages;
  known: AtRestMailboxes;
};

const LIST: ReadonlySet<string> = new Set(['LIST']);

/** How one session stores mail, and in which mailboxes it expects mail that was stored encrypted. */
export class Storing {
  readonly messages: AtRestMessages;
  readonly #options: StoringOptions;
  /** Of mailboxes that are encrypted for it; others are asked about again, since they may be new ones by now. */
  readonly #uses = new Map<string, ReadonlySet<string>>();
  /** Whether encrypted mail is expected there; false: not by the rules. */
  readonly #expected = new Map<string, boolean>();

  constructor(options: StoringOptions) {
    this.messages = options.messages;
    this.#options = options;
  }

  /** Whether anything may be encrypted by the rules of now. */
  get encrypts(): boolean {
    return mayStoreAtRest(this.#options.rules, this.#options.login);
  }

  /** What becomes of a message for this mailbox. The mail server is asked about it where a rule needs that; nothing of the client's may be on its way then. */
  async decide(mailbox: Buffer, exchange: Exchange, upstreamSide: UpstreamSide): Promise<AppendDecision> {
    const { rules, login } = this.#options;
    const place = { login, mailbox: readMailboxName(mailbox) };
    const decision = decideAppend(rules, place, this.#uses.get(place.mailbox) ?? 'not-asked');
    if (decision.kind !== 'depends') return decision;
    const uses = await this.#ask(mailbox, exchange, upstreamSide);
    const found = decideAppend(rules, place, uses);
    const lasting = typeof uses !== 'string' && found.kind === 'at-rest';
    if (lasting && this.#uses.size < limits.atRest.mailboxes) this.#uses.set(place.mailbox, uses);
    return found;
  }

  /** Whether there may be encrypted mail in this mailbox: by the rules of now, or because some was put there. */
  async expects(mailbox: Buffer, exchange: Exchange, upstreamSide: UpstreamSide): Promise<boolean> {
    const name = readMailboxName(mailbox);
    const { known, login } = this.#options;
    const before = this.#expected.get(name);
    if (before === true) return true;
    // Another session may have put some there meanwhile.
    if (await orTrue(known.has(login, name))) {
      this.#remember(name, true);
      return true;
    }
    if (before === false) return false;
    const expected = (await this.decide(mailbox, exchange, upstreamSide)).kind !== 'verbatim';
    this.#remember(name, expected);
    return expected;
  }

  /** Something encrypted was put there, or may have been. */
  async expect(mailbox: Buffer): Promise<void> {
    const name = readMailboxName(mailbox);
    this.#remember(name, true);
    // What the rules say of the mailbox is enough to find it again, as long as they say it.
    await orTrue(this.#options.known.add(this.#options.login, name).then(() => true));
  }

  /** A mailbox has another name, with everything below it. */
  async renamed(from: string, to: string, delimiter: string | null): Promise<void> {
    this.#expected.clear();
    this.#uses.clear();
    await orTrue(this.#options.known.renamed(this.#options.login, from, to, delimiter).then(() => true));
  }

  #remember(mailbox: string, expected: boolean): void {
    if (this.#expected.size >= limits.atRest.mailboxes) this.#expected.clear();
    this.#expected.set(mailbox, expected);
  }

  /** RFC 6154 §3. The name is a pattern too: of several mailboxes, what any of them is for. */
  async #ask(mailbox: Buffer, exchange: Exchange, upstreamSide: UpstreamSide): Promise<SpecialUses> {
    const capabilities = exchange.parts.upstreamCapabilities;
    if (!capabilities.has('SPECIAL-USE')) return 'not-told';
    const options = capabilities.has('LIST-EXTENDED') ? ' RETURN (SPECIAL-USE)' : '';
    await exchange.quiet();
    const written: Written = ['LIST "" ', mailbox, options];
    const { reply, answers } = await upstreamSide.ask(written, LIST);
    if (reply.status !== 'OK') return 'not-told';
    return new Set(answers.flatMap(({ octets }) => listAttributes(octets)));
  }
}

/** Where nobody can tell, it is looked: that costs a command and changes nothing. */
export async function orTrue(known: Promise<boolean>): Promise<boolean> {
  try {
    return await known;
  } catch (error) {
    if (error instanceof SealgateError) return true;
    throw error;
  }
}
