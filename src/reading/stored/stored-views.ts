import { createHmac, hkdfSync } from 'node:crypto';
import type { SessionId } from '../../ids.ts';
import { limits } from '../../limits.ts';
import type { Log } from '../../log/log.ts';
import type { LockedSecrets, Principal } from '../../pipeline/ports.ts';
import { type KeyWatch, keyWatch } from '../key-watch.ts';
import { DataKeys } from './data-keys.ts';
import { ReaderStore } from './reader-store.ts';
import type { StoredContents } from './stored-contents.ts';

export type StoredViewsParts = {
  contents: StoredContents;
  locks: LockedSecrets;
  /** Of the installation, 32 octets. */
  secret: Buffer;
  /** Of each login at each mail server. */
  maxOctets: number;
  /** null: of everybody. */
  logins: readonly string[] | null;
  log: Log;
  /** Absent: the one of all sessions. */
  watch?: KeyWatch;
};

/** Who reads, in which session. */
export type StoreReader = { session: SessionId; principal: Principal; account: string };

/** Whose opened mail may be kept: by mail server, as `ReaderOptions.account` names it, and login. */
export type KeptFor = { account: string; login: string };

/** Every login with keys at every mail server of these listeners. */
export function storeReaders(
  listeners: readonly { upstream: { host: string } }[],
  principals: readonly { login: string; keys: readonly string[] }[],
): KeptFor[] {
  const accounts = new Set(listeners.map(({ upstream }) => upstream.host.toLowerCase()));
  const logins = principals.filter(({ keys }) => keys.length > 0).map(({ login }) => login);
  return [...accounts].flatMap((account) => logins.map((login) => ({ account, login })));
}

/**
 * What was opened, kept for later sessions, of all logins: a mail that a slow key has opened once opens again at once, and its words
 * are found.
 *
 * Holds: nothing comes out of it but by a use of the very private key that opened it before, once for as long as that key is open
 * and somebody reads; whatever cannot be read is opened anew, so that the store may be lost at any time.
 */
export class StoredViews {
  readonly #parts: StoredViewsParts;
  readonly #keys: DataKeys;
  readonly #names: Buffer;
  readonly #tidied = new Set<string>();
  readonly #writing = new Set<Promise<unknown>>();
  readonly #closing = new AbortController();

  constructor(parts: StoredViewsParts) {
    this.#parts = parts;
    const { contents, locks, secret, watch = keyWatch } = parts;
    this.#keys = new DataKeys({ contents, locks, secret, watch });
    this.#names = namesKey(secret);
  }

  /** Throws away what is kept of logins that are not among these, by mail server and login. Never rejects. */
  async keepOnly(readers: readonly KeptFor[]): Promise<void> {
    const { contents, logins } = this.#parts;
    const kept = readers.filter(({ login }) => logins === null || logins.includes(login));
    await this.#orTold(contents.keepOnly(kept.map(({ account, login }) => this.#reader(account, login))));
  }

  /** One session's part; null: nothing is kept of its login. It has to be ended. */
  enter({ session, principal, account }: StoreReader): ReaderStore | null {
    const { contents, maxOctets, logins } = this.#parts;
    const { login } = principal;
    if (logins !== null && !logins.includes(login)) return null;
    const reader = this.#reader(account, login);
    const leave = this.#keys.enter(reader);
    const store = new ReaderStore({
      ...{ contents, keys: this.#keys, names: this.#names, maxOctets, leave },
      owner: { reader, principal, session },
      locks: this.#parts.locks,
      behind: (work) => this.#behind(reader, work),
      orTold: (work) => this.#orTold(work),
    });
    if (!this.#tidied.has(reader)) {
      this.#tidied.add(reader);
      void this.#orTold(this.#tidy(reader, principal));
    }
    return store;
  }

  /** The private keys' lists have changed: what belongs to keys that are nobody's any more is to be looked for again. */
  keysChanged(): void {
    this.#tidied.clear();
  }

  /** Resolves when nothing is being written. */
  async settled(): Promise<void> {
    while (this.#writing.size > 0) await Promise.all(this.#writing);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.settled();
    this.#keys.close();
  }

  /** What a key that is no longer the reader's has opened goes; nobody knows that while a token was never there. */
  async #tidy(reader: string, principal: Principal): Promise<void> {
    const { contents, locks } = this.#parts;
    const stored = await contents.keysOf(reader);
    if (stored.length === 0 || !locks.areAllKnown(principal)) return;
    const own = await locks.keys(principal);
    const known = new Set(own.map((key) => this.#keys.nameOf(reader, key)));
    for (const key of stored) if (!known.has(key)) await contents.removeKey(reader, key);
  }

  #reader(account: string, login: string): string {
    return readerOf(this.#names, { account, login });
  }

  /** What is written behind readers' backs; their data keys stay for as long as it takes. */
  async #behind(reader: string, work: (signal: AbortSignal) => Promise<boolean>): Promise<boolean> {
    if (this.#writing.size >= limits.storedViews.writing || this.#closing.signal.aborted) return false;
    const leave = this.#keys.enter(reader);
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(limits.storedViews.writingMs)]);
    const writing = this.#orTold(work(signal)).finally(leave);
    this.#writing.add(writing);
    try {
      return (await writing) ?? false;
    } finally {
      this.#writing.delete(writing);
    }
  }

  /** null: it failed. The store is missed by nobody. */
  async #orTold<T>(work: Promise<T>): Promise<T | null> {
    try {
      return await work;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#parts.log.write({ event: 'view.store-unavailable', level: 'warn', reason });
      return null;
    }
  }
}

/**
 * What a login at a mail server is called in the store.
 *
 * @param secret of the installation
 */
export function storedReader(secret: Buffer, whose: KeptFor): string {
  return readerOf(namesKey(secret), whose);
}

function namesKey(secret: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, Buffer.alloc(0), 'sealgate stored view names', 32));
}

function readerOf(names: Buffer, { account, login }: KeptFor): string {
  return createHmac('sha256', names).update(`reader\0${account}\0${login}`).digest('hex');
}
