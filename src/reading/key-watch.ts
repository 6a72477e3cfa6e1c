import type { OpeningKey } from '../pipeline/ports.ts';

/** Whether everything that these keys opened may still be given out, as of now. */
export function areThere(keys: readonly OpeningKey[]): boolean {
  return keys.every(({ isThere }) => isThere !== false);
}

/** How long what a key opened may lie in memory after the key has gone; it is not given out from that moment on. Milliseconds. */
const LOOK_MS = 1_000;

/**
 * Looks again and again, as long as anybody has something of a key's in memory. Keys come and go without telling: a card that is
 * taken out, a PIN that is forgotten, a token that is busy with its own end are one and the same here.
 */
export class KeyWatch {
  readonly #looks = new Set<() => void>();
  #timer: NodeJS.Timeout | null = null;

  /** Calls `look` every second until the returned function was called. */
  watch(look: () => void): () => void {
    this.#looks.add(look);
    this.#timer ??= setInterval(() => this.look(), LOOK_MS).unref();
    return () => {
      this.#looks.delete(look);
      if (this.#looks.size > 0 || this.#timer === null) return;
      clearInterval(this.#timer);
      this.#timer = null;
    };
  }

  /** At once. */
  look(): void {
    for (const look of [...this.#looks]) look();
  }
}

export const keyWatch = new KeyWatch();
