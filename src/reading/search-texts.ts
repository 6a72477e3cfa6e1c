import { limits } from '../limits.ts';
import type { MessageView } from '../mail-view/message-view.ts';
import { collect } from '../octets/collect.ts';
import type { OpeningKey } from '../pipeline/ports.ts';
import { type KeyWatch, keyWatch } from './key-watch.ts';
import { previewOf } from './preview.ts';
import { type SearchText, searchTextOf } from './search-text.ts';
import { messageKey, type StoredMessage } from './stored-message.ts';

export type KeptText = {
  message: StoredMessage;
  text: SearchText;
  protectedHeader: boolean;
  /** Its first words as they are written; null: it is too large to have them here. */
  preview: string | null;
  /** Those that opened it. */
  keys: readonly OpeningKey[];
};

/**
 * The words that all sessions remember together: they are in memory. Those that were kept longest ago go first, whoever
 * remembers them.
 */
export class RememberedTexts {
  readonly #most: number;
  readonly #drops = new Map<KeptText, () => void>();
  #characters = 0;

  /** `most`: characters of all of them. */
  constructor(most: number = limits.searchText.allCharacters) {
    this.#most = most;
  }

  /** `drop` has to lead to `remove`. */
  add(kept: KeptText, drop: () => void): void {
    this.#drops.set(kept, drop);
    this.#characters += kept.text.characters;
    for (const [oldest, dropIt] of this.#drops) {
      if (this.#characters <= this.#most || oldest === kept) return;
      dropIt();
    }
  }

  remove(kept: KeptText): void {
    if (this.#drops.delete(kept)) this.#characters -= kept.text.characters;
  }
}

const everySession = new RememberedTexts();

/**
 * The words of the messages that one session has opened, so that they are found by what is in them. In memory only, and
 * bounded: those opened longest ago are forgotten first, and those that a key has opened when that is away.
 */
export class SearchTexts {
  readonly #all: RememberedTexts;
  readonly #kept = new Map<string, KeptText>();
  #characters = 0;
  #ended = false;
  #unwatch: (() => void) | null = null;
  readonly #watch: KeyWatch;

  constructor(all: RememberedTexts = everySession, watch: KeyWatch = keyWatch) {
    this.#all = all;
    this.#watch = watch;
  }

  /**
   * Takes the words of a view; those of a message whose words are here are the same still.
   *
   * @param about protectedHeader: whether header fields are shown that are not those stored; keys: those that opened it
   * @returns what is kept; null: nothing, any more
   */
  async keep(
    message: StoredMessage,
    view: MessageView,
    about: { protectedHeader?: boolean; keys?: readonly OpeningKey[] } = {},
  ): Promise<KeptText | null> {
    if (this.#ended) return null;
    const key = messageKey(message);
    const known = this.#kept.get(key);
    this.#kept.delete(key);
    if (known !== undefined) {
      this.#kept.set(key, known);
      return known;
    }
    const octets = await collect(
      view.read({ start: 0, end: Math.min(view.length, limits.searchText.viewOctets) }),
    );
    // While it was read, another part of the same client's command may have come here, or the session may have ended.
    if (this.#ended) return null;
    const text = await searchTextOf(octets);
    const preview = octets.length === view.length ? await previewOf(view) : null;
    if (this.#ended) return null;
    const meanwhile = this.#kept.get(key);
    if (meanwhile !== undefined) return meanwhile;
    const { protectedHeader = false, keys = [] } = about;
    const kept = { message, text, protectedHeader, preview, keys };
    this.#kept.set(key, kept);
    this.#characters += kept.text.characters;
    this.#all.add(kept, () => this.#drop(key, kept));
    if (keys.length > 0) this.#unwatch ??= this.#watch.watch(() => this.#forgetGone());
    this.#forgetOldest();
    return kept;
  }

  /** null: its words are not here, or a key that opened it is gone. */
  find(message: StoredMessage): KeptText | null {
    const kept = this.#kept.get(messageKey(message));
    return kept?.keys.every(({ isThere }) => isThere !== false) === true ? kept : null;
  }

  /** Those for which `where` holds, as far as their keys are there. */
  *of(where: (message: StoredMessage) => boolean): Generator<KeptText> {
    this.#forgetGone();
    for (const each of this.#kept.values()) if (where(each.message)) yield each;
  }

  /** One key has opened most of them: it is asked once. */
  #forgetGone(): void {
    const there = new Map<string, boolean>();
    const isThere = (key: OpeningKey): boolean => {
      const { fingerprint } = key.certificate;
      const known = there.get(fingerprint) ?? key.isThere !== false;
      there.set(fingerprint, known);
      return known;
    };
    for (const [key, kept] of this.#kept) if (!kept.keys.every(isThere)) this.#drop(key, kept);
  }

  /** Those for which `where` holds are another message's from now on. */
  forget(where: (message: StoredMessage) => boolean): void {
    for (const [key, kept] of this.#kept) if (where(kept.message)) this.#drop(key, kept);
  }

  /** The session ends: nothing is kept any more. */
  end(): void {
    this.#ended = true;
    this.#unwatch?.();
    this.forget(() => true);
  }

  #forgetOldest(): void {
    const { sessionCharacters, sessionMessages } = limits.searchText;
    for (const [key, kept] of this.#kept) {
      if (this.#kept.size <= sessionMessages && this.#characters <= sessionCharacters) return;
      this.#drop(key, kept);
    }
  }

  #drop(key: string, kept: KeptText): void {
    this.#kept.delete(key);
    this.#characters -= kept.text.characters;
    this.#all.remove(kept);
  }
}
