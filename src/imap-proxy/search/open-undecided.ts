import type { CommandContext } from '../commands/command-context.ts';
import { type MergeRequest, undecided } from './merged-search.ts';
import type { UpstreamMailbox } from './upstream-mailbox.ts';

/** Which messages a search looks into. */
export type SearchScope =
  /** Those that the session has opened. */
  | { kind: 'opened' }
  /** Those that it would find for their content as well: at most so many are opened for one search, and for so long. */
  | { kind: 'all'; messages: number; milliseconds: number };

/** Messages of which it is asked at a time what they are: newest first, so that the budget is soon found. */
const ASKED = 500;
/** RFC 9585: often enough for clients that give up a silent server. */
const TOLD_MS = 10_000;
/** Messages one after another whose key is away: then all are. */
const AWAY = 3;

/**
 * Opens messages that decide a search, the newest first. Those whose keys are not open now stay as they are: nobody is asked for
 * a PIN, and nothing fails for it.
 *
 * @throws SearchRefused
 */
export async function openUndecided(
  { exchange }: CommandContext,
  tag: string,
  request: MergeRequest,
  mailbox: UpstreamMailbox,
  budget: Extract<SearchScope, { kind: 'all' }>,
): Promise<void> {
  const { timers, views } = exchange.parts;
  const began = timers.now();
  let told = began;
  let left = budget.messages;
  let away = 0;
  let candidates = await undecided(request, mailbox);
  while (!candidates.isEmpty && left > 0) {
    const newest = candidates.slice(Math.max(candidates.size - ASKED, 0), candidates.size);
    candidates = candidates.minus(newest);
    const messages = await mailbox.views(newest);
    for (const message of messages.toSorted((one, other) => other.number - one.number)) {
      const { uid } = message;
      if (request.opened.has(uid)) continue;
      const now = timers.now();
      if (left-- <= 0 || away >= AWAY || now - began > budget.milliseconds || exchange.waits.opening) return;
      if (now - told > TOLD_MS) {
        told = now;
        const done = budget.messages - left - 1;
        await exchange.say(
          `* OK [INPROGRESS ("${tag}" ${done} ${budget.messages})] Looking into messages\r\n`,
        );
      }
      const original = await mailbox.original(message);
      if (original === null) continue;
      try {
        const opened = await views.open(uid, original.octets, {
          ...{ signal: new AbortController().signal, exhausted: new Map() },
          openKeysOnly: true,
        });
        away = opened.kind === 'withheld' ? away + 1 : 0;
        if (opened.kind === 'view') opened.release();
      } finally {
        await original.discard();
      }
    }
  }
}
