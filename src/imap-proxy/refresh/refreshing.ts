import type { KeyFit, Principal } from '../../pipeline/ports.ts';

/** Messages that were tried, and with which keys; in the whole process. */
const TRIED = 20_000;

/** How long a command of the client's waits for messages to get new UIDs; the next one goes on with them. */
export const REFRESH_MS = 10_000;

/**
 * What was tried is not tried again until keys have come: neither under its UID nor, by its content, under the new one, or what no key
 * opens after all would be moved for ever.
 */
export class TriedMessages {
  readonly #tried = new Map<string, string>();

  has(message: string, keys: string): boolean {
    return this.#tried.get(message) === keys;
  }

  add(message: string, keys: string): void {
    if (this.#tried.size >= TRIED) this.#tried.clear();
    this.#tried.set(message, keys);
  }
}

export type RefreshSettings = {
  /** Messages of one mailbox that get a new UID when it is selected. */
  messages: number;
  fit: KeyFit;
  tried: TriedMessages;
};

/** When one session gives new UIDs to messages that were shown as such that no key opens. */
export class Refreshing {
  readonly settings: RefreshSettings;
  readonly principal: Principal;
  #due = false;

  constructor(settings: RefreshSettings, principal: Principal) {
    this.settings = settings;
    this.principal = principal;
  }

  /** A mailbox, or none, was selected. `writable`: its messages may be moved. */
  selected(writable: boolean): void {
    this.#due = writable;
  }

  /** There was no time for all of it. */
  continueLater(): void {
    this.#due = true;
  }

  /** Once for each SELECT, unless it is to be continued. */
  take(): boolean {
    const due = this.#due;
    this.#due = false;
    return due;
  }
}
