import { limits } from '../../limits.ts';
import { atRestOuterHeader } from '../../mail-view/at-rest-object.ts';
import type { OctetStream } from '../../octets/source.ts';
import type { SealOutcome } from '../../pipeline/ports.ts';
import {
  type AfterCommand,
  type CommandContext,
  clientClosed,
  type LineEvent,
} from '../commands/command-context.ts';
import type { LiteralSize } from '../framer.ts';
import { Pending, type TaggedReply } from '../pending.ts';
import type { Exchange } from '../session.ts';
import { publicLine } from '../tagged-reply.ts';
import { type AppendCommand, appendUid } from './append-command.ts';
import type { KeptAside } from './kept-aside.ts';
import { largestAtRest } from './largest-at-rest.ts';
import { readMailboxName } from './mailbox-name.ts';
import type { Storing } from './storing.ts';
import { nextInTime, takeMessage } from './take-message.ts';

export type StoreRequest = {
  event: LineEvent;
  literal: LiteralSize;
  tag: string;
  /** Of the command, upper case. */
  name: string;
  command: AppendCommand;
  subject: 'keep' | 'protect';
  /** Gets what passes of a signed message; null: nobody learns from it. */
  kept: KeptAside | null;
};

/**
 * Stores a message encrypted to its own login: takes it whole, encrypts it, and hands it over in the place of what the client has
 * sent, flags and date unchanged. The mail server's answer is the client's.
 *
 * Must never happen: an OK for what is not stored; octets for the mail server that are not encrypted, whatever goes wrong.
 */
export async function storeAtRest(
  context: CommandContext,
  storing: Storing,
  request: StoreRequest,
): Promise<AfterCommand> {
  try {
    return await takeAndStore(context, storing, request);
  } finally {
    request.kept?.end();
  }
}

async function takeAndStore(
  context: CommandContext,
  storing: Storing,
  request: StoreRequest,
): Promise<AfterCommand> {
  const { exchange, refuse } = context;
  const { event, literal, tag, command } = request;
  const { marks, principal, story } = storing.messages;
  if (literal.size > largestAtRest(limits.messageOctets))
    return refuse(event, tag, 'NO', '[TOOBIG] Too large');
  const taken = await takeMessage(exchange, literal, marks, request.kept);
  if ('refused' in taken) return refuse(await lineAfter(context), tag, 'NO', publicLine(taken.refused));
  const { mark, octets } = taken;
  try {
    const end = await lineAfter(context);
    if (end.literal !== null || end.octets.toString('latin1') !== endOf(command)) {
      // MULTIAPPEND (RFC 3502): all messages or none, which nobody could take back.
      return await refuse(end, tag, 'BAD', 'One message at a time');
    }
    const marker = Buffer.from(marks.write(mark), 'latin1');
    const outer = Buffer.concat([atRestOuterHeader(mark.header, request.subject), marker]);
    const sealed = await story.seal({ principal, outer, octets });
    switch (sealed.kind) {
      case 'refused':
        await sayRefused(exchange, tag, sealed);
        break;
      case 'as-is':
        await handOver(exchange, request, { length: octets.length, octets: octets.read() });
        break;
      case 'sealed': {
        // Known before it is there: whoever lists the mailbox in between looks for it.
        await storing.expect(command.mailbox);
        const handed = await handOver(exchange, request, sealed);
        void handed?.answered.then((reply) => learn(exchange, storing, command, reply, marker));
      }
    }
    return 'goes-on';
  } finally {
    await octets.discard();
  }
}

async function sayRefused(
  exchange: Exchange,
  tag: string,
  { code, duration, publicText }: Extract<SealOutcome, { kind: 'refused' }>,
): Promise<void> {
  const { log, session } = exchange.parts;
  log.write({ event: 'mail.not-stored', level: 'warn', session, code });
  const responseCode = duration === 'temporary' ? 'UNAVAILABLE' : 'CANNOT';
  await exchange.say(`${tag} NO ${publicLine(`[${responseCode}] ${publicText}`)}\r\n`);
}

/**
 * Gives the command to the mail server, the message in the place of the client's. `answered` resolves with its answer, which goes to
 * the client by itself; null: it did not want the message (TRYCREATE, OVERQUOTA), and has said so.
 *
 * What fails here ends the session: the mail server never gets the whole literal, and the client no OK.
 */
async function handOver(
  exchange: Exchange,
  { tag, name, command, kept }: StoreRequest,
  message: { length: number; octets: OctetStream },
): Promise<{ answered: Promise<TaggedReply> } | null> {
  const { upstream, log, session } = exchange.parts;
  const pending = new Pending(tag, 'client', null, false);
  pending.mailbox = command.mailbox.toString('latin1');
  exchange.add(pending);
  kept?.awaits(pending.done);
  const accepted = pending.continuation(false);
  const intro = command.utf8 ? 'UTF8 (~' : '';
  const line = `${tag} ${name} ${command.before} ${intro}{${message.length}}\r\n`;
  await upstream.write(Buffer.from(line, 'latin1'));
  if (!(await exchange.owed(accepted))) return null;
  for await (const chunk of message.octets) await upstream.write(chunk);
  await upstream.write(endOf(command));
  void pending.done.then(({ status }) => {
    if (status !== 'OK') return;
    log.write({ event: 'mail.stored-encrypted', level: 'info', session, octets: message.length });
  });
  return { answered: pending.done };
}

/** So that it is listed rightly at once, where the mail server says what its UID is (RFC 4315 §3). */
function learn(
  { parts: { views } }: Exchange,
  { messages }: Storing,
  { mailbox }: AppendCommand,
  { status, line }: TaggedReply,
  marker: Buffer,
): void {
  const told = status === 'OK' ? appendUid(line) : null;
  if (told === null || told.uidValidity !== views.uidValidity) return;
  const here = readMailboxName(Buffer.from(views.mailbox, 'latin1')) === readMailboxName(mailbox);
  if (here && messages.learn(told.uid, marker)) views.learn(told.uid, 'shell');
}

/** What follows the octets of the message. */
function endOf({ utf8 }: AppendCommand): string {
  return utf8 ? ')\r\n' : '\r\n';
}

async function lineAfter({ exchange }: CommandContext): Promise<LineEvent> {
  const event = await nextInTime(exchange);
  if (event === null || event.type !== 'line') throw clientClosed();
  return event;
}
