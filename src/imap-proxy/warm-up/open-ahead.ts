import { lookForMarks } from '../append/look-for-marks.ts';
import type { CommandContext } from '../commands/command-context.ts';
import { lookForForeign } from '../foreign/look-for-foreign.ts';
import { isOriginal } from '../gathering.ts';
import type { Injected } from '../injected-fetch.ts';
import { NumberSet } from '../search/number-set.ts';
import { readSearchResponse } from '../search/search-response.ts';
import { MESSAGE_OCTETS, type WarmUp } from './warm-up.ts';

/** UIDs that are looked at, the newest: a mail server without an index reads each of those messages, and DONE waits for that. */
const LOOKED_AT = 10_000;

const SEARCH: ReadonlySet<string> = new Set(['SEARCH', 'ESEARCH']);

/**
 * Opens encrypted messages of the selected mailbox that nobody has opened yet, the newest first, one at a time; nothing is on its
 * way meanwhile. Only keys that are open are used, and only places that nobody else wants. Nothing is given out: it is recorded as
 * not served.
 *
 * @param signal ends it, after the message that is being fetched
 */
export async function openAhead(
  context: CommandContext,
  tag: string,
  warmUp: WarmUp,
  signal: AbortSignal,
): Promise<void> {
  const { exchange, upstreamSide } = context;
  const { views, openings } = exchange.parts;
  warmUp.looking();
  // Nobody has listed it yet, and to ask that of all of it takes long.
  if (views.undecidedFrom === 1) return;
  // What is opened is opened as what it is.
  await lookForMarks(context, true);
  await lookForForeign(context, tag, true);
  for (const uid of await candidates()) {
    if (warmUp.left <= 0) return;
    if (signal.aborted || !openings.hasSpare(views.login)) return warmUp.lookAgain();
    warmUp.trying(uid);
    // Whose key is away now, for him all are.
    if ((await openOne(uid)) === 'stop') return warmUp.notTried(uid);
  }

  /** What a mail server finds by its words is a hint, and enough for this. */
  async function candidates(): Promise<number[]> {
    if (signal.aborted) {
      warmUp.lookAgain();
      return [];
    }
    const from = views.uidNext - LOOKED_AT;
    const newest = from > 1 ? `UID ${from}:* ` : '';
    const { answers } = await upstreamSide.ask(
      `UID SEARCH ${newest}UNDELETED SMALLER ${MESSAGE_OCTETS} HEADER CONTENT-TYPE pkcs7-mime`,
      SEARCH,
    );
    let found = NumberSet.empty;
    for (const { octets } of answers)
      found = found.or(readSearchResponse(octets)?.numbers ?? NumberSet.empty);
    const chosen: number[] = [];
    for (const uid of [...found].reverse()) {
      if (chosen.length >= warmUp.left) break;
      if (!warmUp.isTried(uid) && views.mayBeOpenedAhead(uid)) chosen.push(uid);
    }
    return chosen;
  }

  async function openOne(uid: number): Promise<'go-on' | 'stop'> {
    const found: Injected[] = [];
    // Whoever idles says DONE at any moment, and must not wait for a place then.
    let isFull = false;
    const isWanted = (): boolean => {
      isFull = !openings.hasSpare(views.login);
      return !isFull && !signal.aborted;
    };
    const reply = await upstreamSide.inject(
      `UID FETCH ${uid} (UID BODY.PEEK[])`,
      (messageClass) =>
        messageClass === 'encrypted' &&
        found.length === 0 &&
        views.kindOf(messageClass, uid) === 'shell' &&
        isWanted(),
      (injected) => found.push(injected),
    );
    let next: 'go-on' | 'stop' = reply.status === 'lost' ? 'stop' : 'go-on';
    for (const { uid: told, original } of found) {
      if (original === null || !isOriginal(original)) continue;
      try {
        warmUp.spent(original.octets.length);
        if (reply.status !== 'OK' || told !== uid || signal.aborted) continue;
        const patience = { signal, exhausted: new Map(), openKeysOnly: true, ahead: true } as const;
        const opened = await views.open(uid, original.octets, patience);
        if (opened.kind === 'view') opened.release();
        else next = 'stop';
      } finally {
        await original.discard();
      }
    }
    if (!isFull) return next;
    warmUp.lookAgain();
    return 'stop';
  }
}
