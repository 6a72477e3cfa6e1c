import { SealgateError } from '../../errors.ts';
import { limits } from '../../limits.ts';
import type { AtRestMessages } from '../../reading/at-rest-messages.ts';
import type { Exchange } from '../session.ts';
import type { UpstreamSide } from '../upstream-side.ts';
import type { Written } from '../written-command.ts';
import {
  type AppendDecision,
  type AppendRule,
  decideAppend,
  mayStoreAtRest,
  type SpecialUses,
} from './append-rules.ts';
import { listedMailboxes, statusIds } from './listed-mailboxes.ts';
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
const STATUS: ReadonlySet<string> = new Set(['STATUS']);
const LIST_AND_STATUS: ReadonlySet<string> = new Set(['LIST', 'STATUS']);

/** `ids`: of the mailbox, to find it under another name. */
type Told = { uses: SpecialUses; ids: ReadonlySet<string> };
const NOT_TOLD: Told = { uses: 'not-told', ids: new Set() };
const NOT_THERE: Told = { uses: 'not-there', ids: new Set() };

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
    const said = await this.#ask(mailbox, exchange, upstreamSide);
    const isVerbatim = decideAppend(rules, place, said.uses).kind === 'verbatim';
    const { uses } = isVerbatim
      ? await this.#elsewhere(said, '(SPECIAL-USE) ', exchange, upstreamSide)
      : said;
    const found = decideAppend(rules, place, uses);
    const lasting = typeof uses !== 'string' && found.kind === 'at-rest';
    if (lasting && this.#uses.size < limits.atRest.mailboxes) this.#uses.set(place.mailbox, uses);
    return found;
  }

  /**
   * Whether there may be encrypted mail in this mailbox: by the rules of now, or because some was put there.
   *
   * @param mayAsk whether the mail server may be asked by commands in which messages may go; else there may be some
   */
  async expects(
    mailbox: Buffer,
    exchange: Exchange,
    upstreamSide: UpstreamSide,
    mayAsk: boolean,
  ): Promise<boolean> {
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
    if (!mayAsk) return true;
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
  async #ask(mailbox: Buffer, exchange: Exchange, upstreamSide: UpstreamSide): Promise<Told> {
    const capabilities = exchange.parts.upstreamCapabilities;
    if (!capabilities.has('SPECIAL-USE')) return NOT_TOLD;
    const status = statusReturned(capabilities);
    const options = capabilities.has('LIST-EXTENDED')
      ? ` RETURN (SPECIAL-USE${status === null ? '' : ` STATUS ${status}`})`
      : '';
    await exchange.quiet();
    const written: Written = ['LIST "" ', mailbox, options];
    const { reply, answers } = await upstreamSide.ask(written, status === null ? LIST : LIST_AND_STATUS);
    if (reply.status !== 'OK') return NOT_TOLD;
    const listed = listedMailboxes(answers.map(({ octets }) => octets));
    if (listed.length === 0) return await this.#unlisted(mailbox, exchange, upstreamSide);
    return {
      uses: new Set(listed.flatMap(({ attributes }) => attributes)),
      ids: new Set(listed.flatMap(({ id }) => id ?? [])),
    };
  }

  /** Some have second names for mailboxes, which they list under their first ones only. */
  async #unlisted(mailbox: Buffer, exchange: Exchange, upstreamSide: UpstreamSide): Promise<Told> {
    const status = statusReturned(exchange.parts.upstreamCapabilities);
    if (status === null) return NOT_THERE;
    const { answers } = await upstreamSide.ask(['STATUS ', mailbox, ` ${status}`], STATUS);
    const ids = new Set(statusIds(answers.map(({ octets }) => octets)).values());
    return await this.#elsewhere({ uses: 'not-there', ids }, '', exchange, upstreamSide);
  }

  /** With what the mail server says of the same mailbox under other names. `which`: of which ones it is asked. */
  async #elsewhere(
    { uses, ids }: Told,
    which: '(SPECIAL-USE) ' | '',
    exchange: Exchange,
    upstreamSide: UpstreamSide,
  ): Promise<Told> {
    const status = statusReturned(exchange.parts.upstreamCapabilities);
    if (status === null || ids.size === 0) return { uses, ids };
    const command = `LIST ${which}"" * RETURN (SPECIAL-USE STATUS ${status})`;
    const { reply, answers } = await upstreamSide.ask(command, LIST_AND_STATUS);
    if (reply.status !== 'OK') return NOT_TOLD;
    const same = listedMailboxes(answers.map(({ octets }) => octets)).filter(
      ({ id }) => id !== null && ids.has(id),
    );
    if (same.length === 0) return { uses, ids };
    const known = typeof uses === 'string' ? [] : uses;
    return { uses: new Set([...known, ...same.flatMap(({ attributes }) => attributes)]), ids };
  }
}

/** By what a mailbox is known under another name, as STATUS has it; null: the mail server does not say it of all of them (RFC 5819). */
function statusReturned(capabilities: ReadonlySet<string>): string | null {
  if (!capabilities.has('LIST-EXTENDED') || !capabilities.has('LIST-STATUS')) return null;
  return capabilities.has('OBJECTID') ? '(UIDVALIDITY MAILBOXID)' : '(UIDVALIDITY)';
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
