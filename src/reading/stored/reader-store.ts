import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { limits } from '../../limits.ts';
import { bufferSource } from '../../octets/buffer-source.ts';
import { scan } from '../../octets/scan.ts';
import { CHUNK_OCTETS, type OctetSource, type Spool } from '../../octets/source.ts';
import type { LockedSecrets, OpeningKey } from '../../pipeline/ports.ts';
import type { SearchText } from '../search-text.ts';
import { type DataKey, SEAL_OCTETS } from './data-key.ts';
import type { DataKeys, StoreOwner } from './data-keys.ts';
import type { StoredContent, StoredContents } from './stored-contents.ts';
import { packWords, unpackWords } from './stored-words.ts';

export type ReaderStoreParts = {
  contents: StoredContents;
  keys: DataKeys;
  locks: LockedSecrets;
  /** What digests are keyed with. */
  names: Buffer;
  owner: StoreOwner;
  maxOctets: number;
  /** The session's own part in the data keys. */
  leave(): void;
  /** Work that may outlast the session; false: it failed, or too much of it is under way. */
  behind(work: (signal: AbortSignal) => Promise<boolean>): Promise<boolean>;
  /** null: it failed. */
  orTold<T>(work: Promise<T>): Promise<T | null>;
};

/** Where a message lies, for its words. */
export type StoredPlace = { mailbox: string; uid: number };

/** `protectedHeader`: whether header fields are shown that are not those stored. */
export type Words = { text: SearchText; protectedHeader: boolean };

/** What was found of a message. */
export type FoundContent = {
  entity: OctetSource;
  discard(): Promise<void>;
  key: OpeningKey;
  /** It is not what was shown. */
  refuse(): Promise<void>;
};

/** Pieces that are read or written at a time. */
const AT_ONCE = 16;
/** Messages that are looked up at a time when they are copied. */
const COPIED_AT_ONCE = 500;

/**
 * One session's view of the store.
 *
 * Holds: a content is bound to the login, to the message's stored octets and to its own length and order; what was cut, moved,
 * exchanged or put back is as good as not there.
 */
export class ReaderStore {
  readonly #parts: ReaderStoreParts;
  readonly #ended = new AbortController();

  constructor(parts: ReaderStoreParts) {
    this.#parts = parts;
  }

  end(): void {
    this.#ended.abort();
    this.#parts.leave();
  }

  /** What a message is called: by its stored octets, so that no server can say that one is another. @throws the source's own */
  async nameOf(original: OctetSource): Promise<string> {
    const hash = createHash('sha256');
    await scan(original, (chunk) => {
      hash.update(chunk);
      return undefined;
    });
    return this.#digest('message', hash.digest('hex'));
  }

  /**
   * What was opened of a message in former sessions. Never rejects.
   *
   * @param signal a key is not waited for any longer
   * @returns null: nothing, or its key is away
   */
  find(name: string, spool: Spool, signal: AbortSignal): Promise<FoundContent | null> {
    return this.#parts.orTold(this.#find(name, spool, signal));
  }

  async #find(name: string, spool: Spool, signal: AbortSignal): Promise<FoundContent | null> {
    const { contents, owner, keys } = this.#parts;
    const content = await contents.find(owner.reader, name);
    if (content === null) return null;
    const key = await this.#keyCalled(content.key);
    const dataKey = key === null ? null : await keys.get(owner, key, { orMake: false, signal });
    if (dataKey === null) return null;
    const refuse = async (): Promise<void> => {
      await this.#parts.orTold(contents.remove(content.id));
    };
    try {
      const { entity, discard } = await this.#read(content, name, dataKey, spool);
      void this.#parts.orTold(contents.used(content.id));
      return { entity, discard, key: dataKey.key, refuse };
    } catch (error) {
      if (dataKey.isUsable && isDamage(error)) await refuse();
      return null;
    }
  }

  async #read(content: StoredContent, name: string, dataKey: DataKey, spool: Spool) {
    const { id, length, first } = content;
    const total = Math.max(1, Math.ceil(length / CHUNK_OCTETS));
    const about = (number: number): string => this.#about(name, number, total, length);
    if (total === 1) {
      if (first === null) throw new Damage();
      const octets = unsealed(dataKey, about(0), first);
      if (octets.length !== length) throw new Damage();
      return { entity: bufferSource(octets), discard: async () => undefined };
    }
    const writer = spool.begin();
    try {
      let octets = 0;
      for (let at = 0; at < total; ) {
        const pieces = await this.#parts.contents.pieces(id, at, AT_ONCE);
        if (pieces.length === 0) throw new Damage();
        for (const piece of pieces) {
          const opened = unsealed(dataKey, about(at++), piece);
          octets += opened.length;
          await writer.write(opened);
        }
      }
      if (octets !== length) throw new Damage();
      const entity = await writer.finish();
      return { entity, discard: () => entity.discard() };
    } catch (error) {
      await writer.discard();
      throw error;
    }
  }

  /**
   * Keeps what was opened, behind whoever waits for the message. Never rejects.
   *
   * @param entity has to last until this resolves
   * @returns whether it is kept
   */
  keep(name: string, entity: OctetSource, key: OpeningKey): Promise<boolean> {
    return this.#parts.behind((signal) => this.#keep(name, entity, key, signal));
  }

  async #keep(name: string, entity: OctetSource, key: OpeningKey, signal: AbortSignal): Promise<boolean> {
    const { contents, keys, owner, maxOctets } = this.#parts;
    const { length } = entity;
    const total = Math.max(1, Math.ceil(length / CHUNK_OCTETS));
    const octets = length + total * SEAL_OCTETS;
    // One mail must not be all that is kept.
    if (octets > maxOctets / 4) return false;
    // First: with a data key that had to be made, everything goes that was sealed under a former one.
    const dataKey = await keys.get(owner, key, { orMake: true, signal });
    if (dataKey === null) return false;
    const called = keys.nameOf(owner.reader, key);
    const before = await contents.find(owner.reader, name);
    if (before?.key === called && before.length === length) return true;
    const begun = { reader: owner.reader, message: name, key: called, length, octets };
    const content = await contents.begin(begun, maxOctets);
    try {
      for (let at = 0; at < total; at += AT_ONCE) {
        const sealed: Buffer[] = [];
        for (let number = at; number < Math.min(at + AT_ONCE, total); number++) {
          const start = number * CHUNK_OCTETS;
          const piece = await wholeOf(entity, start, Math.min(start + CHUNK_OCTETS, length));
          sealed.push(dataKey.seal(this.#about(name, number, total, length), piece));
        }
        await contents.addPieces(content, at, sealed);
      }
      await contents.finish(content);
      return true;
    } catch (error) {
      await this.#parts.orTold(contents.remove(content));
      if (!dataKey.isUsable) return false;
      throw error;
    }
  }

  /**
   * Keeps the words of a message that is kept, and remembers where it lies. Never rejects.
   *
   * @param content resolves when the message itself is kept, or not
   */
  async keepWords(
    name: string,
    place: StoredPlace,
    { text, protectedHeader }: Words,
    content: Promise<boolean>,
  ): Promise<void> {
    await this.#parts.behind(async (signal) => {
      if (await content) await this.#keepWords(name, place, text, protectedHeader, signal);
      return true;
    });
  }

  async #keepWords(
    name: string,
    place: StoredPlace,
    text: SearchText,
    isProtected: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const { contents, owner, keys } = this.#parts;
    const content = await contents.find(owner.reader, name);
    if (content === null) return;
    const mailbox = this.#mailbox(place.mailbox);
    const mark = this.#mark(mailbox, place.uid, name);
    await contents.place(owner.reader, [{ mailbox, uid: place.uid, message: name, mark }]);
    if (content.hasWords) return;
    const key = await this.#keyCalled(content.key);
    const dataKey = key === null ? null : await keys.get(owner, key, { orMake: false, signal });
    if (dataKey === null) return;
    const sealed = dataKey.seal(this.#aboutWords(name, isProtected), packWords(text));
    await contents.setWords(content.id, isProtected, sealed);
  }

  /** Messages of a mailbox have copies in another one: what is known of those is known of these. Never rejects. */
  async copied(from: string, to: string, pairs: readonly { uid: number; copy: number }[]): Promise<void> {
    await this.#parts.orTold(this.#copied(this.#mailbox(from), this.#mailbox(to), pairs));
  }

  async #copied(from: string, to: string, pairs: readonly { uid: number; copy: number }[]): Promise<void> {
    const { contents, owner } = this.#parts;
    const copyOf = new Map(pairs.map(({ uid, copy }) => [uid, copy]));
    for (let at = 0; at < pairs.length; at += COPIED_AT_ONCE) {
      const uids = pairs.slice(at, at + COPIED_AT_ONCE).map(({ uid }) => uid);
      const placed = await contents.placedAt(owner.reader, from, uids);
      const copies = placed.flatMap(({ uid, message, mark }) => {
        const copy = copyOf.get(uid);
        if (copy === undefined || !isSame(mark, this.#mark(from, uid, message))) return [];
        return [{ mailbox: to, uid: copy, message, mark: this.#mark(to, copy, message) }];
      });
      if (copies.length > 0) await contents.place(owner.reader, copies);
    }
  }

  /**
   * Messages of a mailbox whose words can be looked into now, by UID, and whether header fields are shown that are not those stored.
   * Keys that are open are used once each, where they were not used yet; nobody is asked for a PIN. Never rejects.
   */
  async worded(mailbox: string, which: 'all' | 'protected'): Promise<Map<number, boolean>> {
    return (await this.#parts.orTold(this.#worded(mailbox, which))) ?? new Map<number, boolean>();
  }

  async #worded(mailbox: string, which: 'all' | 'protected'): Promise<Map<number, boolean>> {
    const { contents, owner } = this.#parts;
    const place = this.#mailbox(mailbox);
    const usable = new Map<string, boolean>();
    const worded = new Map<number, boolean>();
    // Some at a time: others have their turn meanwhile.
    let before = Number.MAX_SAFE_INTEGER;
    for (let seen = 0; seen < limits.storedViews.scanned; ) {
      const found = await contents.worded(owner.reader, place, before);
      for (const { uid, key, header } of found) {
        if (!header && which === 'protected') continue;
        if (!usable.has(key)) usable.set(key, (await this.#dataKeyCalled(key)) !== null);
        if (usable.get(key) === true) worded.set(uid, header);
      }
      seen += found.length;
      before = found.at(-1)?.uid ?? 0;
      if (found.length < limits.storedViews.listedAtOnce) break;
    }
    return worded;
  }

  /** The words of those, by UID; what has gone meanwhile, or is damaged, is left out. Never rejects. */
  async *words(mailbox: string, protectedHeader: boolean): AsyncGenerator<[uid: number, text: SearchText]> {
    const { contents, owner, orTold } = this.#parts;
    const place = this.#mailbox(mailbox);
    const some = (after: number) =>
      orTold(contents.words(owner.reader, place, protectedHeader, after)).then((rows) => rows ?? []);
    for (let rows = await some(0); rows.length > 0; ) {
      // The next ones come while these are looked into.
      const next = some(rows.at(-1)?.uid ?? Number.MAX_SAFE_INTEGER);
      const keys = new Map<string, DataKey | null>();
      for (const { uid, content, key, message, mark, sealed } of rows) {
        const dataKey = keys.get(key) ?? (keys.has(key) ? null : await this.#dataKeyCalled(key));
        keys.set(key, dataKey);
        if (dataKey?.isUsable !== true || !isSame(mark, this.#mark(place, uid, message))) continue;
        const text = textOf(dataKey, this.#aboutWords(message, protectedHeader), sealed);
        if (text !== null) yield [uid, text];
        // It is made anew when it is opened next.
        else if (dataKey.isUsable) await orTold(contents.remove(content));
      }
      rows = await next;
    }
  }

  async #dataKeyCalled(name: string): Promise<DataKey | null> {
    const { keys, owner, orTold } = this.#parts;
    const key = await this.#keyCalled(name);
    const { signal } = this.#ended;
    return key === null ? null : orTold(keys.get(owner, key, { orMake: false, signal }));
  }

  /** The private key that the store calls so; null: the reader has it no more. */
  async #keyCalled(name: string): Promise<OpeningKey | null> {
    const { locks, keys, owner } = this.#parts;
    const own = await locks.keys(owner.principal);
    return own.find((key) => keys.nameOf(owner.reader, key) === name) ?? null;
  }

  #about(message: string, number: number, total: number, length: number): string {
    return `content\0${this.#parts.owner.reader}\0${message}\0${number}\0${total}\0${length}`;
  }

  #aboutWords(message: string, protectedHeader: boolean): string {
    return `words\0${this.#parts.owner.reader}\0${message}\0${protectedHeader ? 'protected' : 'stored'}`;
  }

  #mailbox(name: string): string {
    return this.#digest('mailbox', name);
  }

  #mark(mailbox: string, uid: number, message: string): Buffer {
    return Buffer.from(this.#digest('place', `${mailbox}\0${uid}\0${message}`), 'hex');
  }

  #digest(what: string, name: string): string {
    const { names, owner } = this.#parts;
    return createHmac('sha256', names).update(`${what}\0${owner.reader}\0${name}`).digest('hex');
  }
}

/** Other octets than were sealed here. */
class Damage extends Error {}

function isDamage(error: unknown): boolean {
  return error instanceof Damage;
}

function unsealed(dataKey: DataKey, about: string, piece: Uint8Array): Buffer {
  try {
    return dataKey.unseal(about, piece);
  } catch (cause) {
    throw dataKey.isUsable ? new Damage('a piece that was not sealed here', { cause }) : cause;
  }
}

function textOf(dataKey: DataKey, about: string, sealed: Uint8Array): SearchText | null {
  try {
    return unpackWords(dataKey.unseal(about, sealed));
  } catch {
    return null;
  }
}

async function wholeOf(entity: OctetSource, start: number, end: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of entity.read(start, end)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && timingSafeEqual(one, other);
}
