import { limits } from '../limits.ts';
import { classifyHeader, type MessageClass } from '../mail-view/message-class.ts';
import type { FetchItems } from './fetch-plan.ts';
import { FetchResponseReader, numberOf, type ResponseItem } from './fetch-response.ts';
import type { LiteralSize } from './framer.ts';
import { HeaderPeek } from './header-peek.ts';
import type { MemoryGate, Room } from './memory-gate.ts';

/** What the gateway's own FETCH of one message brought. */
export type Injected = {
  msn: number;
  uid: number | null;
  messageClass: MessageClass;
  /** The whole message, where it was asked for and is wanted; null: too large, or not. */
  original: Buffer | null;
  tooLarge: boolean;
  /** Of `original`; null: without one. */
  room: Room | null;
};

export type InjectedContext = {
  gate: MemoryGate;
  items: FetchItems;
  write(octets: Buffer): Promise<void> | null;
  /** Whether the whole of a message of that class is wanted. */
  wants(messageClass: MessageClass): boolean;
  found(injected: Injected): void;
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
  #section = false;
  #peek: HeaderPeek | null = null;
  #size = 0;
  #messageClass: MessageClass = 'none';
  #original: Buffer | null = null;
  #filled = 0;
  #tooLarge = false;
  #room: Room | null = null;

  constructor(context: InjectedContext, msn: number) {
    this.#context = context;
    this.#msn = msn;
    this.#reader = new FetchResponseReader(context.items);
  }

  line(octets: Buffer, at: number, literal: LiteralSize | null): Promise<void> | null {
    this.#raw.push(octets);
    const announced = this.#reader.line(octets.subarray(at), literal, at > 0);
    if (literal === null) return this.#finish();
    this.#peek = null;
    if (announced !== null && announced !== false && announced.item.kind === 'section') {
      this.#section = true;
      this.#size = literal.size;
      this.#peek = new HeaderPeek();
    }
    return null;
  }

  literal(octets: Buffer, remaining: number): Promise<void> | null {
    if (!this.#section) {
      if (this.#reader.nested) this.#reader.nestedLiteral(octets);
      this.#raw.push(octets);
      return null;
    }
    if (this.#original !== null) {
      this.#filled += octets.copy(this.#original, this.#filled);
      return null;
    }
    const seen = this.#peek?.push(octets, remaining === 0) ?? null;
    if (seen === null) return null;
    this.#peek = null;
    this.#messageClass = classifyHeader(seen.header);
    return this.#context.wants(this.#messageClass) ? this.#gather(seen.header, seen.rest) : null;
  }

  abandon(): void {
    this.#room?.leave();
  }

  async #gather(header: Buffer, rest: Buffer): Promise<void> {
    if (this.#size > limits.messageOctets) {
      this.#tooLarge = true;
      return;
    }
    this.#room = await this.#context.gate.enter(this.#size);
    this.#original = Buffer.allocUnsafe(this.#size);
    this.#filled = header.copy(this.#original);
    this.#filled += rest.copy(this.#original, this.#filled);
  }

  #finish(): Promise<void> | null {
    const { items } = this.#reader;
    if (!items.some((each) => each.item.kind === 'section')) {
      let wait: Promise<void> | null = null;
      for (const octets of this.#raw) wait = this.#context.write(octets);
      return wait;
    }
    this.#context.found({
      msn: this.#msn,
      uid: numberOf(items, 'UID'),
      messageClass: this.#messageClass,
      original: this.#original,
      tooLarge: this.#tooLarge,
      room: this.#room,
    });
    return this.#passFlags(items);
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
