import { lookForMarks } from '../append/look-for-marks.ts';
import { DeferredFetch } from '../deferred-fetch.ts';
import type { FetchItem } from '../fetch-item.ts';
import { type FetchCommand, planFetch, readFetchCommand } from '../fetch-plan.ts';
import { Pending } from '../pending.ts';
import type { CommandHandler } from './command-context.ts';
import { COMMAND_LIMIT } from './pass.ts';

/** FETCH and UID FETCH: the octets go on, and the responses may have to be worked on. */
export const fetch: CommandHandler = async (context, event, { tag, name, argument }) => {
  const { exchange, upstreamSide, turn, forward } = context;
  const byUid = name === 'UID FETCH';
  const command = event.literal === null ? readFetchCommand(byUid, argument) : null;
  const about = command === null || command.items.length === 0 || command.items.some(isAboutMessages);
  if (about) await lookForMarks(context);
  const { views } = exchange.parts;
  const plan =
    about && command !== null && !saysUid(command) && views.atRest?.isEmpty === false
      ? { classifyFirst: true, alone: true }
      : planFetch(command, views.names);
  if (!plan.alone) {
    await forward(event, new Pending(tag, 'fetch', command, false), COMMAND_LIMIT);
    return 'goes-on';
  }
  const pending = new Pending(tag, 'fetch', command, true);
  const deferred = new DeferredFetch({
    exchange,
    upstreamSide,
    turn,
    byUid,
    pending,
    set: plan.classifyFirst ? (/^([0-9:,*]+|\$) /.exec(argument)?.[1] ?? null) : null,
    forward: () => forward(event, pending, COMMAND_LIMIT),
  });
  await deferred.begin();
  return 'goes-on';
};

/** Whether the item says anything of a message that its client may have stored otherwise than it lies there. */
function isAboutMessages(item: FetchItem): boolean {
  return item.kind !== 'neutral' || item.name === 'RFC822.SIZE' || item.name === 'ENVELOPE';
}

/** Whether responses say what message they are about for longer than the moment. */
function saysUid({ byUid, items }: FetchCommand): boolean {
  return byUid || items.some((item) => item.kind === 'neutral' && item.name === 'UID');
}
