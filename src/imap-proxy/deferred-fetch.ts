import type { MessageClass, ViewKind } from '../mail-view/message-class.ts';
import type { OpenedView } from '../reading/reader-views.ts';
import type { Withheld } from '../reading/withheld.ts';
import { needsView, newsOf } from './fetch-answer.ts';
import { isOriginal, type Original } from './gathering.ts';
import type { Injected } from './injected-fetch.ts';
import { answerFor, cachedView, listedMessage, openOriginal } from './opened-answer.ts';
import type { Parked, Pending } from './pending.ts';
import type { Exchange } from './session.ts';
import { finalReply } from './tagged-reply.ts';
import type { Turn } from './turn.ts';
import type { UpstreamSide } from './upstream-side.ts';

export type DeferredParts = {
  exchange: Exchange;
  upstreamSide: UpstreamSide;
  turn: Turn;
  byUid: boolean;
  pending: Pending;
  /**
   * Messages of which it has to be known first what they are: digits, colons, commas, * or $, and modifiers that choose among them.
   * null: that is known.
   */
  classify: { set: string; modifiers: string } | null;
  /** Sends the client's command on; false: it ended before it was whole. */
  forward(): true | Promise<boolean>;
};

/**
 * A FETCH whose answer needs more than its responses bring: the gateway asks what its messages are, and fetches those it has
 * to open, by commands of its own, while no command of the client is on its way.
 *
 * Where a key is waited for the client's other commands go on, and it comes back to its own when it is its turn again. Given up,
 * it asks for nothing more and is answered: by then message numbers may mean other messages.
 */
export class DeferredFetch {
  readonly #parts: DeferredParts;
  #letGo: () => void = () => undefined;
  /** `client`: from its command, which nothing of the client overtakes; `own`: taken when it came back; `none`: others go on. */
  #turn: 'client' | 'own' | 'none' = 'client';
  /** Whether others have gone on since it began. */
  #wasAway = false;
  /** While it is away, and from then on where it was given up. */
  #away: { signal: AbortSignal; end: () => void } | null = null;
  #work: Promise<void> = Promise.resolve();
  #left: Parked[] = [];
  /** Another one each time that message numbers have changed. */
  #numbering = 0;

  constructor(parts: DeferredParts) {
    this.#parts = parts;
  }

  /** Resolves when the client's next command may be taken. */
  async begin(): Promise<void> {
    const mayGoOn = new Promise<void>((resolve) => {
      this.#letGo = resolve;
    });
    this.#parts.upstreamSide.renumbered.add(this.#renumbered);
    this.#work = this.#run().finally(() => this.#end());
    await Promise.race([this.#work, mayGoOn]);
  }

  /** What waits has the number that its message has by then; 0: that is not known, or it is gone. */
  readonly #renumbered = (gone: number | null): void => {
    this.#numbering++;
    for (const parked of this.#parts.pending.parked) {
      if (gone === null || parked.msn === gone) parked.msn = 0;
      else if (parked.msn > gone) parked.msn--;
    }
  };

  async #run(): Promise<void> {
    const { exchange, upstreamSide, pending, byUid, classify, forward } = this.#parts;
    await exchange.quiet();
    if (classify !== null && !(byUid && this.#allKnown(classify.set))) await this.#classify(classify);
    const sent = await forward();
    const reply = await pending.done;
    if (!sent) {
      // The upstream ended it before it was whole.
      if (reply.status !== 'lost') await exchange.say(finalReply(pending, reply));
      exchange.finish(pending);
      return;
    }
    upstreamSide.uids.clear();
    this.#left = [...pending.parked];
    for (const parked of pending.parked) {
      if (reply.status !== 'lost') await this.#answerParked(parked);
      pending.answered++;
      this.#left.shift();
    }
    if (pending.postponed.length > 0 || pending.penalty.delayMs > 0) await this.#goAway();
    await exchange.concludeLater(pending, reply);
  }

  /** Whether every message of a set of UIDs is known already; not for sets with `*`, and not for large ones. */
  #allKnown(set: string): boolean {
    const { views } = this.#parts.exchange.parts;
    let count = 0;
    for (const range of set.split(',')) {
      const found = /^([0-9]{1,10})(?::([0-9]{1,10}))?$/.exec(range);
      if (found === null) return false;
      const from = Number(found[1]);
      const to = Number(found[2] ?? found[1]);
      for (let uid = Math.min(from, to); uid <= Math.max(from, to); uid++) {
        if (++count > 1_000 || views.known(uid) === null) return false;
      }
    }
    return true;
  }

  /** Asks for the one field that tells what a message is. */
  async #classify({ set, modifiers }: { set: string; modifiers: string }): Promise<void> {
    const { exchange, upstreamSide, byUid } = this.#parts;
    const { views } = exchange.parts;
    const { uids } = upstreamSide;
    uids.clear();
    await upstreamSide.inject(
      `${byUid ? 'UID ' : ''}FETCH ${set} (UID BODY.PEEK[HEADER.FIELDS (CONTENT-TYPE)])${modifiers}`,
      () => false,
      ({ msn, uid, messageClass }) => {
        if (uid === null) return;
        views.learn(uid, views.kindOf(messageClass, uid));
        if (!byUid) uids.set(msn, uid);
      },
    );
  }

  /**
   * Fetches the message of a response that waits for it, and answers. By message number when the client asked so: the one
   * command in which no EXPUNGE may come (RFC 9051 §7.5.1); by UID otherwise.
   */
  async #answerParked(parked: Parked): Promise<void> {
    const { exchange, upstreamSide, byUid, pending } = this.#parts;
    const { waits, parts } = exchange;
    const { views } = parts;
    if (waits.opening) {
      await this.#goAway();
      await waits.free();
    }
    if (!(await this.#comeBack())) return pending.withhold(GIVEN_UP);
    if (parked.msn === 0 && (!byUid || parked.uid === null)) return;
    const which = byUid && parked.uid !== null ? `UID FETCH ${parked.uid}` : `FETCH ${parked.msn}`;
    const found: Injected[] = [];
    const numbering = this.#numbering;
    let renumbered = false;
    try {
      const listed = parked.uid === null ? views.listed(0) : await listedMessage(views, parked.uid);
      const wanted = needsView(parked.items, views.names, listed);
      const reply = await upstreamSide.inject(
        `${which} (UID BODY.PEEK[])`,
        (messageClass) => wanted && found.length === 0 && this.#kindOf(parked, messageClass) !== 'identity',
        (injected) => found.push(injected),
      );
      if (reply.status === 'lost') return;
      const [message] = found;
      renumbered = byUid && message !== undefined && this.#numbering !== numbering;
      // Without one the message is expunged: its response is left out, as the server would.
      if (message !== undefined && !renumbered) await this.#answerFrom(message, parked);
      else if (message === undefined && reply.status !== 'OK')
        pending.withhold({ code: 'UNAVAILABLE', text: 'A message could not be fetched.' });
    } finally {
      for (const { original } of found) {
        if (original !== null && isOriginal(original)) await original.discard();
      }
    }
    // Its number was another one's by the time it could have been said. Each time, a message fewer is left.
    if (renumbered) await this.#answerParked(parked);
  }

  async #answerFrom(message: Injected, parked: Parked): Promise<void> {
    const { exchange, pending } = this.#parts;
    const { views } = exchange.parts;
    const { uid, msn } = message;
    if (uid === null || (parked.uid !== null && parked.uid !== uid)) {
      const text = 'The mail server answered for another message.';
      return pending.withhold({ code: 'SERVERBUG', text });
    }
    const kind = this.#kindOf({ uid }, message.messageClass);
    views.learn(uid, kind);
    if (kind === 'identity') return this.#asStored(msn, parked);
    let opened: OpenedView | null = cachedView(views, uid);
    if (opened === null && needsView(parked.items, views.names, views.listed(uid))) {
      const { original } = message;
      if (original === null) {
        return pending.withhold({ code: 'SERVERBUG', text: 'A message changed while it was read.' });
      }
      if (!isOriginal(original)) return pending.withhold(original);
      opened = await this.#open(uid, original);
    }
    const answer = await answerFor(views, uid, { ...parked, msn }, opened, pending);
    if ('code' in answer) pending.withhold(answer);
    else await exchange.say(answer);
  }

  #kindOf({ uid }: { uid: number | null }, messageClass: MessageClass): ViewKind {
    const { views } = this.#parts.exchange.parts;
    return (uid === null ? null : views.known(uid)) ?? views.kindOf(messageClass, uid);
  }

  async #asStored(msn: number, { raw }: Parked): Promise<void> {
    const { exchange, pending } = this.#parts;
    if (raw === null) {
      return pending.withhold({ code: 'SERVERBUG', text: 'A message changed while it was read.' });
    }
    // Its flags are from before what others have done meanwhile.
    if (this.#wasAway) return pending.withhold(GIVEN_UP);
    const response = Buffer.concat(raw);
    const numbered = /^\* [0-9]+/.exec(response.toString('latin1', 0, 20))?.[0].length ?? 0;
    await exchange.say(Buffer.concat([Buffer.from(`* ${msn}`), response.subarray(numbered)]));
  }

  async #open(uid: number, original: Original): Promise<OpenedView> {
    const { exchange, pending } = this.#parts;
    const { waits, parts } = exchange;
    const context = { views: parts.views, waits, say: (each: Buffer) => exchange.say(each) };
    const { result, soon } = openOriginal(context, uid, original, pending);
    if (!(await soon)) await this.#goAway();
    return result;
  }

  /** Lets the client's other commands go on. */
  async #goAway(): Promise<void> {
    const { exchange, turn } = this.#parts;
    if (this.#away !== null) return;
    this.#wasAway = true;
    const standing = exchange.waits.stand();
    const end = exchange.inBackground(this.#work);
    this.#away = {
      signal: standing.signal,
      end: () => {
        standing.end();
        end();
      },
    };
    // All at once: their numbers must not change in between.
    const told: Buffer[] = [];
    for (const parked of this.#left) {
      if (parked.msn === 0) continue;
      const { news, rest } = newsOf(parked.msn, parked.items);
      parked.items = rest;
      if (news !== null) told.push(news);
    }
    if (told.length > 0) await exchange.say(Buffer.concat(told));
    const held = this.#turn;
    this.#turn = 'none';
    if (held === 'own') turn.give();
    this.#letGo();
  }

  /** Waits until the upstream may be asked again. false: it was given up, and never may. */
  async #comeBack(): Promise<boolean> {
    const { exchange, turn } = this.#parts;
    const away = this.#away;
    if (away === null) return true;
    if (this.#turn === 'none') {
      if (!(await turn.take(away.signal))) return false;
      this.#turn = 'own';
    }
    if (!(await exchange.quiet(away.signal))) return false;
    away.end();
    this.#away = null;
    return true;
  }

  #end(): void {
    this.#parts.upstreamSide.renumbered.delete(this.#renumbered);
    this.#away?.end();
    if (this.#turn === 'own') this.#parts.turn.give();
    this.#turn = 'none';
  }
}

const GIVEN_UP: Withheld = {
  code: 'UNAVAILABLE',
  key: true,
  text: 'It was not waited for any longer. Open the message again.',
};
