import { FOR_OTHERS, type OpenedView } from '../reading/reader-views.ts';
import type { Withheld } from '../reading/withheld.ts';
import type { Answer } from './answer.ts';
import { answerFromView, type StoredAnswer } from './fetch-answer.ts';
import type { ResponseItem } from './fetch-response.ts';
import type { Original } from './gathering.ts';
import type { ListedMessage, MailboxViews } from './mailbox-views.ts';
import type { Pending } from './pending.ts';
import type { Opening, Waits } from './waits.ts';

/** Opens a gathered message for a command; its octets are let go when the result is there. */
export function openOriginal(
  { views, waits, say }: OpeningContext,
  uid: number,
  original: Original,
  pending: Pending | null,
): Opening<OpenedView> {
  const exhausted = pending?.exhausted ?? new Map();
  return waits.open(
    (signal, atKey) =>
      views.open(uid, original.octets, { signal, exhausted, atKey }).finally(() => original.discard()),
    () => original.place.wait(),
    () => void say(Buffer.from(inProgress(pending), 'latin1')),
  );
}

/** What opening a message needs of its session. */
export type OpeningContext = {
  views: MailboxViews;
  waits: Waits;
  say(response: Buffer): Promise<void> | null;
};

/** RFC 9585 §4. */
function inProgress(pending: Pending | null): string {
  if (pending === null) return '* OK [INPROGRESS] Opening a message\r\n';
  const { tag, parked, answered } = pending;
  const progress = parked.length === 0 ? 'NIL NIL' : `${answered} ${parked.length}`;
  return `* OK [INPROGRESS ("${tag}" ${progress})] Opening a message\r\n`;
}

/**
 * What a command gets to hear of a message in the shell, from the view it was opened to; that is held by the answer from then on.
 * `opened` is null only where `needsView` is false. `listed`: where it was asked for already, and nothing was opened since.
 */
export async function answerFor(
  views: MailboxViews,
  uid: number,
  stored: StoredAnswer,
  opened: OpenedView | null,
  pending: Pending | null,
  listed: ListedMessage | null = null,
): Promise<Answer | Withheld> {
  if (opened?.kind === 'withheld') {
    views.isForOthers(uid);
    return opened.reason;
  }
  try {
    const said = listed ?? (await listedMessage(views, uid));
    if (views.isForOthers(uid)) return FOR_OTHERS;
    const items = pending?.addedUid === true ? stored.items.filter((each) => !isUid(each)) : stored.items;
    return await answerFromView(
      { ...stored, items },
      {
        view: opened?.view ?? null,
        listed: said,
        names: views.names,
        command: pending?.fetch ?? null,
      },
    );
  } finally {
    opened?.release();
  }
}

/** What listings say of a message, with all that was said in former sessions. */
export async function listedMessage(views: MailboxViews, uid: number): Promise<ListedMessage> {
  const recalling = views.recall(uid);
  if (recalling !== null) await recalling;
  return views.listed(uid);
}

function isUid({ item }: ResponseItem): boolean {
  return item.kind === 'neutral' && item.name === 'UID';
}

/** A view that was opened a moment ago, held. */
export function cachedView(views: MailboxViews, uid: number): Extract<OpenedView, { kind: 'view' }> | null {
  const view = views.cached(uid);
  return view === null ? null : { kind: 'view', view, release: view.hold() };
}
