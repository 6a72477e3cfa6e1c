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
  context: CommandContext,
  tag: string,
  request: MergeRequest,
  mailbox: UpstreamMailbox,
  budget: Extract<SearchScope, { kind: 'all' }>,
): Promise<void> {
  const { client, timers } = context.exchange.parts;
  const over = new AbortController();
  const cancel = timers.after(budget.milliseconds, () => over.abort());
  try {
    const signal = AbortSignal.any([client.signal, over.signal]);
    await openWithin(context, { tag, request, mailbox, messages: budget.messages, signal });
  } finally {
    cancel();
  }
}

/** What is looked into, and until when. */
type Look = {
  tag: string;
  request: MergeRequest;
  mailbox: UpstreamMailbox;
  messages: number;
  signal: AbortSignal;
};

async function openWithin(
  { exchange }: CommandContext,
  { tag, request, mailbox, messages: most, signal }: Look,
): Promise<void> {
  const { timers, views } = exchange.parts;
  let told = timers.now();
  let left = most;
  let away = 0;
  let candidates = await undecided(request, mailbox);
  while (!candidates.isEmpty && left > 0 && !signal.aborted) {
    const newest = candidates.slice(Math.max(candidates.size - ASKED, 0), candidates.size);
    candidates = candidates.minus(newest);
    const messages = await mailbox.views(newest);
    for (const message of messages.toSorted((one, other) => other.number - one.number)) {
      const { uid } = message;
      if (request.opened.has(uid)) continue;
      if (left-- <= 0 || away >= AWAY || signal.aborted || exchange.waits.opening) return;
      const now = timers.now();
      if (now - told > TOLD_MS) {
        told = now;
        const done = most - left - 1;
        await exchange.say(`* OK [INPROGRESS ("${tag}" ${done} ${most})] Looking into messages\r\n`);
      }
      const original = await mailbox.original(message);
      if (original === null) continue;
      try {
        const opened = await views.open(uid, original.octets, {
          ...{ signal, exhausted: new Map(), openKeysOnly: true },
        });
        away = opened.kind === 'withheld' ? away + 1 : 0;
        if (opened.kind === 'view') opened.release();
      } finally {
        await original.discard();
      }
    }
  }
}
