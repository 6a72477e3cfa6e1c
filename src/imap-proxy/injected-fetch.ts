import { limits } from '../limits.ts';
import { classifyHeader, type MessageClass } from '../mail-view/message-class.ts';
import type { Withheld } from '../reading/withheld.ts';
import type { FetchItems } from './fetch-plan.ts';
import { FetchResponseReader, numberOf, type ResponseItem } from './fetch-response.ts';
import type { LiteralSize } from './framer.ts';
import { Gathering, type GatheringPlaces, type Original } from './gathering.ts';
import { HeaderPeek } from './header-peek.ts';

/** What the gateway's own FETCH of one message brought. */
export type Injected = {
  msn: number;
  uid: number | null;
  messageClass: MessageClass;
  /** The header, or those of its fields that were asked for. */
  header: Buffer;
  /** The whole message, where it was asked for and is wanted, or why it could not be had; null: it was not wanted. */
  original: Original | Withheld | null;
  /** The first octets of the body, where a piece of TEXT was asked for; null: it was not, or is longer than asked for. */
  body: Buffer | null;
};

export type InjectedContext = {
  places: GatheringPlaces;
  items: FetchItems;
  write(octets: Buffer): Promise<void> | null;
  /** Whether the whole of a message of that class is wanted. */
  wants(messageClass: MessageClass): boolean;
  /** Its original is the callee's from then on. A promise: to be waited for before the next response. */
  found(injected: Injected): Promise<void> | null;
};

/**
 * One FETCH response while a command of the gateway's own is on its way. A response without message octets is the
 * server's own news (flags of another session) and goes to the client; so do the flags in one that has them.
 */
export class InjectedFetch {
  readonly #context: InjectedContext;
  readonly #msn: number;
  readonly #reader: FetchResponseReader;
  #raw: Buffer[] = [];
  /** What is done with the literal that is arriving: octets of a message that nobody asked for go nowhere. */
  #literal: 'news' | 'message' | 'gather' | 'body' | 'drop' = 'news';
  #body: Buffer[] | null = null;
  #peek: HeaderPeek | null = null;
  #size = 0;
  #messageClass: MessageClass = 'none';
  #header: Buffer = Buffer.alloc(0);
  #gathering: Gathering | null = null;

  constructor(context: InjectedContext, msn: number) {
    this.#context = context;
    this.#msn = msn;
    this.#reader = new FetchResponseReader(context.items);
  }

  line(octets: Buffer, at: number, literal: LiteralSize | null): Promise<void> | null {
    this.#raw.push(octets);
    const announced = this.#reader.line(octets.subarray(at), literal, at > 0);
    if (literal === null) return this.#finish();
    const section = announced !== null && announced !== false && announced.item.kind === 'section';
    if (!section) this.#literal = 'news';
    else if (isBeginningOfText(announced)) {
      const isAsked = this.#body === null && literal.size <= limits.view.peekedOctets;
      this.#literal = isAsked ? 'body' : 'drop';
      if (isAsked) this.#body = [];
    } else if (this.#peek !== null) this.#literal = 'drop';
    else {
      this.#literal = 'message';
      this.#size = literal.size;
      this.#peek = new HeaderPeek();
    }
    return null;
  }

  literal(octets: Buffer, remaining: number): Promise<void> | null {
    if (this.#literal === 'drop') return null;
    if (this.#literal === 'body') {
      this.#body?.push(octets);
      return null;
    }
    if (this.#literal === 'gather') return this.#gathering?.write(octets) ?? null;
    if (this.#literal === 'news') {
      if (this.#reader.nested) this.#reader.nestedLiteral(octets);
      this.#raw.push(octets);
      return null;
    }
    const seen = this.#peek?.push(octets, remaining === 0) ?? null;
    if (seen === null) return null;
    this.#literal = 'drop';
    this.#header = seen.header;
    this.#messageClass = classifyHeader(seen.header);
    return this.#context.wants(this.#messageClass) ? this.#gather(seen.header, seen.rest) : null;
  }

  /** What a lost connection leaves behind. */
  abandon(): void {
    void this.#gathering?.abandon();
  }

  async #gather(header: Buffer, rest: Buffer): Promise<void> {
    this.#literal = 'gather';
    this.#gathering = await Gathering.begin(this.#context.places, this.#size);
    await this.#gathering.write(header);
    await this.#gathering.write(rest);
  }

  async #finish(): Promise<void> {
    const { items } = this.#reader;
    if (!items.some((each) => each.item.kind === 'section')) {
      await this.#context.write(Buffer.concat(this.#raw));
      return;
    }
    // Somebody has expunged it: what it was cannot be told any more.
    if (items.some(isGone)) return;
    await this.#context.found({
      msn: this.#msn,
      uid: numberOf(items, 'UID'),
      messageClass: this.#messageClass,
      header: this.#header,
      original: (await this.#gathering?.finish()) ?? null,
      body: this.#body === null ? null : Buffer.concat(this.#body),
    });
    await this.#passFlags(items);
  }

  #passFlags(items: readonly ResponseItem[]): Promise<void> | null {
    const news = items.filter(({ item }) => item.kind === 'neutral');
    if (!news.some(({ label }) => label.toUpperCase() === 'FLAGS')) return null;
    const text = news.map(({ label, value }) =>
      value.kind === 'text' ? `${label} ${value.octets.toString('latin1')}` : '',
    );
    return this.#context.write(Buffer.from(`* ${this.#msn} FETCH (${text.join(' ').trim()})\r\n`, 'latin1'));
  }
}

function isBeginningOfText({ item }: ResponseItem): boolean {
  return item.kind === 'section' && item.section.kind === 'text' && item.partial?.origin === 0;
}

/** RFC 9051 §7.5.2: NIL in the place of octets, where there are none; of a message there always are. */
function isGone({ item, value }: ResponseItem): boolean {
  return (
    item.kind === 'section' &&
    value.kind === 'text' &&
    value.octets.toString('latin1').trim().toUpperCase() === 'NIL'
  );
}
