/**
 * Which encrypted messages of one mailbox are for somebody else, where that is asked before anything is said of them
 * (`foreign: peek-first`). What was once said of a message stays, whatever keys come or go later.
 */
export type ForeignMessages = {
  /** Whether it is still asked of messages that arrive. */
  asking: boolean;
  /** Lower UIDs are decided. */
  from: number;
  /** Decided: shown as they are stored. */
  foreign: ReadonlySet<number>;
  /** UIDs not below `from` of which something was said before anybody could ask: decided too, shown opened. */
  shown: ReadonlySet<number>;
};

/** Of one mailbox; further ones are shown like mail that is for its reader. */
export const MOST_FOREIGN = 10_000;
/** Beyond, all up to the last of them are decided. */
const MOST_SHOWN = 1_000;

/**
 * What there is when a session comes to the mailbox: of messages that others may have seen while nobody asked, nobody does
 * any more. null: nobody ever asked; the same object where nothing has changed.
 *
 * @param isNew whether nobody has ever seen the mailbox
 * @param uidNext null: nobody knows, so it is noticed later
 */
export function foreignAtEntry(
  known: ForeignMessages | null,
  mode: 'shell-first' | 'peek-first',
  isNew: boolean,
  uidNext: number | null,
): ForeignMessages | null {
  const asks = mode === 'peek-first';
  if (known === null) {
    const from = isNew ? 1 : uidNext;
    return asks && from !== null ? { asking: true, from, foreign: NONE, shown: NONE } : null;
  }
  if (known.asking === asks) return known;
  if (!asks) return { ...known, asking: false };
  if (uidNext === null) return known;
  return { ...known, asking: true, from: Math.max(known.from, uidNext), shown: NONE };
}

/** With what was found of the messages below `from`. What another session has found meanwhile counts. */
export function withFound(
  known: ForeignMessages,
  found: { from: number; foreign: readonly number[] },
): ForeignMessages {
  const news = found.foreign.filter((uid) => uid >= known.from && uid < found.from && !known.shown.has(uid));
  return {
    ...known,
    from: Math.max(known.from, found.from),
    foreign: new Set([...known.foreign, ...news].slice(0, MOST_FOREIGN)),
    shown: new Set([...known.shown].filter((uid) => uid >= found.from)),
  };
}

/** Shown before anybody could ask. null: it is decided. */
export function withShown(known: ForeignMessages, uid: number): ForeignMessages | null {
  if (!isUndecided(known, uid)) return null;
  const shown = new Set([...known.shown, uid]);
  if (shown.size < MOST_SHOWN) return { ...known, shown };
  return { ...known, from: [...shown].reduce((most, each) => Math.max(most, each)) + 1, shown: NONE };
}

export function isUndecided({ asking, from, shown }: ForeignMessages, uid: number): boolean {
  return asking && uid >= from && !shown.has(uid);
}

export function writeForeign({ asking, from, foreign, shown }: ForeignMessages): string {
  return `${asking ? 'on' : 'off'} ${from} ${[...foreign].join(',')} ${[...shown].join(',')}`;
}

/** null for what is not in the grammar of `writeForeign`. */
export function readForeign(text: string): ForeignMessages | null {
  const found = /^(on|off) ([0-9]{1,10}) ([0-9,]*) ([0-9,]*)$/.exec(text);
  if (found === null) return null;
  const [, asking, from, foreign = '', shown = ''] = found;
  return { asking: asking === 'on', from: Number(from), foreign: uids(foreign), shown: uids(shown) };
}

function uids(text: string): ReadonlySet<number> {
  return new Set(text === '' ? [] : text.split(',').map(Number));
}

const NONE: ReadonlySet<number> = new Set();
