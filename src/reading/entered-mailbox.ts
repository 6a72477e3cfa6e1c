import type { RecordedMailbox, RecordedMailboxes } from './recorded-mailbox.ts';
import type { MailboxPlace } from './view-records.ts';

type Entered = {
  name: string;
  mailbox: Promise<RecordedMailbox>;
  /** As soon as it is there. */
  now: RecordedMailbox | null;
  leave(): void;
};

/** The mailbox whose records a session has at hand: the one that is selected. */
export class EnteredMailbox {
  readonly #recorded: RecordedMailboxes;
  #entered: Entered | null = null;
  #ended = false;

  constructor(recorded: RecordedMailboxes) {
    this.#recorded = recorded;
  }

  /** null: none. */
  get mailbox(): Promise<RecordedMailbox> | null {
    return this.#entered?.mailbox ?? null;
  }

  /** null: none, or it is not there yet. */
  get now(): RecordedMailbox | null {
    return this.#entered?.now ?? null;
  }

  /** `at` finds no message in it, if there is one. */
  get isEmpty(): boolean {
    return this.#entered?.now?.isEmpty ?? true;
  }

  leave(): void {
    this.#entered?.leave();
    this.#entered = null;
  }

  /** What is opened still keeps no mailbox at hand. */
  end(): void {
    this.leave();
    this.#ended = true;
  }

  /** The mailbox at that place, if it is the one that is entered and there already. */
  at(place: MailboxPlace): RecordedMailbox | null {
    return this.#entered?.name === placeName(place) ? this.#entered.now : null;
  }

  /** @throws SealgateError `store.unavailable` (temporary) */
  async enter(place: MailboxPlace): Promise<RecordedMailbox> {
    const name = placeName(place);
    if (this.#entered?.name === name) return this.#entered.mailbox;
    this.leave();
    const entered = this.#begin(name, place);
    this.#entered = entered;
    try {
      return await entered.mailbox;
    } catch (error) {
      if (this.#entered === entered) this.#entered = null;
      throw error;
    }
  }

  /** A message may be opened still when its session has gone to another mailbox, which stays the one that is entered. */
  async within<T>(place: MailboxPlace, work: (mailbox: RecordedMailbox) => Promise<T>): Promise<T> {
    const isOther = this.#entered !== null && this.#entered.name !== placeName(place);
    if (!isOther && !this.#ended) {
      return work(await this.enter(place));
    }
    const { mailbox, leave } = await this.#recorded.enter(place);
    try {
      return await work(mailbox);
    } finally {
      leave();
    }
  }

  #begin(name: string, place: MailboxPlace): Entered {
    let left = false;
    let letGo = (): void => undefined;
    const mailbox = this.#recorded.enter(place).then((found) => {
      letGo = found.leave;
      if (left) letGo();
      else entered.now = found.mailbox;
      return found.mailbox;
    });
    const entered: Entered = {
      ...{ name, mailbox, now: null },
      leave: () => {
        left = true;
        letGo();
      },
    };
    return entered;
  }
}

function placeName({ uidValidity, key }: MailboxPlace): string {
  return `${uidValidity} ${key}`;
}
