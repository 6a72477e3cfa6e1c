import { limits } from '../limits.ts';
import type { MessageView } from '../mail-view/message-view.ts';
import { collect } from '../octets/collect.ts';
import { type SearchText, searchTextOf } from './search-text.ts';
import { messageKey, type StoredMessage } from './stored-message.ts';

export type KeptText = { message: StoredMessage; text: SearchText; protectedHeader: boolean };

/**
 * The words of the messages that one session has opened, so that they are found by what is in them. In memory only, and
 * bounded: those opened longest ago are forgotten first.
 */
export class SearchTexts {
  readonly #kept = new Map<string, KeptText>();
  #characters = 0;

  /**
   * Takes the words of a view; those of a message whose words are here are the same still.
   *
   * @param protectedHeader whether header fields are shown that are not those stored
   */
  async keep(message: StoredMessage, view: MessageView, protectedHeader = false): Promise<void> {
    const key = messageKey(message);
    const known = this.#kept.get(key);
    this.#kept.delete(key);
    if (known !== undefined) {
      this.#kept.set(key, known);
      return;
    }
    const octets = await collect(
      view.read({ start: 0, end: Math.min(view.length, limits.searchText.viewOctets) }),
    );
    // While it was read, another part of the same client's command may have come here.
    if (this.#kept.has(key)) return;
    const text = searchTextOf(octets);
    this.#kept.set(key, { message, text, protectedHeader });
    this.#characters += text.characters;
    this.#forgetOldest();
  }

  /** Those for which `where` holds. */
  *of(where: (message: StoredMessage) => boolean): Generator<KeptText> {
    for (const each of this.#kept.values()) if (where(each.message)) yield each;
  }

  /** Those for which `where` holds are another message's from now on. */
  forget(where: (message: StoredMessage) => boolean): void {
    for (const [key, { message, text }] of this.#kept) {
      if (!where(message)) continue;
      this.#kept.delete(key);
      this.#characters -= text.characters;
    }
  }

  #forgetOldest(): void {
    const { sessionCharacters, sessionMessages } = limits.searchText;
    for (const [key, { text }] of this.#kept) {
      if (this.#kept.size <= sessionMessages && this.#characters <= sessionCharacters) return;
      this.#kept.delete(key);
      this.#characters -= text.characters;
    }
  }
}
