import { SealgateError } from '../../errors.ts';
import { type MailboxNow, type ToldMailbox, toldNow } from './told-uid-validity.ts';

/**
 * What was told of mailboxes, and which epochs were begun, kept for good (src/store/epochs.ts). `reader`: a digest of account and login.
 * Methods throw SealgateError `store.unavailable` (temporary).
 */
export interface EpochStore {
  /** Mailboxes with an epoch, by name. */
  withEpoch(reader: string): Promise<ReadonlyMap<string, ToldMailbox>>;
  find(reader: string, name: string, key: string | null): Promise<FoundMailbox>;
  put(reader: string, name: string, row: ToldMailbox): Promise<void>;
  /** With everything below it; what is known by the former names stays. `delimiter`: null where there is no hierarchy. */
  renamed(reader: string, from: string, to: string, delimiter: string | null): Promise<void>;
  /** The newest epoch of that mailbox that somebody wanted for its own sake, whatever the records say; 0: none. */
  wanted(reader: string, name: string): Promise<number>;
  /** Begins one because what was served cannot be made again, unless there is one already that no session has begun with. */
  need(reader: string, name: string): Promise<void>;
}

export type FoundMailbox = {
  named: ToldMailbox | null;
  /** By the same key, under another name: of several, the one of which most was told. */
  moved: ToldMailbox | null;
  due: number;
};

type Held = { login: Promise<LoginEpochs>; holders: number };

/** What clients are told of mailboxes, the same in all sessions of a login. */
export class Epochs {
  readonly store: EpochStore;
  readonly #now: () => Date;
  readonly #held = new Map<string, Held>();

  constructor(store: EpochStore, now: () => Date) {
    this.store = store;
    this.#now = now;
  }

  /** `leave` lets go of it. @throws SealgateError `store.unavailable` (temporary) */
  async enter(reader: string): Promise<{ login: LoginEpochs; leave: () => void }> {
    const held = this.#held.get(reader) ?? this.#begin(reader);
    held.holders++;
    let left = false;
    const leave = (): void => {
      if (left) return;
      left = true;
      if (--held.holders === 0 && this.#held.get(reader) === held) this.#held.delete(reader);
    };
    try {
      return { login: await held.login, leave };
    } catch (error) {
      leave();
      if (this.#held.get(reader) === held) this.#held.delete(reader);
      throw error;
    }
  }

  #begin(reader: string): Held {
    const login = this.store
      .withEpoch(reader)
      .then((rows) => new LoginEpochs(this.store, reader, rows, this.#now));
    const held: Held = { login, holders: 0 };
    this.#held.set(reader, held);
    return held;
  }
}

/**
 * Of one login. Mailboxes in which no epoch was begun are not in memory: of them clients are told what the mail server says.
 *
 * Holds: what is told is written down before.
 */
export class LoginEpochs {
  readonly #store: EpochStore;
  readonly #reader: string;
  readonly #rows: Map<string, ToldMailbox>;
  readonly #now: () => Date;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(store: EpochStore, reader: string, rows: ReadonlyMap<string, ToldMailbox>, now: () => Date) {
    this.#store = store;
    this.#reader = reader;
    this.#rows = new Map(rows);
    this.#now = now;
  }

  /** Whether anything is told otherwise than by the mail server. */
  get isActive(): boolean {
    return this.#rows.size > 0;
  }

  /** null: its UIDVALIDITY has changed, and `resolve` tells. */
  told(name: string, upstream: number): number | null {
    const row = this.#rows.get(name);
    if (row === undefined) return upstream;
    return row.upstream === upstream ? row.told : null;
  }

  find(name: string, key: string | null): Promise<FoundMailbox> {
    return this.#store.find(this.#reader, name, key);
  }

  /**
   * What clients are told from now on. One after another, whatever session asks.
   *
   * @param now `due` 0: of no epoch that no session has begun with; `key` null: whatever it was
   * @throws SealgateError `store.unavailable` (temporary), `epoch.exhausted` (permanent)
   */
  resolve(name: string, now: Resolving): Promise<Resolved> {
    const resolving = this.#turn.then(() => this.#resolve(name, now));
    this.#turn = resolving.catch(() => undefined);
    return resolving;
  }

  async #resolve(name: string, { key, upstream, due }: Resolving): Promise<Resolved> {
    const { named, moved } = await this.find(name, key);
    const seconds = Math.floor(this.#now().getTime() / 1_000);
    const known = key ?? named?.key ?? `name ${name}`;
    const found = toldNow(named, moved, { key: known, upstream, due, seconds });
    if (found.kind === 'exhausted') throw exhausted();
    const { row } = found;
    if (found.kind === 'cannot-begin' || found.changed) await this.#store.put(this.#reader, name, row);
    if (row.epoch > 0) this.#rows.set(name, row);
    const { told } = row;
    if (found.kind === 'cannot-begin') return { told, epoch: 'cannot-begin' };
    return { told, epoch: row.epoch > (named?.epoch ?? 0) ? 'begun' : 'as-before' };
  }

  /** A mailbox has another name, with everything below it. */
  async renamed(from: string, to: string, delimiter: string | null): Promise<void> {
    const renaming = this.#turn.then(async () => {
      await this.#store.renamed(this.#reader, from, to, delimiter);
      for (const [name, row] of await this.#store.withEpoch(this.#reader)) this.#rows.set(name, row);
    });
    this.#turn = renaming.catch(() => undefined);
    await renaming;
  }
}

type Resolving = Pick<MailboxNow, 'upstream' | 'due'> & { key: string | null };

export type Resolved = { told: number; epoch: 'begun' | 'cannot-begin' | 'as-before' };

function exhausted(): SealgateError {
  return new SealgateError({
    code: 'epoch.exhausted',
    publicText:
      'This mailbox cannot be shown: its UIDVALIDITY would have to be larger than there are numbers. Create another mailbox on the mail server and move its mail there.',
    duration: 'permanent',
  });
}
