import { lookForMarks } from '../append/look-for-marks.ts';
import { DeferredFetch } from '../deferred-fetch.ts';
import type { FetchItem } from '../fetch-item.ts';
import { choosingModifiers, planFetch, readFetchCommand, saysUid, withUid } from '../fetch-plan.ts';
import { lookForForeign } from '../foreign/look-for-foreign.ts';
import { Pending } from '../pending.ts';
import type { CommandHandler } from './command-context.ts';
import { COMMAND_LIMIT } from './pass.ts';

/** FETCH and UID FETCH: the octets go on, and the responses may have to be worked on. */
export const fetch: CommandHandler = async (context, event, { tag, name, argument }) => {
  const { exchange, upstreamSide, turn, forward } = context;
  const byUid = name === 'UID FETCH';
  const command = event.literal === null ? readFetchCommand(byUid, argument) : null;
  const about = command === null || command.items.length === 0 || command.items.some(isAboutMessages);
  if (about) {
    await lookForMarks(context);
    await lookForForeign(context, tag);
  }
  const { views } = exchange.parts;
  const plan = planFetch(command, views.names, views.listing);
  const pending = new Pending(tag, 'fetch', command, plan.alone);
  pending.addedUid = plan.addUid;
  if (command === null || saysUid(command)) {
    // A response to this one may look like one to an earlier one, and must not lose its UID; one more does no harm.
    for (const other of exchange.pending.values()) other.addedUid = false;
  }
  const sent =
    command === null || !plan.addUid
      ? event
      : { ...event, octets: Buffer.from(`${tag} FETCH ${withUid(command)}\r\n`, 'latin1') };
  if (!plan.alone) {
    await forward(sent, pending, COMMAND_LIMIT);
    return 'goes-on';
  }
  const set = command?.set ?? /^([0-9:,*]+|\$) /.exec(argument)?.[1];
  const modifiers = command === null ? '' : choosingModifiers(command);
  const deferred = new DeferredFetch({
    exchange,
    upstreamSide,
    turn,
    byUid,
    pending,
    classify: plan.classifyFirst && set !== undefined ? { set, modifiers } : null,
    forward: () => forward(sent, pending, COMMAND_LIMIT),
  });
  await deferred.begin();
  return 'goes-on';
};

/** Whether the item says anything of a message that its client may have stored otherwise than it lies there. */
function isAboutMessages(item: FetchItem): boolean {
  return item.kind !== 'neutral' || item.name === 'RFC822.SIZE' || item.name === 'ENVELOPE';
}
