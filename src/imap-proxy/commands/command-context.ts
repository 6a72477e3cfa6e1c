import { SealgateError } from '../../errors.ts';
import type { CommandStart } from '../client-command.ts';
import type { FetchReader } from '../fetch-reader.ts';
import type { FramerEvent } from '../framer.ts';
import type { Pending } from '../pending.ts';
import type { Exchange } from '../session.ts';
import type { Turn } from '../turn.ts';
import type { UpstreamSide } from '../upstream-side.ts';

/** A line of a client's command; the first one holds its tag and name. */
export type LineEvent = Extract<FramerEvent, { type: 'line' }>;

/** What becomes of the session after a command. */
export type AfterCommand = 'goes-on' | 'logged-out';

/** One command of the client: resolves when the next one may be taken. */
export type CommandHandler = (
  context: CommandContext,
  event: LineEvent,
  start: CommandStart,
) => Promise<AfterCommand>;

/** The same where nothing may have to be waited for. */
export type QuickHandler = (...command: Parameters<CommandHandler>) => AfterCommand | Promise<AfterCommand>;

/** What a command's file works with. */
export type CommandContext = {
  exchange: Exchange;
  upstreamSide: UpstreamSide;
  /** Whose commands go upstream now: the client's, or those of a FETCH that comes back to what it has waited for. */
  turn: Turn;
  /**
   * Sends a command on, literals included. `limit`: octets of the command, literals counted. false: it ended before it was
   * whole, because the upstream refused a literal or the gateway did.
   */
  forward(event: LineEvent, pending: Pending, limit: CommandLimit): true | Promise<boolean>;
  /** Reads the FETCHes of this session. */
  fetches: FetchReader;
  /**
   * Nothing is on its way before it, and nothing goes on behind it, until it is answered. Who goes elsewhere does not wait for
   * a key any longer.
   */
  alone(event: LineEvent, pending: Pending): Promise<void>;
  /** Waits for FETCHes that may need the turn themselves before they are done. */
  without(work: Promise<void> | undefined): Promise<void>;
  /** Answers a command that does not go on, and takes what the client sends of it regardless. */
  refuse(event: LineEvent, tag: string, status: 'NO' | 'BAD', text: string): Promise<'goes-on'>;
  /** A command of the client's that somebody else has taken is the next one. */
  next(event: LineEvent): void;
  /** Takes the literal of a command that is answered here, after asking for it where it is to be asked for. null: the client has gone. */
  takeLiteral(size: number, nonSync: boolean): Promise<Buffer | null>;
};

export type CommandLimit = { octets: number; tooLarge: string };

export function clientProtocol(reason: string): SealgateError {
  return new SealgateError({
    code: 'imap.protocol',
    publicText: 'The client does not follow the IMAP protocol. Connect again.',
    duration: 'permanent',
    reason,
  });
}

export function clientClosed(): SealgateError {
  return clientProtocol('the client closed in the middle of a command');
}
