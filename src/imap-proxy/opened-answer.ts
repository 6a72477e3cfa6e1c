import type { MessageView } from '../mail-view/message-view.ts';
import type { OpenedView } from '../reading/reader-views.ts';
import type { Withheld } from '../reading/withheld.ts';
import type { Answer } from './answer.ts';
import { answerFromView, type StoredAnswer } from './fetch-answer.ts';
import type { Original } from './gathering.ts';
import type { MailboxViews } from './mailbox-views.ts';
import type { Pending } from './pending.ts';
import type { Opening, Waits } from './waits.ts';

/** Opens a gathered message for a command; its octets are let go when the result is there. */
export function openOriginal(
  { views, waits }: { views: MailboxViews; waits: Waits },
  uid: number,
  original: Original,
  pending: Pending | null,
): Opening<OpenedView> {
  const exhausted = pending?.exhausted ?? new Map();
  return waits.open(
    (signal) => views.open(uid, original.octets, { signal, exhausted }).finally(() => original.discard()),
    () => original.place.wait(),
  );
}

/** What a command gets to hear of a message in the shell. `view` is null only where `needsView` is false. */
export function answerFor(
  views: MailboxViews,
  uid: number,
  stored: StoredAnswer,
  view: MessageView | null,
  pending: Pending | null,
): Promise<Answer | Withheld> {
  return answerFromView(stored, {
    view,
    header: views.shownHeader(uid),
    boundary: views.boundary(uid),
    names: views.names,
    command: pending?.fetch ?? null,
  });
}
