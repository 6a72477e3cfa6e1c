import { SealgateError } from '../../errors.ts';
import type { SessionId } from '../../ids.ts';
import { limits } from '../../limits.ts';
import type { Log } from '../../log/log.ts';
import { bufferSource } from '../../octets/buffer-source.ts';
import type { HarvestStory, Principal } from '../../pipeline/ports.ts';

/** Room for one message. */
export type Room = {
  /** Gives it back, once; further calls do nothing. */
  leave(): void;
};

/** A signed message that the mail server has accepted. */
export type StoredSigned = {
  session: SessionId;
  principal: Principal;
  octets: Buffer;
  room: Room;
  /** Of its session. */
  ended: AbortSignal;
};

/** As `limits.storedSigned` has them. */
export type HarvestingBounds = {
  headerOctets: number;
  messageOctets: number;
  messages: { all: number; each: number };
  octets: { all: number; each: number };
  atOnce: number;
};

/**
 * Signed mail that clients of all sessions have stored, verified behind their backs so that its signers' certificates are learned.
 *
 * Holds: what is kept aside has room within the bounds; what has none is not learned from. Nothing begins, and nothing is learned, once
 * its session has ended.
 */
export class Harvesting {
  readonly #story: HarvestStory;
  readonly #log: Log;
  readonly #bounds: HarvestingBounds;
  readonly #taken = new Map<string, { messages: number; octets: number }>();
  readonly #all = { messages: 0, octets: 0 };
  readonly #waiting = new Set<StoredSigned>();
  #running = 0;
  /** What goes into the directory now. */
  readonly #writing = new Set<Promise<void>>();
  #isClosed = false;

  constructor(story: HarvestStory, log: Log, bounds: HarvestingBounds = limits.storedSigned) {
    this.#story = story;
    this.#log = log;
    this.#bounds = bounds;
  }

  get bounds(): HarvestingBounds {
    return this.#bounds;
  }

  /** null: there is none. */
  room({ login }: Principal, size: number): Room | null {
    const { messages, octets } = this.#bounds;
    const own = this.#taken.get(login) ?? { messages: 0, octets: 0 };
    if (this.#isClosed) return null;
    if (this.#all.messages >= messages.all || own.messages >= messages.each) return null;
    if (this.#all.octets + size > octets.all || own.octets + size > octets.each) return null;
    this.#taken.set(login, own);
    const change = (count: 1 | -1): void => {
      for (const sum of [this.#all, own]) {
        sum.messages += count;
        sum.octets += count * size;
      }
    };
    change(1);
    let isTaken = true;
    return {
      leave: () => {
        if (!isTaken) return;
        isTaken = false;
        change(-1);
        if (own.messages === 0) this.#taken.delete(login);
      },
    };
  }

  /** It is looked at when there is time; its room is given back in any case. */
  add(message: StoredSigned): void {
    this.#waiting.add(message);
    if (this.#isClosed || message.ended.aborted) this.#forget(message);
    // What its client is to hear goes first.
    setImmediate(() => this.#begin());
  }

  /** What it has waiting is let go at once, with its memory. */
  sessionEnded(session: SessionId): void {
    for (const message of [...this.#waiting]) if (message.session === session) this.#forget(message);
  }

  /** Nothing is learned any more; resolves when the directory is not needed. What is being verified is not waited for. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const message of [...this.#waiting]) this.#forget(message);
    await Promise.allSettled(this.#writing);
  }

  #forget(message: StoredSigned): void {
    if (this.#waiting.delete(message)) message.room.leave();
  }

  #begin(): void {
    for (const message of this.#waiting) {
      if (this.#running >= this.#bounds.atOnce) return;
      if (message.ended.aborted) {
        this.#forget(message);
        continue;
      }
      this.#waiting.delete(message);
      this.#running++;
      void this.#learn(message).finally(() => {
        this.#running--;
        message.room.leave();
        setImmediate(() => this.#begin());
      });
    }
  }

  async #learn({ session, principal, octets, ended }: StoredSigned): Promise<void> {
    try {
      const verified = await this.#story.verify(principal, bufferSource(octets));
      if (verified === null || this.#isClosed || ended.aborted) return;
      const writing = verified.harvest();
      this.#writing.add(writing);
      await writing.finally(() => this.#writing.delete(writing));
    } catch (error) {
      // What it rests on may be closed by now.
      if (this.#isClosed) return;
      if (error instanceof SealgateError) {
        const { code } = error;
        this.#log.write({ event: 'directory.stored-mail-failed', level: 'warn', session, code });
        return;
      }
      const where = 'imap-proxy.harvesting';
      this.#log.write({ event: 'gateway.defect', level: 'error', where, error: String(error) });
    }
  }
}
