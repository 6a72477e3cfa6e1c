import { DeferredFetch } from '../deferred-fetch.ts';
import { planFetch, readFetchCommand } from '../fetch-plan.ts';
import { Pending } from '../pending.ts';
import type { CommandHandler } from './command-context.ts';
import { COMMAND_LIMIT } from './pass.ts';

/** FETCH and UID FETCH: the octets go on, and the responses may have to be worked on. */
export const fetch: CommandHandler = async (context, event, { tag, name, argument }) => {
  const { exchange, upstreamSide, turn, forward } = context;
  const byUid = name === 'UID FETCH';
  const command = event.literal === null ? readFetchCommand(byUid, argument) : null;
  const plan = planFetch(command, exchange.parts.views.names);
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
