import { limits } from '../limits.ts';
import type { ViewKind } from '../mail-view/message-class.ts';
import type { StoredMessage } from '../reading/stored-message.ts';
import { toldUidl } from './told-uidl.ts';

/** RFC 1939 §7: one to 70 printable octets. */
const UNIQUE_ID = /^[!-~]{1,70}$/;
/** A server that refuses UIDL for messages that are there does not have it. */
const REFUSALS = 3;

/**
 * What one session knows of the messages of its maildrop, by their numbers, which stay the same as long as the session lasts
 * (RFC 1939 §5).
 */
export class Maildrop {
  readonly #names = new Map<number, StoredMessage>();
  readonly #kinds = new Map<number, ViewKind>();
  /** Those that could not be opened when the client asked for them last. */
  readonly #withheld = new Set<number>();
  /** Messages by what names them. */
  readonly #owners = new Map<string, number>();
  readonly #asStored: boolean;
  #refusals = 0;

  /** In which unique ids are told; 0: as the server has them. */
  readonly epoch: number;

  /** `asStored`: all messages are shown as they are stored. */
  constructor(asStored: boolean, epoch = 0) {
    this.#asStored = asStored;
    this.epoch = epoch;
  }

  /** null: not known yet. */
  name(message: number): StoredMessage | null {
    return this.#names.get(message) ?? null;
  }

  learnName(message: number, name: StoredMessage): void {
    remember(this.#names, message, name);
  }

  /** What the server says of a message in the answer to UIDL: `number unique-id`. */
  learnUidl(text: string): void {
    const found = /^([0-9]{1,10}) +([^ ]+) *$/.exec(text);
    const uidl = found?.[2] ?? '';
    const message = Number(found?.[1]);
    if (!UNIQUE_ID.test(uidl)) return;
    // Some servers make unique ids of the header alone, which a sender can write twice: such a name stays with one message.
    if (!this.#owners.has(uidl)) remember(this.#owners, uidl, message);
    if (this.#owners.get(uidl) === message) {
      this.learnName(message, { protocol: 'pop3', uidl: toldUidl(uidl, this.epoch) });
    }
  }

  /** Whether it is worth while to ask the server for a unique id. */
  get hasUidl(): boolean {
    return this.#refusals < REFUSALS;
  }

  uidlRefused(): void {
    this.#refusals++;
  }

  /** null: not seen yet. */
  kind(message: number): ViewKind | null {
    if (this.#asStored) return 'identity';
    return this.#kinds.get(message) ?? null;
  }

  learnKind(message: number, kind: ViewKind): void {
    remember(this.#kinds, message, kind);
  }

  isWithheld(message: number): boolean {
    return this.#withheld.has(message);
  }

  withhold(message: number): void {
    this.#withheld.add(message);
  }

  delivered(message: number): void {
    this.#withheld.delete(message);
  }
}

/**
 * What is remembered stays, and beyond the limit nothing is: to forget which message a unique id belongs to would be to show one in
 * the place of another, and what was shown as stored might be opened by a command that has sent others behind it.
 */
function remember<K, V>(map: Map<K, V>, key: K, value: V): void {
  if (map.size < limits.pop3.remembered || map.has(key)) map.set(key, value);
}
