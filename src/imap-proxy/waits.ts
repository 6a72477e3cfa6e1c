import type { Timers } from '../reading/timers.ts';

/** What takes longer is waited for behind the back of other commands: a person may be typing a PIN. */
const LONG_MS = 1_000;
/** How often a client hears that something goes on (RFC 9585 §4): many give up a server that is silent for a minute. */
const TOLD_MS = 10_000;

/** A message that is being opened. */
export type Opening<T> = {
  result: Promise<T>;
  /** Whether the result was there soon; settles in a second at most. */
  soon: Promise<boolean>;
};

/**
 * What one session waits for besides its mail server: a key whose PIN somebody has to type, and the delay of an answer.
 * Other commands go on meanwhile. What is waited for can be given up at any moment: its FETCH then says so.
 *
 * Holds: one message at a time is opened in a session; nothing outlives the session but a key operation that has begun.
 */
export class Waits {
  readonly #timers: Timers;
  readonly #openings = new Set<{ controller: AbortController; isLong: boolean }>();
  readonly #standing = new Set<AbortController>();
  readonly #answers = new Set<Promise<unknown>>();
  readonly #delays = new Set<() => void>();
  #free: (() => void)[] = [];
  #hurrying = 0;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Resolves when no message is being opened. */
  async free(): Promise<void> {
    while (this.#openings.size > 0) await new Promise<void>((resolve) => this.#free.push(resolve));
  }

  get opening(): boolean {
    return this.#openings.size > 0;
  }

  /**
   * @param open rejects for a defect only; `signal`: it is not waited for any more; `atKey`: told when a key is asked and when it has answered
   * @param mayWait asked when a key takes long; false: it is given up
   * @param tell called now and then while it goes on
   */
  open<T>(
    open: (signal: AbortSignal, atKey: (asked: boolean) => void) => Promise<T>,
    mayWait: () => boolean,
    tell: () => void,
  ): Opening<T> {
    const entry = { controller: new AbortController(), isLong: false };
    this.#openings.add(entry);
    let cancel: () => void = () => undefined;
    let cancelKey: () => void = () => undefined;
    const tellAgain = (): void => {
      cancelTelling = this.#timers.after(TOLD_MS, tellAgain);
      tell();
    };
    let cancelTelling = this.#timers.after(TOLD_MS, tellAgain);
    const atKey = (asked: boolean): void => {
      cancelKey();
      if (!asked) return;
      cancelKey = this.#timers.after(LONG_MS, () => {
        if (!mayWait()) entry.controller.abort();
      });
    };
    const result = open(entry.controller.signal, atKey).finally(() => {
      cancel();
      cancelKey();
      cancelTelling();
      this.#openings.delete(entry);
      const waiting = this.#free;
      this.#free = [];
      for (const resolve of waiting) resolve();
    });
    const soon = new Promise<boolean>((resolve) => {
      cancel = this.#timers.after(LONG_MS, () => {
        entry.isLong = true;
        if (this.#hurrying > 0) entry.controller.abort();
        resolve(false);
      });
      const ended = (): void => resolve(true);
      // A defect is told by the result, to whoever waits for it.
      void result.then(ended, ended);
    });
    return { result, soon };
  }

  /** Resolves after `ms` milliseconds, or when it is given up. */
  async delay(ms: number): Promise<void> {
    if (this.#hurrying > 0) return;
    await new Promise<void>((resolve) => {
      const end = (): void => {
        cancel();
        this.#delays.delete(end);
        resolve();
      };
      const cancel = this.#timers.after(ms, end);
      this.#delays.add(end);
    });
  }

  /** Aborted when everything is given up, until the caller is done with it. */
  stand(): { signal: AbortSignal; end: () => void } {
    const controller = new AbortController();
    if (this.#hurrying > 0) controller.abort();
    this.#standing.add(controller);
    return { signal: controller.signal, end: () => void this.#standing.delete(controller) };
  }

  /** An answer that is given behind others, and needs nothing from the mail server once it is given up. */
  behind(answer: Promise<unknown>): () => void {
    this.#answers.add(answer);
    const end = (): void => void this.#answers.delete(answer);
    void answer.then(end, end);
    return end;
  }

  endDelays(): void {
    for (const end of [...this.#delays]) end();
  }

  /** Gives everything up, and what begins meanwhile as soon as it takes long. Resolves with `until`. */
  async giveUp<T>(until: Promise<T>): Promise<T> {
    this.#hurry();
    try {
      return await until;
    } finally {
      this.#hurrying--;
    }
  }

  /** Gives everything up; resolves when all that was waited for has its answer. null: nothing is waited for. */
  giveUpAll(): Promise<void> | null {
    return this.#answers.size === 0 ? null : this.giveUp(this.#allAnswered());
  }

  /** The mail server is gone: nobody types a PIN for an answer that cannot be asked for again. What takes no time is still done. */
  giveUpFromNow(): void {
    this.#hurry();
  }

  /** The session is over. */
  end(): void {
    this.#hurry();
    for (const { controller } of this.#openings) controller.abort();
  }

  #hurry(): void {
    this.#hurrying++;
    for (const { controller, isLong } of this.#openings) if (isLong) controller.abort();
    for (const controller of this.#standing) controller.abort();
    this.endDelays();
  }

  async #allAnswered(): Promise<void> {
    while (this.#answers.size > 0) await Promise.allSettled(this.#answers);
  }
}
