import { limits } from '../../limits.ts';
import type { ViewKind } from '../../mail-view/message-class.ts';
import { isOriginal, type Original } from '../gathering.ts';
import type { Injected } from '../injected-fetch.ts';
import type { TaggedReply } from '../pending.ts';
import type { Exchange } from '../session.ts';
import type { UpstreamSide } from '../upstream-side.ts';
import type { Written } from '../written-command.ts';
import type { SearchedMailbox } from './merged-search.ts';
import { NumberSet } from './number-set.ts';
import type { Found } from './return-options.ts';
import { type SearchKey, writeKey } from './search-key.ts';
import { readSearchResponse } from './search-response.ts';

/** The mail server has not said OK to a command of the gateway's own, or its answer was not understood. */
export class SearchRefused extends Error {
  override readonly name = 'SearchRefused';
  /** null: it said OK to what nobody understands. */
  readonly reply: TaggedReply | null;

  constructor(reply: TaggedReply | null) {
    super('the mail server refused a search');
    this.reply = reply;
  }
}

/** A message by the number that is searched by, and by its UID. */
export type Numbered = { number: number; uid: number };

const ANSWERS: ReadonlySet<string> = new Set(['SEARCH', 'ESEARCH']);

/**
 * The selected mailbox, searched by commands of the gateway's own while none of the client's is on its way.
 *
 * Holds: with `byUid` false only commands are sent in which no EXPUNGE may come (SEARCH and FETCH by number, RFC 9051 §7.5.1), so
 * that a message number means the same message from the first to the last.
 */
export class UpstreamMailbox implements SearchedMailbox {
  readonly #exchange: Exchange;
  readonly #upstreamSide: UpstreamSide;
  readonly #uid: '' | 'UID ';
  readonly #charset: Written;

  /** `charset`: of the strings in what is searched for; [] for none. */
  constructor(exchange: Exchange, upstreamSide: UpstreamSide, byUid: boolean, charset: Written) {
    this.#exchange = exchange;
    this.#upstreamSide = upstreamSide;
    this.#uid = byUid ? 'UID ' : '';
    this.#charset = charset;
  }

  /** Rejects with SearchRefused. */
  async search(key: SearchKey): Promise<Found> {
    const options = this.#exchange.parts.upstreamCapabilities.has('ESEARCH') ? 'RETURN (ALL) ' : '';
    const written = [`${this.#uid}SEARCH ${options}`, ...this.#charset, ...writeKey(key)];
    const found: Found = { numbers: NumberSet.empty, modSeq: null };
    for (const octets of await this.ask(written, ANSWERS)) {
      const read = readSearchResponse(octets);
      if (read === null) throw new SearchRefused(null);
      found.numbers = found.numbers.or(read.numbers);
      found.modSeq = read.modSeq ?? found.modSeq;
    }
    return found;
  }

  /** The untagged answers to a command. Rejects with SearchRefused. */
  async ask(written: Written, wanted: ReadonlySet<string>): Promise<Buffer[]> {
    const { reply, answers } = await this.#upstreamSide.ask(written, wanted);
    if (reply.status !== 'OK') throw new SearchRefused(reply);
    return answers.map(({ octets }) => octets);
  }

  async viewsAmong(numbers: NumberSet): Promise<NumberSet> {
    return NumberSet.of((await this.views(numbers)).map(({ number }) => number));
  }

  /** By number nothing is known without asking. */
  areAsStored(numbers: NumberSet): boolean {
    const { views } = this.#exchange.parts;
    if (this.#uid === '') return numbers.isEmpty;
    for (const uid of numbers) {
      const kind = views.known(uid);
      if (kind === null || kind === 'shell') return false;
    }
    return true;
  }

  /** Those of the messages that are shown as views. By UID only those are asked for of which it is not known. */
  async views(numbers: NumberSet): Promise<Numbered[]> {
    const { views } = this.#exchange.parts;
    const byUid = this.#uid !== '';
    const shell: Numbered[] = [];
    const unknown: number[] = [];
    for (const number of numbers) {
      const kind = byUid ? views.known(number) : null;
      if (kind === 'shell') shell.push({ number, uid: number });
      else if (kind === null) unknown.push(number);
    }
    await this.classify(NumberSet.of(unknown), ({ msn, uid }, kind) => {
      if (kind === 'shell') shell.push({ number: byUid ? uid : msn, uid });
    });
    return shell;
  }

  /** Asks what messages are; those that are gone are not told of. */
  async classify(
    numbers: NumberSet,
    found: (message: { msn: number; uid: number }, kind: ViewKind) => void,
  ): Promise<void> {
    const { views } = this.#exchange.parts;
    for (const piece of numbers.pieces(limits.imap.searchLineOctets - 100)) {
      const reply = await this.#upstreamSide.inject(
        `${this.#uid}FETCH ${piece} (UID BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE)])`,
        () => false,
        ({ msn, uid, messageClass }) => {
          if (uid === null) return;
          const kind = views.known(uid) ?? views.kindOf(messageClass, uid);
          views.learn(uid, kind);
          found({ msn, uid }, kind);
        },
      );
      if (reply.status === 'lost') throw new SearchRefused(reply);
    }
  }

  /** One message as it is stored; null: it is gone, too large, or no view is made of it. Whoever gets it discards it. */
  async original({ number, uid }: Numbered): Promise<Original | null> {
    const { views } = this.#exchange.parts;
    const found: Injected[] = [];
    const reply = await this.#upstreamSide.inject(
      `${this.#uid}FETCH ${number} (UID BODY.PEEK[])`,
      (messageClass) => found.length === 0 && views.kindOf(messageClass, uid) === 'shell',
      (injected) => found.push(injected),
    );
    let first: Original | null = null;
    for (const { uid: told, original } of found) {
      if (original === null || !isOriginal(original)) continue;
      if (first === null && told === uid && reply.status === 'OK') first = original;
      else await original.discard();
    }
    if (reply.status === 'lost') throw new SearchRefused(reply);
    return first;
  }
}
