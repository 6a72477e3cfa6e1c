import type { KeptCopies } from './archive-copies.ts';

/** Copies of messages that the queue has, of which nobody knows yet whether all of the mail becomes durable there. */
export class PendingCopies {
  readonly #copies: KeptCopies[] = [];

  add(copies: KeptCopies): void {
    this.#copies.push(copies);
  }

  /** The mail leaves, or may. Never rejects. */
  async left(): Promise<void> {
    for (const one of this.#copies.splice(0)) await one.left();
  }

  /** What is still pending was never kept: nothing of it leaves. Never rejects. */
  async takenBack(): Promise<void> {
    for (const one of this.#copies.splice(0)) await one.takenBack();
  }
}
