import { SealgateError } from '../../errors.ts';
import type { FoundMailbox } from '../../reading/epochs/login-epochs.ts';
import { readMailboxName } from '../append/mailbox-name.ts';
import { type CommandStart, type Piece, readArguments } from '../client-command.ts';
import type { CommandContext, LineEvent } from '../commands/command-context.ts';
import type { Pending } from '../pending.ts';
import { takeCommand } from '../search/taken-command.ts';
import { publicLine } from '../tagged-reply.ts';
import { sendWritten, type Written } from '../written-command.ts';
import { resyncList } from './qresync.ts';
import type { Selecting, ToldSession } from './told-session.ts';

const STATUS: ReadonlySet<string> = new Set(['STATUS']);

/**
 * SELECT and EXAMINE where clients may have been told another UIDVALIDITY than the mail server's, or are to be told one from now on.
 * Without an epoch the command goes on as it came. Resolves when it is answered.
 */
export async function selectTold(
  context: CommandContext,
  told: ToldSession,
  event: LineEvent,
  start: CommandStart,
  pending: Pending,
): Promise<void> {
  const { exchange, alone } = context;
  const command = event.literal === null ? null : await takeCommand(context, event, start);
  if (event.literal !== null && command === null) return;
  const pieces: readonly Piece[] = command?.pieces ?? [{ kind: 'text', text: start.argument }];
  const [mailbox, list] = readArguments(pieces) ?? [];
  if (mailbox?.kind !== 'string') {
    // The mail server refuses what is in no grammar; what it takes all the same is told of as it says.
    if (told.isActive) {
      // Its literals were taken.
      await exchange.say(`${start.tag} BAD The name of the mailbox is missing\r\n`);
      return;
    }
    if (command === null) await alone(event, pending);
    else await aloneWritten(context, pending, command.written);
    return;
  }
  const { octets } = mailbox;
  pending.mailbox = octets.toString('latin1');
  const name = readMailboxName(octets);
  let lookedUp: { found: FoundMailbox; selecting: Selecting | null };
  try {
    lookedUp = await lookUp(context, told, name, octets);
  } catch (error) {
    if (!(error instanceof SealgateError) || error.code !== 'store.unavailable') throw error;
    await exchange.say(`${start.tag} NO [UNAVAILABLE] ${publicLine(error.publicText)}\r\n`);
    return;
  }
  const { found, selecting } = lookedUp;
  if (selecting === null) {
    told.select(null, found);
    if (command === null) await alone(event, pending);
    else await aloneWritten(context, pending, command.written);
  } else {
    const written = command?.written ?? [event.octets.toString('latin1')];
    const parameters = list?.kind === 'list' ? list.text : null;
    const sent = withResync(written, parameters, (each) => told.upstreamOf(selecting, each));
    if (sent === null) {
      await exchange.say(`${start.tag} BAD Malformed parameters\r\n`);
      return;
    }
    await aloneWritten(context, pending, sent, () => told.select(selecting, null));
  }
  const { views } = exchange.parts;
  const isIn = pending.settled && (await pending.done).status === 'OK';
  told.selected(isIn ? name : null, views.uidValidity, views.mailboxId);
}

/** `selecting` null: it is told as the mail server has it. @throws SealgateError `store.unavailable` (temporary) */
async function lookUp(
  context: CommandContext,
  told: ToldSession,
  name: string,
  octets: Buffer,
): Promise<{ found: FoundMailbox; selecting: Selecting | null }> {
  // What is known by then counts: others may be told of an epoch while commands before this one are on their way.
  await context.exchange.waits.giveUp(context.exchange.idle());
  const found = await told.find(name, null);
  if (!told.isActive && found.due === 0) return { found, selecting: null };
  const key = await idOf(context, octets);
  const known = key === null ? found : await told.find(name, key);
  return { found: known, selecting: { ...known, name, key } };
}

/** The same as `alone` of a command that is at hand. */
async function aloneWritten(
  { exchange }: CommandContext,
  pending: Pending,
  written: Written,
  before: () => void = () => undefined,
): Promise<void> {
  await exchange.waits.giveUp(exchange.idle());
  exchange.parts.views.select();
  before();
  exchange.add(pending);
  await sendWritten(exchange, pending, written);
  await pending.done;
}

/** MAILBOXID (RFC 8474 §5.2), ahead of SELECT, which tells it behind UIDVALIDITY; null: nobody tells. */
async function idOf({ exchange, upstreamSide }: CommandContext, mailbox: Buffer): Promise<string | null> {
  if (!exchange.parts.upstreamCapabilities.has('OBJECTID')) return null;
  const { answers } = await upstreamSide.ask(['STATUS ', mailbox, ' (MAILBOXID)'], STATUS);
  const said = answers[0]?.octets.toString('latin1') ?? '';
  const id = / \((?:[^()]* )?MAILBOXID \(([A-Za-z0-9_-]{1,255})\)[^()]*\) ?\r\n$/i.exec(said)?.[1];
  return id === undefined ? null : `id ${id}`;
}

/** null: its parameters are in no grammar. */
function withResync(
  written: Written,
  list: string | null,
  upstreamOf: (told: number) => number | null,
): Written | null {
  if (list === null) return written;
  const next = resyncList(list, upstreamOf);
  const last = written.at(-1);
  if (next === null || typeof last !== 'string' || !last.endsWith(`${list}\r\n`)) return null;
  const before = last.slice(0, -(list.length + 2));
  const end = next === '' ? before.replace(/ $/, '') : `${before}${next}`;
  return [...written.slice(0, -1), `${end}\r\n`];
}
