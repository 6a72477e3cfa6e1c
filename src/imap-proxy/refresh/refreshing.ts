import type { KeyFit, Principal } from '../../pipeline/ports.ts';

/** Messages that were looked at in vain, and with which keys; in the whole process. */
const TRIED = 20_000;

/** What was looked at in vain is not fetched again until keys have come. */
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

  /** Once for each SELECT. */
  take(): boolean {
    const due = this.#due;
    this.#due = false;
    return due;
  }
}
