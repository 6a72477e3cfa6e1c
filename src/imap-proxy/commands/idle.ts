import { storeKeywords } from '../keywords/store-keywords.ts';
import { refreshMailbox } from '../refresh/refresh-mailbox.ts';
import { Idling } from '../warm-up/idling.ts';
import { openAhead } from '../warm-up/open-ahead.ts';
import { WARM_UP_AFTER_MS } from '../warm-up/warm-up.ts';
import { type CommandContext, type CommandHandler, clientProtocol } from './command-context.ts';

/** RFC 2177. While a client idles, the gateway may open messages ahead. */
export const idle: CommandHandler = async (context, event, { tag }) => {
  const { exchange, refuse, without, next } = context;
  if (event.literal !== null) return refuse(event, tag, 'BAD', 'Unexpected literal');
  // A key may still be waited for: whoever types its PIN wants the mail. A mere delay would hold up what is new.
  exchange.waits.endDelays();
  await without(exchange.idle());
  await refreshMailbox(context);
  await storeKeywords(context);
  const idling = new Idling(context, tag);
  if (!(await idling.begin(event.octets))) return 'goes-on';
  const said = new AbortController();
  const done = exchange.parts.client.next().finally(() => said.abort());
  // It may be nothing that can be read, and that long before anybody waits for it.
  done.catch(() => undefined);
  await untilDone(context, tag, idling, said.signal);
  const line = await done;
  if (line === null) return 'goes-on';
  if (line.type === 'line' && line.literal === null && /^DONE\r\n$/i.test(line.octets.toString('latin1'))) {
    // What has crossed the mail server's own end of it changes nothing.
    if (!idling.isAnswered) await idling.answer();
    return 'goes-on';
  }
  // RFC 2177 §3: nothing but DONE may follow. A client that has heard of the end goes on with the next command.
  if (line.type !== 'line' || !idling.isAnswered) throw clientProtocol('something else than DONE ends IDLE');
  next(line);
  return 'goes-on';
};

/** Until the client ends it, or the mail server: then the client has heard that. `signal`: the client has said something. */
async function untilDone(
  context: CommandContext,
  tag: string,
  idling: Idling,
  signal: AbortSignal,
): Promise<void> {
  const { timers, views } = context.exchange.parts;
  const { warmUp } = views;
  const done = aborted(signal);
  for (;;) {
    const quiet = warmUp?.isDue === true ? passed(timers, WARM_UP_AFTER_MS, signal) : warmUp?.whenGrown();
    const next = await Promise.race([
      done.then(() => 'done' as const),
      idling.ended().then(() => 'ended' as const),
      ...(quiet === undefined ? [] : [quiet.then(() => 'quiet' as const)]),
    ]);
    if (next === 'done') return;
    if (next === 'ended') return idling.answer();
    if (warmUp?.isDue !== true) continue;
    if (!(await idling.interrupt())) return;
    await openAhead(context, tag, warmUp, signal);
    if (signal.aborted) return;
    if (!(await idling.resume())) return done;
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Resolves after so many milliseconds; never where `signal` comes first. */
function passed(
  timers: CommandContext['exchange']['parts']['timers'],
  ms: number,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve) => {
    const cancel = timers.after(ms, () => {
      signal.removeEventListener('abort', cancel);
      resolve();
    });
    signal.addEventListener('abort', cancel, { once: true });
  });
}
