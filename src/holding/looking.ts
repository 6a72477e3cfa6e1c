import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import type { Clock } from '../pipeline/ports.ts';
import type { SqlStore, Statement } from '../store/sql-store.ts';
import { addressOf } from './address.ts';
import type { WaitingMails } from './held-mails.ts';
import { forgetOld, type HeldPart, isBehind, isExpired, waits, waitsFor } from './held-rows.ts';
import type { HeldStore } from './held-store.ts';
import { INTRODUCED_ONCE_IN_MS } from './introductions.ts';
import type { Releases } from './releases.ts';
import { noteOutcome, openWishes, takeWish, type Wish, type WishOutcome } from './wishes.ts';

export type LookingParts = {
  store: SqlStore;
  held: HeldStore;
  releases: Pick<Releases, 'look'>;
  mails: WaitingMails;
  /** How often all that waits is looked at, where nobody says that something is new. */
  everyMs: number;
  clock: Clock;
  log: Log;
};

/** How often commands beside the gateway are looked for. */
const WISHES_EVERY_MS = 1_000;
const PAGE = 200;
/** What is settled can still be asked about for so long. */
const REMEMBERED_MS = 7 * 24 * 60 * 60 * 1000;
/** How often it is looked whose time is over. */
const EXPIRY_EVERY_MS = 30_000;

/**
 * Looks at what waits: at all of it at the start and from time to time, since a directory elsewhere may have a certificate now or a person may
 * have decided about one; at once where one was noted for somebody who waits; and when its time is over.
 *
 * Holds: what fails is looked at again; one mail that cannot be looked at holds up no other.
 */
export class Looking {
  readonly #parts: LookingParts;
  readonly #told = new Set<string>();
  #swept = false;
  #expiryAt = new Date(0);
  readonly #everything: Lane;
  readonly #news: Lane;

  constructor(parts: LookingParts) {
    this.#parts = parts;
    this.#everything = new Lane(
      () => this.#lookAtAll(),
      (error) => this.#tell(error),
    );
    this.#news = new Lane(
      () => this.#lookAtNews(),
      (error) => this.#tell(error),
    );
  }

  start(): void {
    this.#everything.wake();
    this.#news.wake();
  }

  /** Something may be different for whoever waits under this address. */
  told(address: string): void {
    this.#told.add(addressOf(address).folded);
    this.#news.wake();
  }

  /** Begins nothing more, and waits for what is under way. */
  async stop(): Promise<void> {
    await Promise.all([this.#everything.stop(), this.#news.stop()]);
  }

  /** @returns how long until the next time */
  async #lookAtAll(): Promise<number> {
    const { store, held, everyMs, clock } = this.#parts;
    if (!this.#swept) await held.sweep();
    this.#swept = true;
    await this.#lookAtPages(waits, this.#everything);
    const now = clock().getTime();
    await store.transaction(
      forgetOld({
        settled: new Date(now - REMEMBERED_MS),
        introduced: new Date(now - INTRODUCED_ONCE_IN_MS),
        wished: new Date(now - REMEMBERED_MS),
      }),
    );
    return everyMs;
  }

  async #lookAtNews(): Promise<number> {
    const { store, held, clock } = this.#parts;
    for (const wish of await openWishes(store, clock())) {
      const { id } = wish;
      const mark = await takeWish(store, id, clock());
      if (mark !== null) await noteOutcome(store, { id, mark }, await this.#granted(wish));
    }
    for (const address of [...this.#told]) {
      if (this.#news.stopped) break;
      // Before the look: what is told during it may not have been seen by it.
      this.#told.delete(address);
      if (!(await this.#isSeen(address))) {
        this.#told.add(address);
        return PAUSE_MS;
      }
    }
    const now = clock();
    if (now >= this.#expiryAt) {
      this.#expiryAt = new Date(now.getTime() + EXPIRY_EVERY_MS);
      await this.#lookAt(await held.parts([waits, isExpired(now)], { limit: PAGE }), this.#news);
    }
    return WISHES_EVERY_MS;
  }

  /** Whether all that waits for it could be looked at. Never rejects. */
  async #isSeen(address: string): Promise<boolean> {
    try {
      return await this.#lookAtPages(waitsFor(address), this.#news);
    } catch (error) {
      this.#tell(error);
      return false;
    }
  }

  /** However many there are. @returns whether none failed for a reason that passes */
  async #lookAtPages(which: Statement, lane: Lane): Promise<boolean> {
    let behind = '';
    let isSeen = true;
    for (;;) {
      const page = await this.#parts.held.parts([which, isBehind(behind)], { limit: PAGE });
      isSeen = (await this.#lookAt(page, lane)) && isSeen;
      const last = page.at(-1);
      if (last === undefined || lane.stopped) return isSeen;
      behind = last.spool;
    }
  }

  /** @returns as of `#lookAtPages` */
  async #lookAt(parts: readonly HeldPart[], lane: Lane): Promise<boolean> {
    const rest = [...parts];
    let isSeen = true;
    const work = async (): Promise<void> => {
      for (let part = rest.shift(); part !== undefined && !lane.stopped; part = rest.shift()) {
        await this.#parts.releases.look(part).catch((error: unknown) => {
          this.#tell(error);
          // A defect would come again and again.
          isSeen &&= !(error instanceof SealgateError);
        });
      }
    };
    await Promise.all(Array.from({ length: limits.holding.atOnce }, work));
    return isSeen;
  }

  async #granted({ mail, choice, recipients, by }: Wish): Promise<WishOutcome> {
    try {
      const outcome = await this.#parts.mails.choose(mail, choice, { recipients, by, forSender: true });
      return outcome.kind === 'done' ? { kind: 'done' } : outcome;
    } catch (error) {
      if (error instanceof SealgateError) return { kind: 'failed', publicText: error.publicText };
      // Tried again it would fail again, and keep the others from their turn.
      this.#tell(error);
      return { kind: 'failed', publicText: 'The gateway could not do it; its log says why.' };
    }
  }

  #tell(error: unknown): void {
    const { log } = this.#parts;
    if (error instanceof SealgateError) {
      log.write({ event: 'held.unavailable', level: 'error', reason: error.message });
    } else {
      const trace = error instanceof Error ? (error.stack ?? error.message) : String(error);
      log.write({ event: 'gateway.defect', level: 'error', where: 'holding', error: trace });
    }
  }
}

/** After a failure. */
const PAUSE_MS = 10_000;

/** Work that is done again and again, once at a time: when its pause is over, or when it is woken. */
class Lane {
  readonly #work: () => Promise<number>;
  readonly #tell: (error: unknown) => void;
  #running: Promise<void> | null = null;
  #again = false;
  #timer: NodeJS.Timeout | null = null;
  stopped = false;

  constructor(work: () => Promise<number>, tell: (error: unknown) => void) {
    this.#work = work;
    this.#tell = tell;
  }

  wake(): void {
    if (this.stopped) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#again = true;
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running;
  }

  async #run(): Promise<void> {
    let pause = PAUSE_MS;
    while (this.#again && !this.stopped) {
      this.#again = false;
      try {
        pause = await this.#work();
      } catch (error) {
        this.#tell(error);
        pause = PAUSE_MS;
      }
    }
    this.#running = null;
    if (this.stopped) return;
    this.#timer = setTimeout(() => this.wake(), pause);
  }
}
