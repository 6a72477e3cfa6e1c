import type { SqlStore } from '../store/sql-store.ts';
import { type Claim, LEASE_MS, renew } from './leases.ts';
import type { DeliveryId } from './ports.ts';

/** `until`: its claim stands without being renewed, ms; `LOST`: somebody else may have made it its own. */
type Own = { claim: Claim; ended: Promise<void>; until: number };

const LOST = 0;
/** What ends later is not begun any more: a mail server may take a while for its answer to the end of a message. */
const LEFT_MS = 15_000;

/** The deliveries under way here, and how long their claims stand. */
export class OwnClaims {
  readonly #store: SqlStore;
  readonly #under = new Map<DeliveryId, Own>();

  constructor(store: SqlStore) {
    this.#store = store;
  }

  get size(): number {
    return this.#under.size;
  }

  ids(): readonly DeliveryId[] {
    return [...this.#under.keys()];
  }

  add(claim: Claim, ended: Promise<void>, now: Date): void {
    this.#under.set(claim.id, { claim, ended, until: now.getTime() + LEASE_MS });
  }

  /** One that was lost may have been made anew here meanwhile: that one stays. */
  ended(claim: Claim): void {
    if (this.#own(claim) !== null) this.#under.delete(claim.id);
  }

  /** As far as is known, and for a while. */
  stands(claim: Claim, now: Date): boolean {
    return (this.#own(claim)?.until ?? LOST) - now.getTime() >= LEFT_MS;
  }

  /**
   * What is under way here is not claimed anew: a process that was stopped for long, a clock that was set ahead or a database that was away
   * makes a claim run out while its delivery goes on.
   *
   * @throws SealgateError `store.unavailable`
   */
  async keep(now: Date): Promise<void> {
    const hasRunOut = ({ until }: Own) => until !== LOST && until <= now.getTime();
    if ([...this.#under.values()].some(hasRunOut)) await this.renew(now);
  }

  /** One that could not be renewed runs out, and somebody else may make the delivery its own. @throws SealgateError `store.unavailable` */
  async renew(now: Date): Promise<void> {
    const busy = [...this.#under.values()];
    if (busy.length === 0) return;
    const claims = busy.map(({ claim }) => claim);
    // A claim must not run out because everybody else wants something of the database as well.
    const store = this.#store.urgent ?? this.#store;
    const rows = await store.transaction(renew(store, claims, now));
    for (const [i, one] of busy.entries()) {
      one.until = rows[i]?.length === 1 ? now.getTime() + LEASE_MS : LOST;
    }
  }

  /** The clock was set back: none stands for longer than one that is made now. */
  setBack(now: Date): void {
    for (const one of this.#under.values()) one.until = Math.min(one.until, now.getTime() + LEASE_MS);
  }

  /** When all of them have ended. */
  async allEnded(): Promise<void> {
    await Promise.all([...this.#under.values()].map(({ ended }) => ended));
  }

  #own(claim: Claim): Own | null {
    const one = this.#under.get(claim.id);
    return one?.claim === claim ? one : null;
  }
}
