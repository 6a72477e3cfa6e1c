import { Pending } from '../pending.ts';
import type { CommandHandler } from './command-context.ts';

/** Extensions a client may switch on (RFC 5161); everything else changes what the gateway would have to follow. */
const ENABLED: ReadonlySet<string> = new Set(['CONDSTORE', 'QRESYNC', 'UTF8=ACCEPT']);

export const enable: CommandHandler = async (context, event, { tag, argument }) => {
  const { exchange, alone, refuse, without } = context;
  if (event.literal !== null) return refuse(event, tag, 'BAD', 'Unexpected literal');
  const allowed = enableArguments(argument);
  if (allowed.length === 0) {
    await without(exchange.idle());
    await exchange.say(`* ENABLED\r\n${tag} OK Nothing was enabled\r\n`);
    return 'goes-on';
  }
  const octets = Buffer.from(`${tag} ENABLE ${allowed.join(' ')}\r\n`, 'latin1');
  await alone({ ...event, octets }, new Pending(tag, 'client', null, false));
  return 'goes-on';
};

/** The arguments of ENABLE that may go on, upper case. */
export function enableArguments(argument: string): string[] {
  return argument
    .split(' ')
    .map((each) => each.toUpperCase())
    .filter((each) => ENABLED.has(each));
}
