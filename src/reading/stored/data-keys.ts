import { createCipheriv, createDecipheriv, createHmac, hkdfSync, randomBytes } from 'node:crypto';
import type { SessionId } from '../../ids.ts';
import type { LockedSecrets, OpeningKey, Principal } from '../../pipeline/ports.ts';
import type { KeyWatch } from '../key-watch.ts';
import { DataKey } from './data-key.ts';
import type { StoredContents } from './stored-contents.ts';

/** Whose, and in which session. */
export type StoreOwner = { reader: string; principal: Principal; session: SessionId };

export type DataKeysParts = {
  contents: StoredContents;
  locks: LockedSecrets;
  /** Of the installation. */
  secret: Buffer;
  watch: KeyWatch;
};

type Held = { now: DataKey | null; fetching: Promise<DataKey | null> };

const HALF_OCTETS = 32;
const NONCE_OCTETS = 12;
const TAG_OCTETS = 16;

/**
 * The data keys that are in memory: one for each private key of each login, as long as that private key is open and a session of the
 * login is there. At rest each lies locked with the private key's certificate, and sealed with the installation's secret besides.
 */
export class DataKeys {
  readonly #parts: DataKeysParts;
  readonly #seal: Buffer;
  readonly #held = new Map<string, Held>();
  readonly #sessions = new Map<string, number>();
  #unwatch: (() => void) | null = null;

  constructor(parts: DataKeysParts) {
    this.#parts = parts;
    this.#seal = Buffer.from(
      hkdfSync('sha256', parts.secret, Buffer.alloc(0), 'sealgate stored view keys', 32),
    );
  }

  /** What a private key is called in the store. */
  nameOf(reader: string, { certificate }: OpeningKey): string {
    return createHmac('sha256', this.#seal)
      .update(`key\0${reader}\0${certificate.fingerprint}`)
      .digest('hex');
  }

  /** A session of the login begins, or something that outlasts one; the returned function ends it. */
  enter(reader: string): () => void {
    this.#sessions.set(reader, (this.#sessions.get(reader) ?? 0) + 1);
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const others = (this.#sessions.get(reader) ?? 1) - 1;
      if (others > 0) this.#sessions.set(reader, others);
      else {
        this.#sessions.delete(reader);
        this.#forget((name) => name.startsWith(`${reader} `));
      }
    };
  }

  /**
   * The data key of a private key. Takes one use of that key where it is not in memory, and none where the key is not open.
   *
   * @param orMake whether a new one is made where there is none
   * @param signal not waited for any longer
   * @returns null: there is none, or its key is away or locked, or was revoked. Rejects as the store does
   */
  async get(
    owner: StoreOwner,
    key: OpeningKey,
    { orMake, signal }: { orMake: boolean; signal: AbortSignal },
  ): Promise<DataKey | null> {
    if (key.isOpen === false) return null;
    const name = `${owner.reader} ${key.certificate.fingerprint}`;
    const held = this.#held.get(name) ?? { now: null, fetching: Promise.resolve(null) };
    if (held.now?.isUsable === true) return held.now;
    this.#held.set(name, held);
    // One after another: whoever waits for a use of the key takes what that has given to the first.
    const fetching = held.fetching.then(async () => {
      if (held.now?.isUsable === true) return held.now;
      const fetched = await this.#fetch(owner, key, orMake, signal);
      // Whoever waited for it may be gone.
      const isWanted = this.#sessions.has(owner.reader) && this.#held.get(name) === held;
      if (fetched === null || !isWanted || !fetched.isUsable) {
        fetched?.forget();
        return null;
      }
      held.now?.forget();
      held.now = fetched;
      this.#unwatch ??= this.#parts.watch.watch(() => this.#look());
      return fetched;
    });
    held.fetching = fetching.catch(() => null);
    return fetching;
  }

  /** The gateway ends. */
  close(): void {
    this.#forget(() => true);
  }

  async #fetch(
    owner: StoreOwner,
    key: OpeningKey,
    orMake: boolean,
    signal: AbortSignal,
  ): Promise<DataKey | null> {
    const { contents, locks, secret } = this.#parts;
    const { reader, principal, session } = owner;
    const name = this.nameOf(reader, key);
    const wrapped = await contents.wrapOf(reader, name);
    if (wrapped !== null) {
      const locked = this.#unsealed(`${reader} ${name}`, wrapped);
      const unlocked =
        locked === null
          ? ({ kind: 'void' } as const)
          : await locks.unlock(principal, key, locked, { session, signal });
      if (unlocked.kind === 'not-now') return null;
      if (unlocked.kind === 'unlocked' && unlocked.secret.length === HALF_OCTETS) {
        const dataKey = new DataKey(unlocked.key, unlocked.secret, secret, reader);
        unlocked.secret.fill(0);
        return dataKey;
      }
      // What it has sealed can never be read again.
      await contents.removeKey(reader, name);
    }
    if (!orMake) return null;
    const half = randomBytes(HALF_OCTETS);
    const locked = await locks.lock(principal, key, half);
    if (locked === null) return null;
    await contents.addWrap(reader, name, this.#sealed(`${reader} ${name}`, locked));
    const dataKey = new DataKey(key, half, secret, reader);
    half.fill(0);
    return dataKey;
  }

  #sealed(about: string, locked: Buffer): Buffer {
    const nonce = randomBytes(NONCE_OCTETS);
    const cipher = createCipheriv('aes-256-gcm', this.#seal, nonce);
    cipher.setAAD(Buffer.from(about, 'utf8'));
    return Buffer.concat([nonce, cipher.update(locked), cipher.final(), cipher.getAuthTag()]);
  }

  #unsealed(about: string, sealed: Uint8Array): Buffer | null {
    try {
      const end = sealed.length - TAG_OCTETS;
      const decipher = createDecipheriv('aes-256-gcm', this.#seal, sealed.subarray(0, NONCE_OCTETS));
      decipher.setAAD(Buffer.from(about, 'utf8'));
      decipher.setAuthTag(sealed.subarray(end));
      return Buffer.concat([decipher.update(sealed.subarray(NONCE_OCTETS, end)), decipher.final()]);
    } catch {
      return null;
    }
  }

  /** Private keys that have gone take theirs along. */
  #look(): void {
    for (const held of this.#held.values()) {
      if (held.now === null || held.now.isUsable) continue;
      held.now.forget();
      held.now = null;
    }
    this.#restIfIdle();
  }

  #forget(which: (name: string) => boolean): void {
    for (const [name, held] of this.#held) {
      if (!which(name)) continue;
      held.now?.forget();
      this.#held.delete(name);
    }
    this.#restIfIdle();
  }

  #restIfIdle(): void {
    if ([...this.#held.values()].some(({ now }) => now !== null)) return;
    this.#unwatch?.();
    this.#unwatch = null;
  }
}
