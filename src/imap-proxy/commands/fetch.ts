import { lookForMarks } from '../append/look-for-marks.ts';
import type { CommandStart } from '../client-command.ts';
import { DeferredFetch } from '../deferred-fetch.ts';
import { choosingModifiers, saysUid, withUid } from '../fetch-plan.ts';
import { lookForForeign } from '../foreign/look-for-foreign.ts';
import { storeKeywords } from '../keywords/store-keywords.ts';
import { Pending } from '../pending.ts';
import type { Exchange } from '../session.ts';
import type { AfterCommand, CommandContext, LineEvent, QuickHandler } from './command-context.ts';
import { COMMAND_LIMIT } from './pass.ts';

/** FETCH and UID FETCH: the octets go on, and the responses may have to be worked on. */
export const fetch: QuickHandler = (context, event, start) => {
  const { exchange, fetches } = context;
  const { keywords } = exchange.parts.views;
  // Commands that come one behind the other do not wait for it.
  if (keywords?.isEmpty === false && isByUid(start) && exchange.isQuiet) {
    return storeKeywords(context).then(() => fetch(context, event, start));
  }
  // Nearly always there is nothing to look for.
  if (mayHaveToLook(exchange) && fetches.read(isByUid(start), argumentOf(event, start)).isAboutMessages) {
    return look(context, start).then(() => begin(context, event, start));
  }
  return begin(context, event, start);
};

function mayHaveToLook({ parts: { storing, foreign } }: Exchange): boolean {
  return storing?.messages.mustLook === true || foreign?.mustLook === true;
}

async function look(context: CommandContext, start: CommandStart): Promise<void> {
  const byUid = isByUid(start);
  await lookForMarks(context, byUid);
  await lookForForeign(context, start.tag, byUid);
}

function isByUid({ name }: CommandStart): boolean {
  return name === 'UID FETCH';
}

/** null: there are literals in it. */
function argumentOf({ literal }: LineEvent, { argument }: CommandStart): string | null {
  return literal === null ? argument : null;
}

function begin(
  { exchange, upstreamSide, turn, fetches, forward }: CommandContext,
  event: LineEvent,
  start: CommandStart,
): AfterCommand | Promise<AfterCommand> {
  const { tag, argument } = start;
  const byUid = isByUid(start);
  const { command, plan } = fetches.read(byUid, argumentOf(event, start));
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
    const forwarded = forward(sent, pending, COMMAND_LIMIT);
    return forwarded === true ? 'goes-on' : forwarded.then(() => 'goes-on');
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
  return deferred.begin().then(() => 'goes-on');
}
