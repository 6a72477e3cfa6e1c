import type { HeaderCleaner } from '../mail-view/forged-status.ts';

/** Messages that are fetched in pieces at a time. */
const KEPT = 16;

/**
 * Where in its header the last piece of a message stopped, so that the next one goes on there: a forged status is found
 * wherever a client cuts. A piece out of the blue is not looked at; no client begins there.
 */
export class UnfinishedHeaders {
  readonly #pieces = new Map<number, { next: number; cleaner: HeaderCleaner }>();

  keep(uid: number, next: number, cleaner: HeaderCleaner): void {
    this.#pieces.delete(uid);
    const oldest = this.#pieces.size >= KEPT ? this.#pieces.keys().next().value : undefined;
    if (oldest !== undefined) this.#pieces.delete(oldest);
    this.#pieces.set(uid, { next, cleaner });
  }

  /** null: the piece that begins at `origin` is not the next one. */
  take(uid: number, origin: number): HeaderCleaner | null {
    const piece = this.#pieces.get(uid);
    if (piece?.next !== origin) return null;
    this.#pieces.delete(uid);
    return piece.cleaner;
  }

  clear(): void {
    this.#pieces.clear();
  }
}
