import { idArgument, readClientId } from '../client-id.ts';
import { Pending } from '../pending.ts';
import { takeCommand } from '../search/taken-command.ts';
import type { CommandHandler } from './command-context.ts';
import { COMMAND_LIMIT } from './pass.ts';

/** ID (RFC 2971): what a client says of itself goes on, without what only a proxy may say. */
export const id: CommandHandler = async (context, event, start) => {
  const { exchange, forward } = context;
  const { tag } = start;
  const taken = await takeCommand(context, event, start);
  if (taken === null) return 'goes-on';
  const said = readClientId(taken.pieces);
  if (said === null) {
    await exchange.say(`${tag} BAD Malformed ID\r\n`);
    return 'goes-on';
  }
  exchange.parts.views.identify(said);
  const octets = Buffer.from(`${tag} ID ${idArgument(said)}\r\n`, 'latin1');
  await forward({ ...event, octets, literal: null }, new Pending(tag, 'client', null, false), COMMAND_LIMIT);
  return 'goes-on';
};
