import { readMailboxName } from '../append/mailbox-name.ts';
import { readArguments } from '../client-command.ts';
import { Pending } from '../pending.ts';
import { takeCommand } from '../search/taken-command.ts';
import { sendWritten } from '../written-command.ts';
import type { AfterCommand, CommandContext, CommandHandler, LineEvent } from './command-context.ts';
import { pass } from './pass.ts';

const LIST: ReadonlySet<string> = new Set(['LIST']);

/** RENAME: octets unchanged; what is known of the mailbox, and of those below it, is known of them by their new names. */
export const rename: CommandHandler = async (context, event, start) => {
  const { exchange, upstreamSide } = context;
  const { views, storing, told } = exchange.parts;
  return named(context, event, start, async ([from, to], renamed) => {
    if (from === undefined || to === undefined) return;
    await exchange.quiet();
    // RFC 9051 §6.3.9: an empty name asks for the delimiter alone.
    const { answers } = await upstreamSide.ask('LIST "" ""', LIST);
    const delimiter = delimiterIn(answers[0]?.octets ?? null);
    if (!(await renamed())) return;
    await told?.renamed(from, to, delimiter);
    await views.renamed(from, to, delimiter);
    await storing?.renamed(from, to, delimiter);
  });
};

/** DELETE: octets unchanged; a mailbox that is made by this name later is another one. */
export const remove: CommandHandler = async (context, event, start) => {
  const { views } = context.exchange.parts;
  return named(context, event, start, async ([name], removed) => {
    if (name !== undefined && (await removed())) await views.deleted(name);
  });
};

/** `work` gets the names, and a function that sends the command on and says whether it succeeded. */
async function named(
  context: CommandContext,
  event: LineEvent,
  start: Parameters<CommandHandler>[2],
  work: (names: readonly string[], send: () => Promise<boolean>) => Promise<void>,
): Promise<AfterCommand> {
  const command = await takeCommand(context, event, start);
  if (command === null) return 'goes-on';
  const found = readArguments(command.pieces) ?? [];
  const names = found.flatMap((each) => (each.kind === 'string' ? [readMailboxName(each.octets)] : []));
  if (names.length !== found.length && event.literal === null) return pass(context, event, start);
  const { exchange } = context;
  let sent = false;
  const send = async (): Promise<boolean> => {
    sent = true;
    const pending = new Pending(start.tag, 'client', null, false);
    exchange.add(pending);
    await sendWritten(exchange, pending, command.written);
    return (await pending.done).status === 'OK';
  };
  await work(names, send);
  if (!sent) await send();
  return 'goes-on';
}

/** Of `* LIST (…) "/" ""`; null: there is no hierarchy, or it is not told. */
function delimiterIn(response: Buffer | null): string | null {
  const found = /^\* LIST \([^()]*\) "(\\?[^"\r\n])" /i.exec(response?.toString('latin1', 0, 300) ?? '');
  return found?.[1]?.slice(-1) ?? null;
}
