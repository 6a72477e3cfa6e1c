import { storeKeywords } from '../keywords/store-keywords.ts';
import { Pending } from '../pending.ts';
import { refreshMailbox } from '../refresh/refresh-mailbox.ts';
import { type CommandHandler, clientProtocol } from './command-context.ts';

/** RFC 2177. */
export const idle: CommandHandler = async (context, event, { tag }) => {
  const { exchange, refuse, without } = context;
  const { client, upstream } = exchange.parts;
  if (event.literal !== null) return refuse(event, tag, 'BAD', 'Unexpected literal');
  // A key may still be waited for: whoever types its PIN wants the mail. A mere delay would hold up what is new.
  exchange.waits.endDelays();
  await without(exchange.idle());
  await refreshMailbox(context);
  await storeKeywords(context);
  const pending = new Pending(tag, 'client', null, false);
  exchange.add(pending);
  const accepted = pending.continuation(true);
  await upstream.write(event.octets);
  if (!(await exchange.owed(accepted))) return 'goes-on';
  const text = await client.nextText();
  if (text === null) return 'goes-on';
  // RFC 2177 §3: nothing but DONE may follow.
  if (!/^DONE\r\n$/i.test(text.toString('latin1')))
    throw clientProtocol('something else than DONE ends IDLE');
  if (pending.settled) return 'goes-on';
  await upstream.write('DONE\r\n');
  await pending.done;
  return 'goes-on';
};
