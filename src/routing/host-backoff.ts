import { limits } from '../limits.ts';

type Away = { since: number; until: number; failures: number; because: string };

const FIRST_MS = 10_000;
const LONGEST_MS = 300_000;

/** Which servers could not be used a moment ago, so that not every mail waits for them again. Pure but for what it remembers. */
export class HostBackoff {
  readonly #away = new Map<string, Away>();

  /** Later and later, as long as nothing else is said of it. @param because for people */
  failed(server: string, because: string, now: Date): void {
    const at = now.getTime();
    const failures = (this.#away.get(server)?.failures ?? 0) + 1;
    const wait = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(failures - 1, 16));
    this.#away.delete(server);
    const [oldest] = this.#away.keys();
    if (oldest !== undefined && this.#away.size >= limits.routing.remembered) this.#away.delete(oldest);
    this.#away.set(server, { since: at, until: at + wait, failures, because });
  }

  isThere(server: string): void {
    this.#away.delete(server);
  }

  /** null: it may be called. */
  awayBecause(server: string, now: Date): string | null {
    const away = this.#away.get(server);
    // Before `since`: the clock was set back.
    if (away === undefined || now.getTime() >= away.until || now.getTime() < away.since) return null;
    return away.because;
  }
}
