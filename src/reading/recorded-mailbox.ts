import { type MailboxEras, readMailboxEras, writeMailboxEras } from './message-eras.ts';
import type { KnownMailbox, MailboxPlace, RecordedMessage, ViewRecords } from './view-records.ts';

/**
 * Which messages of a mailbox have a record: asked of every message that is listed, so it is in memory, some octets for each; the
 * records themselves are not.
 */
export class RecordedMailbox {
  readonly id: number;
  readonly place: MailboxPlace;
  eras: MailboxEras;
  #changing: Promise<void> = Promise.resolve();
  /** UIDs, ascending, with what is known of each. */
  readonly #uids: Uint32Array;
  readonly #sizes: Float64Array;
  /** Those since, and those that are not named by a UID. */
  readonly #others = new Map<string, RecordedMessage>();

  constructor(place: MailboxPlace, { id, eras, recorded }: KnownMailbox) {
    this.place = place;
    this.id = id;
    this.eras = readMailboxEras(eras);
    const numbered: { uid: number; each: RecordedMessage }[] = [];
    for (const each of recorded) {
      const uid = uidOf(each.message);
      if (uid === null) this.#others.set(each.message, each);
      else numbered.push({ uid, each });
    }
    numbered.sort((a, b) => a.uid - b.uid);
    this.#uids = Uint32Array.from(numbered, ({ uid }) => uid);
    this.#sizes = Float64Array.from(numbered, ({ each }) => encoded(each));
  }

  /** Nothing of it was ever opened: true of most mailboxes. */
  get isEmpty(): boolean {
    return this.#uids.length === 0 && this.#others.size === 0;
  }

  get(message: string): RecordedMessage | null {
    const other = this.#others.get(message);
    if (other !== undefined) return other;
    const uid = uidOf(message);
    const at = uid === null ? -1 : indexOf(this.#uids, uid);
    return at === -1 ? null : decoded(message, this.#sizes[at] ?? 0);
  }

  note(recorded: RecordedMessage): void {
    this.#others.set(recorded.message, recorded);
  }

  /**
   * Says anew what its messages are, one session after the other: each begins with what the one before has said. What could not
   * be written down is to be written by whoever comes next.
   *
   * @param next the same object where nothing is to be changed
   * @throws SealgateError `store.unavailable` (temporary)
   */
  async change(records: ViewRecords, next: (eras: MailboxEras) => MailboxEras): Promise<void> {
    const change = this.#changing.then(async () => {
      const eras = next(this.eras);
      if (eras === this.eras) return;
      await records.setEras(this.id, writeMailboxEras(eras));
      this.eras = eras;
    });
    this.#changing = change.catch(() => undefined);
    await change;
  }
}

type Open = { mailbox: Promise<RecordedMailbox>; now: RecordedMailbox | null; name: string; holders: number };

/** The mailboxes that are open in whatever session, so that what one says is known to all at once. */
export class RecordedMailboxes {
  readonly records: ViewRecords;
  readonly needEpoch: ((reader: string, mailbox: string) => Promise<void>) | null;
  readonly #open = new Map<string, Open>();

  /**
   * @param needEpoch called where what was served of a mailbox cannot be made again, and its messages get no new UIDs one by one; null:
   *   nobody is to be told
   */
  constructor(
    records: ViewRecords,
    needEpoch: ((reader: string, mailbox: string) => Promise<void>) | null = null,
  ) {
    this.records = records;
    this.needEpoch = needEpoch;
  }

  /** `leave` lets go of it. @throws SealgateError `store.unavailable` (temporary) */
  async enter(place: MailboxPlace): Promise<{ mailbox: RecordedMailbox; leave: () => void }> {
    const name = `${place.reader} ${place.uidValidity} ${place.key}`;
    const held = this.#open.get(name) ?? this.#begin(name, place);
    held.holders++;
    const leave = once(() => {
      if (--held.holders === 0 && this.#open.get(name) === held) this.#open.delete(name);
    });
    try {
      const mailbox = await held.mailbox;
      if (held.name !== place.name) {
        // It was renamed meanwhile.
        await this.records.mailbox(place, this.#selected());
        held.name = place.name;
      }
      return { mailbox, leave };
    } catch (error) {
      leave();
      // Whoever comes next asks again.
      if (this.#open.get(name) === held) this.#open.delete(name);
      throw error;
    }
  }

  #begin(name: string, place: MailboxPlace): Open {
    const mailbox = this.records.mailbox(place, this.#selected()).then((known) => {
      open.now = this.#sameAs(known.id) ?? new RecordedMailbox(place, known);
      return open.now;
    });
    const open: Open = { mailbox, now: null, name: place.name, holders: 0 };
    this.#open.set(name, open);
    return open;
  }

  #selected(): number[] {
    return [...this.#open.values()].flatMap(({ now }) => (now === null ? [] : [now.id]));
  }

  /** One that was entered by its other name. */
  #sameAs(id: number): RecordedMailbox | null {
    for (const { now } of this.#open.values()) if (now?.id === id) return now;
    return null;
  }
}

function once(run: () => void): () => void {
  let done = false;
  return () => {
    if (!done) run();
    done = true;
  };
}

function uidOf(message: string): number | null {
  return /^[1-9][0-9]{0,9}$/.test(message) && Number(message) <= 0xffff_ffff ? Number(message) : null;
}

/** Size and whether there is a header in one number: views are shorter than 2^40 octets. */
function encoded({ size, header }: RecordedMessage): number {
  return 2 * (size === null ? 0 : size + 1) + (header ? 1 : 0);
}

function decoded(message: string, code: number): RecordedMessage {
  const size = Math.floor(code / 2);
  return { message, size: size === 0 ? null : size - 1, header: code % 2 === 1 };
}

function indexOf(sorted: Uint32Array, wanted: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const found = sorted[middle] ?? 0;
    if (found === wanted) return middle;
    if (found < wanted) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}
