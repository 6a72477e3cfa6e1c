import {
  type FetchCommand,
  type FetchPlan,
  type ListingKind,
  planFetch,
  readFetchCommand,
} from './fetch-plan.ts';
import type { MailboxViews } from './mailbox-views.ts';

/** A FETCH that was read, and what has to be done for it. */
export type ReadFetch = {
  /** null: not in the grammar, or with literals. */
  command: FetchCommand | null;
  plan: FetchPlan;
  /** Whether it says anything of a message that its client may have stored otherwise than it lies there. */
  isAboutMessages: boolean;
};

/** What is asked for, by all that stands behind the set. */
type Asked = ReadFetch & { text: string; byUid: boolean; listing: ListingKind };

/** Reads the FETCHes of one session: a client asks for the same of one message after another, and that is read once. */
export class FetchReader {
  readonly #views: MailboxViews;
  #last: Asked | null = null;

  constructor(views: MailboxViews) {
    this.#views = views;
  }

  /** `argument`: of a command without literals; null: it has some. */
  read(byUid: boolean, argument: string | null): ReadFetch {
    const set = argument === null ? null : (/^(?:[0-9:,*]+|\$)(?= )/.exec(argument)?.[0] ?? null);
    if (argument === null || set === null) return this.#planned(null);
    const text = argument.slice(set.length);
    const { listing } = this.#views;
    const last = this.#last;
    if (last !== null && last.text === text && last.byUid === byUid && last.listing === listing) {
      const command = last.command === null ? null : { ...last.command, set };
      return { command, plan: last.plan, isAboutMessages: last.isAboutMessages };
    }
    const read = this.#planned(readFetchCommand(byUid, argument));
    this.#last = { ...read, text, byUid, listing };
    return read;
  }

  #planned(command: FetchCommand | null): ReadFetch {
    const { names, listing } = this.#views;
    return {
      command,
      plan: planFetch(command, names, listing),
      isAboutMessages:
        command === null || command.items.length === 0 || command.items.some((item) => isAboutMessages(item)),
    };
  }
}

function isAboutMessages(item: FetchCommand['items'][number]): boolean {
  return item.kind !== 'neutral' || item.name === 'RFC822.SIZE' || item.name === 'ENVELOPE';
}
