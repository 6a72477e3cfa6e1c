import { limits } from '../../limits.ts';
import { isCatenate, mailboxFollows, readAppendCommand } from '../append/append-command.ts';
import { KeptAside } from '../append/kept-aside.ts';
import { quotedMailboxName } from '../append/mailbox-name.ts';
import { storeAtRest } from '../append/store-at-rest.ts';
import type { CommandStart } from '../client-command.ts';
import { Pending } from '../pending.ts';
import {
  type AfterCommand,
  type CommandContext,
  type CommandHandler,
  type CommandLimit,
  clientClosed,
  type LineEvent,
} from './command-context.ts';

const APPEND_LIMIT: CommandLimit = { octets: limits.messageOctets + 65_536, tooLarge: '[TOOBIG] Too large' };
/** Octets of a mailbox's name that comes as a literal. */
const NAME_OCTETS = 1_024;

/** APPEND: the message goes on as the client has it, or encrypted to its own login, as the rules say of its mailbox. */
export const append: CommandHandler = (context, event, start) => store(context, event, start, 'append');

/** REPLACE and UID REPLACE (RFC 8508): the same, in the place of another message. */
export const replace: CommandHandler = (context, event, start) => {
  const known = context.exchange.parts.upstreamCapabilities.has('REPLACE');
  if (!known) return context.refuse(event, start.tag, 'BAD', 'Unknown command');
  return store(context, event, start, 'replace');
};

async function store(
  context: CommandContext,
  event: LineEvent,
  start: CommandStart,
  verb: 'append' | 'replace',
): Promise<AfterCommand> {
  const { exchange, upstreamSide, refuse } = context;
  const { storing, told } = exchange.parts;
  const { tag } = start;
  if (isCatenate(start.argument)) return refuse(event, tag, 'BAD', 'CATENATE is not supported here');
  if (storing?.encrypts !== true) {
    // What APPENDUID says is told for that mailbox; of one in a literal it is not told.
    const mailbox = told?.isActive === true ? readAppendCommand(start.argument, verb)?.mailbox : null;
    return verbatim(context, event, { start, verb, mailbox: mailbox ?? null });
  }
  const named = await withNameAtHand(context, event, start, verb);
  if (named === null) return refuse(event, tag, 'BAD', 'The name of the mailbox is missing or too long');
  const command = readAppendCommand(named.start.argument, verb);
  if (command === null)
    return refuse(named.event, tag, 'BAD', 'This form of the command is not supported here');
  const { literal } = named.event;
  const asItIs = { start: named.start, verb, mailbox: command.mailbox };
  if (literal === null) return verbatim(context, named.event, asItIs);
  let isRenumbered = false;
  const renumbered = (): void => {
    isRenumbered = true;
  };
  upstreamSide.renumbered.add(renumbered);
  const decision = await storing
    .decide(command.mailbox, exchange, upstreamSide)
    .finally(() => upstreamSide.renumbered.delete(renumbered));
  // What its client has numbered is another message by now.
  if (isRenumbered && start.name === 'REPLACE')
    return refuse(named.event, tag, 'NO', '[UNAVAILABLE] Message numbers have changed. Try again.');
  switch (decision.kind) {
    case 'verbatim':
      return verbatim(context, named.event, asItIs);
    case 'depends':
      return refuse(named.event, tag, 'NO', decision.isThere ? untold(decision.on) : NOT_THERE);
    case 'at-rest':
      // How clients cancel (RFC 3502 §6.3.11). Passed on, it would bring along what stands behind it.
      if (literal.size === 0) return refuse(named.event, tag, 'NO', 'There is no message');
      return storeAtRest(context, storing, {
        ...{ event: named.event, tag, name: start.name, command, subject: decision.subject },
        ...{ literal, kept: keptAside(context, named.start, verb) },
      });
  }
}

async function verbatim(
  context: CommandContext,
  event: LineEvent,
  { start, verb, mailbox }: { start: CommandStart; verb: 'append' | 'replace'; mailbox: Buffer | null },
): Promise<AfterCommand> {
  const pending = new Pending(start.tag, 'client', null, false);
  pending.mailbox = mailbox?.toString('latin1') ?? '';
  const kept = event.literal === null ? null : keptAside(context, start, verb);
  kept?.awaits(pending.done);
  pending.literals = kept;
  await context.forward(event, pending, APPEND_LIMIT);
  return 'goes-on';
}

/** null: nothing is learned from what clients store. */
function keptAside(
  { exchange }: CommandContext,
  { argument }: CommandStart,
  verb: 'append' | 'replace',
): KeptAside | null {
  const { keeping } = exchange.parts;
  return keeping === null ? null : new KeptAside(keeping, verb, argument);
}

/** RFC 9051 §6.3.12: a client that makes it tries again. */
const NOT_THERE =
  '[TRYCREATE] The mail server lists no such mailbox, so nobody can say what it is for; it was not stored. The administrator of the gateway can name the mailbox instead.';

function untold(uses: readonly string[]): string {
  return `[CANNOT] The mail server does not say which mailbox is for ${uses.join(', ')}; it was not stored. The administrator of the gateway can name the mailbox instead.`;
}

/** The command with its mailbox's name in its first line, where it came as a literal. null: there is no name. */
async function withNameAtHand(
  { takeLiteral, exchange }: CommandContext,
  event: LineEvent,
  start: CommandStart,
  verb: 'append' | 'replace',
): Promise<{ event: LineEvent; start: CommandStart } | null> {
  const follows = mailboxFollows(start.argument, verb);
  if (follows === null) return { event, start };
  if (event.literal === null || event.literal.size > NAME_OCTETS) return null;
  const octets = await takeLiteral(event.literal.size, event.literal.nonSync);
  const rest = await exchange.parts.client.next();
  if (octets === null || rest === null || rest.type !== 'line') throw clientClosed();
  const name = quotedMailboxName(octets);
  const text = rest.octets.toString('latin1', 0, rest.octets.length - 2);
  // The rest of a name that cannot be passed on is taken as what it is: a command that has to be refused.
  const argument = `${follows.before}${name ?? '""'}${text}`;
  const line = Buffer.from(`${start.tag} ${start.name} ${argument}\r\n`, 'latin1');
  const whole: LineEvent = { ...rest, octets: line, first: true };
  return { event: whole, start: { ...start, argument: name === null ? '' : argument } };
}
