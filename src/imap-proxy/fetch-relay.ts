import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { HeaderCleaner, withoutForgedStatus } from '../mail-view/forged-status.ts';
import { classifyHeader, type ViewKind } from '../mail-view/message-class.ts';
import type { OpenedView } from '../reading/reader-views.ts';
import type { Withheld } from '../reading/withheld.ts';
import type { Answer } from './answer.ts';
import { needsView, newsOf } from './fetch-answer.ts';
import type { FetchItems } from './fetch-plan.ts';
import { FetchResponseReader, numberOf, type ResponseItem } from './fetch-response.ts';
import type { LiteralSize } from './framer.ts';
import { Gathering, type GatheringPlaces, isOriginal, type Original } from './gathering.ts';
import { HeaderPeek } from './header-peek.ts';
import type { MailboxViews } from './mailbox-views.ts';
import { answerFor, cachedView, listedMessage, openOriginal } from './opened-answer.ts';
import type { Parked, Pending } from './pending.ts';
import {
  isGone,
  isHeader,
  isHeaderFromStart,
  isNilOrEmpty,
  isPiece,
  isPieceFromHeader,
  isSuspectStructure,
  isWholeFromStart,
  originOf,
} from './response-items.ts';
import type { Waits } from './waits.ts';

/** Neutral literals of one response that are held until it is known what its message is. */
const HELD_OCTETS = 1024 * 1024;
/** Clear-signed messages up to this size are shown to the story after they have gone to the client. */
const OBSERVED_OCTETS = 1024 * 1024;

export type RelayContext = {
  views: MailboxViews;
  places: GatheringPlaces;
  items: FetchItems;
  waits: Waits;
  /** A piece of this response. */
  write(octets: Buffer): Promise<void> | null;
  /** A whole response, now or as soon as the one that is arriving has ended. */
  say(response: Buffer | Answer): Promise<void> | null;
  /** What goes on while other responses arrive. */
  inBackground(work: Promise<void>): void;
  /** The client's FETCH that is being answered. */
  fetchOf(msn: number, uid: number | null): Pending | null;
  /** UIDs learnt just before a FETCH by message number. */
  uids: ReadonlyMap<number, number>;
  /** A clear-signed message that was passed on. */
  observe(octets: Buffer): void;
};

type LiteralAction =
  | { kind: 'pass' }
  | { kind: 'nested' }
  | { kind: 'drop' }
  | { kind: 'collect'; item: ResponseItem; chunks: Buffer[] }
  | { kind: 'peek'; item: ResponseItem; size: number; peek: HeaderPeek }
  /** Shown as stored, but still in its header: beyond what is read as one, or a piece of it. */
  | { kind: 'clean'; item: ResponseItem; cleaner: HeaderCleaner; end: number }
  | { kind: 'gather'; gathering: Gathering }
  | { kind: 'observe'; octets: Buffer; filled: number };

/**
 * One FETCH response on its way to the client.
 *
 * Until it is known whether its message is shown as stored, its octets are held (they are few: a message that is
 * downloaded tells by its header). Then it either streams through, or is read to its end and answered from the view.
 * Must never happen: a literal of a view announced before all its octets exist, or stored and decrypted octets of one
 * message in one response.
 */
export class FetchRelay {
  readonly #context: RelayContext;
  readonly #msn: number;
  readonly #reader: FetchResponseReader;
  #mode: 'undecided' | 'shell' | 'identity' | 'verbatim' | 'dropped' = 'undecided';
  #view: Exclude<ViewKind, 'identity'> = 'shell';
  #raw: Buffer[] = [];
  #held = 0;
  #action: LiteralAction = { kind: 'pass' };
  readonly #literals = new Map<ResponseItem, Buffer>();
  #gathering: Gathering | null = null;
  /** The view that stands in for what is not gathered. */
  #cached: OpenedView | null = null;
  #observed: Buffer | null = null;

  constructor(context: RelayContext, msn: number) {
    this.#context = context;
    this.#msn = msn;
    this.#reader = new FetchResponseReader(context.items);
  }

  /**
   * Goes on with a response about a message that is shown as stored, whose first line and literal have gone to the client.
   *
   * @param line the first one, from the octet after `FETCH `
   */
  static behindLiteral(context: RelayContext, msn: number, line: Buffer, size: number): FetchRelay {
    const relay = new FetchRelay(context, msn);
    relay.#mode = 'identity';
    relay.#reader.line(line, { size, nonSync: false, literal8: false }, true);
    return relay;
  }

  /** `at`: offset after `FETCH ` in the first line, 0 in others. */
  line(octets: Buffer, at: number, literal: LiteralSize | null): Promise<void> | null {
    if (this.#mode === 'verbatim') {
      this.#action = { kind: 'pass' };
      return this.#context.write(octets);
    }
    const announced = this.#reader.line(octets.subarray(at), literal, at > 0);
    if (announced === false) return this.#giveUp(octets);
    this.#emit(this.#withoutUid(octets, at));
    if (this.#mode === 'undecided') this.#decideByUid();
    if (literal === null) return this.#finish();
    if (announced === null) {
      this.#action = { kind: 'nested' };
      return null;
    }
    return this.#begin(announced, literal.size);
  }

  /** A line as the client has asked for it: without the UID that only the gateway wanted. */
  #withoutUid(octets: Buffer, at: number): Buffer {
    const { uidAt } = this.#reader;
    if (uidAt === null || this.#pending()?.addedUid !== true) return octets;
    const start = at + uidAt.start;
    const end = at + uidAt.end;
    if (octets[end] === SP) return Buffer.concat([octets.subarray(0, start), octets.subarray(end + 1)]);
    // A response with nothing else in it stays as it is.
    if (octets[start - 1] !== SP) return octets;
    return Buffer.concat([octets.subarray(0, start - 1), octets.subarray(end)]);
  }

  literal(octets: Buffer, remaining: number): Promise<void> | null {
    const action = this.#action;
    switch (action.kind) {
      case 'pass':
        return this.#emit(octets);
      case 'nested':
        this.#reader.nestedLiteral(octets);
        return this.#emit(octets);
      case 'drop':
        return null;
      case 'collect':
        action.chunks.push(octets);
        return remaining === 0 ? this.#collected(action.item, Buffer.concat(action.chunks)) : null;
      case 'peek': {
        const seen = action.peek.push(octets, remaining === 0);
        if (seen === null) return null;
        if (!seen.whole && this.#mode === 'undecided') {
          this.#action = this.#drop(HEADER_TOO_LARGE);
          return null;
        }
        return this.#headerSeen(action, seen.header, seen.rest);
      }
      case 'clean':
        return this.#emit(action.cleaner.clean(octets));
      case 'gather':
        return action.gathering.write(octets);
      case 'observe':
        action.filled += octets.copy(action.octets, action.filled);
        return this.#emit(octets);
    }
  }

  /** What a lost connection leaves behind. */
  abandon(): void {
    void this.#gathering?.abandon();
    this.#releaseCached();
  }

  /** Not in the grammar: passed on as stored, whatever it is, unless its message has a view. */
  #giveUp(octets: Buffer): Promise<void> | null {
    if (this.#mode === 'shell' || this.#mode === 'dropped') {
      this.abandon();
      if (this.#mode === 'shell') this.#drop();
      this.#action = DROP;
      return null;
    }
    this.#decide('identity');
    this.#mode = 'verbatim';
    this.#action = { kind: 'pass' };
    return this.#context.write(octets);
  }

  #emit(octets: Buffer): Promise<void> | null {
    if (this.#mode === 'identity') return this.#context.write(octets);
    if (this.#mode === 'undecided') {
      this.#raw.push(octets);
      this.#held += octets.length;
      if (this.#held > limits.imap.upstreamLineOctets + HELD_OCTETS) throw tooMuch();
    }
    return null;
  }

  #decide(kind: ViewKind): void {
    this.#mode = kind === 'identity' ? 'identity' : 'shell';
    if (kind !== 'identity') this.#view = kind;
    if (kind === 'identity') for (const octets of this.#raw) this.#context.write(octets);
    this.#raw = [];
  }

  #uid(): number | null {
    const { uids } = this.#context;
    return numberOf(this.#reader.items, 'UID') ?? uids.get(this.#msn) ?? this.#onlyUid();
  }

  /** Some servers say it behind the octets: those of a message are of the one that was asked for, if nothing else is on its way. */
  #onlyUid(): number | null {
    if (!this.#reader.items.some(({ value }) => value.kind === 'literal')) return null;
    const pending = this.#context.fetchOf(this.#msn, null);
    return pending?.held === true ? pending.onlyUid : null;
  }

  /** The command that is being answered. */
  #pending(): Pending | null {
    return this.#context.fetchOf(this.#msn, this.#uid());
  }

  #decideByUid(): void {
    const uid = this.#uid();
    const known = uid === null ? null : this.#context.views.known(uid);
    if (known !== null) this.#decide(known);
  }

  /** Chooses what is done with the literal that follows. */
  #begin(item: ResponseItem, size: number): Promise<void> | null {
    this.#action = this.#actionFor(item, size);
    if (this.#action === GATHER) return this.#gather(size, []);
    // An empty literal has no octets to wait for.
    if (size === 0 && this.#action.kind === 'collect') return this.#collected(item, Buffer.alloc(0));
    return null;
  }

  #actionFor(item: ResponseItem, size: number): LiteralAction {
    const need = this.#context.items.need(item.item);
    const small = size <= limits.mail.headerOctets;
    switch (this.#mode) {
      case 'identity':
        if (isWholeFromStart(item)) return { kind: 'peek', item, size, peek: new HeaderPeek() };
        if (isPieceFromHeader(item)) return this.#laterPiece(item, size);
        if (!isHeader(item)) return { kind: 'pass' };
        return small && !isPiece(item) ? { kind: 'collect', item, chunks: [] } : this.#longHeader(item, size);
      case 'shell':
        if (need === 'whole') return this.#gathering !== null || this.#isCached() ? DROP : GATHER;
        if (small && (need === 'nothing' || need === 'shape' || mayBeAsStored(item)))
          return { kind: 'collect', item, chunks: [] };
        return { kind: 'drop' };
      case 'undecided':
        if (need === 'whole') return { kind: 'peek', item, size, peek: new HeaderPeek() };
        if (need === 'nothing' || need === 'class' || need === 'class-held') {
          if (size <= HELD_OCTETS) return { kind: 'collect', item, chunks: [] };
          if (need === 'class') return this.#drop();
          throw tooMuch();
        }
        if (size <= limits.mail.classifiedOctets) return { kind: 'collect', item, chunks: [] };
        return this.#drop(HEADER_TOO_LARGE);
      default:
        return { kind: 'drop' };
    }
  }

  /** Larger than any header that is looked at as a whole, or a piece of one that may go on in the next. */
  #longHeader(item: ResponseItem, size: number): LiteralAction {
    const cleaner = new HeaderCleaner(this.#context.views.names);
    return { kind: 'clean', item, cleaner, end: originOf(item) + size };
  }

  /** A piece that begins where the one before stopped in the middle of the header. */
  #laterPiece(item: ResponseItem, size: number): LiteralAction {
    const origin = originOf(item);
    const uid = this.#uid();
    const cleaner = uid === null ? null : this.#context.views.headers.take(uid, origin);
    return cleaner === null ? { kind: 'pass' } : { kind: 'clean', item, cleaner, end: origin + size };
  }

  /** Nobody can say what this message is, so nothing of it is shown. */
  #drop(reason: Withheld = NOT_FOLLOWED): LiteralAction {
    this.#mode = 'dropped';
    this.#raw = [];
    this.#withhold(reason);
    return { kind: 'drop' };
  }

  #isCached(): boolean {
    const uid = this.#uid();
    if (uid !== null) this.#cached ??= cachedView(this.#context.views, uid);
    return this.#cached !== null;
  }

  #releaseCached(): void {
    if (this.#cached?.kind === 'view') this.#cached.release();
  }

  #collected(item: ResponseItem, octets: Buffer): Promise<void> | null {
    const { views } = this.#context;
    const clean = withoutForgedStatus(octets, views.names);
    this.#literals.set(item, clean);
    const need = this.#context.items.need(item.item);
    if (this.#mode === 'undecided' && (need === 'shape' || need === 'view')) {
      this.#decide(views.kindOf(classifyHeader(clean), this.#uid()));
    }
    return this.#emit(clean);
  }

  #headerSeen(
    action: Extract<LiteralAction, { kind: 'peek' }>,
    header: Buffer,
    rest: Buffer,
  ): Promise<void> | null {
    const { views } = this.#context;
    const messageClass = classifyHeader(header);
    if (this.#mode === 'undecided') this.#decide(views.kindOf(messageClass, this.#uid()));
    if (this.#mode === 'shell') return this.#gather(action.size, [header, rest]);
    const cleaner = new HeaderCleaner(views.names);
    const clean = cleaner.clean(header);
    const end = originOf(action.item) + action.size;
    this.#action = cleaner.ended ? { kind: 'pass' } : { kind: 'clean', item: action.item, cleaner, end };
    const learnable = cleaner.ended && (messageClass === 'clear-signed' || messageClass === 'certificates');
    if (learnable && action.size <= OBSERVED_OCTETS && action.item.item.kind === 'section') {
      const octets = Buffer.allocUnsafe(action.size);
      const filled = header.copy(octets) + rest.copy(octets, header.length);
      if (this.#context.items.need(action.item.item) === 'whole')
        this.#action = { kind: 'observe', octets, filled };
      this.#observed = octets;
    }
    this.#emit(clean);
    // Cut in the middle of its last line a header looks longer to one reader than to the other.
    return this.#emit(cleaner.ended ? rest : cleaner.clean(rest));
  }

  /** Keeps the whole literal, as soon as there is a place for it. */
  async #gather(size: number, begun: readonly Buffer[]): Promise<void> {
    const { waits, places } = this.#context;
    // One at a time, so that no more than one message of a session waits for a person.
    if (waits.opening) await waits.free();
    const gathering = await Gathering.begin(places, size);
    this.#gathering = gathering;
    this.#action = { kind: 'gather', gathering };
    for (const each of begun) await gathering.write(each);
  }

  #finish(): Promise<void> | null {
    switch (this.#mode) {
      case 'undecided':
        return this.#finishUndecided();
      case 'identity':
        this.#learn('identity');
        this.#rememberHeader();
        if (this.#action.kind === 'observe' && this.#observed !== null) this.#context.observe(this.#observed);
        return null;
      case 'shell':
        return this.#finishShell();
      case 'verbatim':
      case 'dropped':
        return null;
    }
  }

  /** For the next piece, where this one ended inside the header. */
  #rememberHeader(): void {
    const uid = this.#uid();
    const action = this.#action;
    if (uid === null || action.kind !== 'clean' || action.cleaner.ended) return;
    const { item } = action;
    // Octets of chosen fields are counted otherwise.
    const counted = isWholeFromStart(item) || isPieceFromHeader(item) || isHeaderFromStart(item);
    if (isPiece(item) && counted) this.#context.views.headers.keep(uid, action.end, action.cleaner);
  }

  #learn(kind: ViewKind): void {
    const uid = this.#uid();
    const { items } = this.#reader;
    if (uid !== null && items.some((each) => each.item.kind !== 'neutral'))
      this.#context.views.learn(uid, kind);
  }

  #finishUndecided(): Promise<void> | null {
    const { items } = this.#reader;
    if (items.some(isSuspectStructure)) {
      this.#park(this.#raw);
      return null;
    }
    if (items.some((each) => needsClass(this.#context.items.need(each.item)) && !isNilOrEmpty(each))) {
      this.#park(this.#raw);
      return null;
    }
    // Nothing in it differs between a message and its view, or its message is gone.
    this.#decide('identity');
    return null;
  }

  async #finishShell(): Promise<void> {
    try {
      const gathered = (await this.#gathering?.finish()) ?? null;
      if (gathered !== null && !isOriginal(gathered)) return this.#withhold(gathered);
      await this.#answerShell(gathered);
    } finally {
      this.#releaseCached();
    }
  }

  async #answerShell(original: Original | null): Promise<void> {
    const { views } = this.#context;
    const { items } = this.#reader;
    const uid = this.#uid();
    if (uid !== null) views.learn(uid, this.#view);
    const listed = uid === null ? views.listed(0) : await listedMessage(views, uid);
    const missing = !this.#isCached() && needsView(items, views.names, listed);
    if (uid === null || (missing && original === null)) {
      await original?.discard();
      if (!items.some(isGone)) this.#park(null);
      return;
    }
    if (missing && original !== null) return await this.#open(uid, original);
    await original?.discard();
    const stored = { msn: this.#msn, items, literals: this.#literals };
    await this.#sayAnswer(await answerFor(views, uid, stored, this.#cached, this.#pending(), listed));
  }

  /** Opens and answers. Where a key is waited for the answer comes behind what arrives meanwhile. */
  async #open(uid: number, original: Original): Promise<void> {
    const { say, inBackground } = this.#context;
    const pending = this.#pending();
    const { result, soon } = openOriginal(this.#context, uid, original, pending);
    if (await soon) return await this.#answer(uid, await result);
    const { news, rest } = newsOf(this.#msn, this.#reader.items);
    if (news !== null) await say(news);
    const answered = result.then((opened) => this.#answer(uid, opened, rest, pending));
    pending?.postponed.push(answered);
    inBackground(answered);
  }

  async #answer(
    uid: number,
    opened: OpenedView | null,
    items: readonly ResponseItem[] = this.#reader.items,
    pending: Pending | null = this.#pending(),
  ): Promise<void> {
    const stored = { msn: this.#msn, items, literals: this.#literals };
    await this.#sayAnswer(await answerFor(this.#context.views, uid, stored, opened, pending), pending);
  }

  async #sayAnswer(answer: Answer | Withheld, pending: Pending | null = this.#pending()): Promise<void> {
    if ('code' in answer) this.#withhold(answer, pending);
    else await this.#context.say(answer);
  }

  #park(raw: readonly Buffer[] | null): void {
    const pending = this.#pending();
    const parked: Parked = {
      msn: this.#msn,
      uid: this.#uid(),
      items: this.#reader.items,
      literals: this.#literals,
      raw,
    };
    if (pending?.held) pending.parked.push(parked);
    else this.#withhold({ code: 'SERVERBUG', text: 'A message could not be opened in time.' });
  }

  #withhold(reason: Withheld, pending: Pending | null = this.#pending()): void {
    pending?.withhold(reason);
  }
}

const SP = 0x20;
const NOT_FOLLOWED: Withheld = {
  code: 'SERVERBUG',
  text: 'The mail server answered in a way that could not be followed.',
};
/** What it is would have to be guessed from a part of its header. */
const HEADER_TOO_LARGE: Withheld = { code: 'LIMIT', text: 'The header of a message is too large.' };
const DROP: LiteralAction = { kind: 'drop' };
/** A literal that is kept, before there is a place for it. */
const GATHER: LiteralAction = { kind: 'drop' };

/** Its octets may be all that is needed, or none of them. */
function mayBeAsStored({ item }: ResponseItem): boolean {
  if (item.kind === 'preview') return true;
  return item.kind === 'section' && item.partial === null && item.section.kind === 'fields';
}

function needsClass(need: ReturnType<FetchItems['need']>): boolean {
  return need === 'class' || need === 'class-held';
}

function tooMuch(): SealgateError {
  return new SealgateError({
    code: 'upstream.framing',
    publicText: 'The mail server sent more than can be followed.',
    duration: 'permanent',
    reason: 'a FETCH response that does not tell what its message is',
  });
}
