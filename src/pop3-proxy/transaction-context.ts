import type { Log } from '../log/log.ts';
import type { OctetSource, Spool } from '../octets/source.ts';
import type { Patience } from '../pipeline/ports.ts';
import type { Openings } from '../reading/openings.ts';
import type { ReaderViews } from '../reading/reader-views.ts';
import type { Timers } from '../reading/timers.ts';
import type { Withheld } from '../reading/withheld.ts';
import type { RelayedMechanism } from '../sasl/relayed-identity.ts';
import type { UpstreamCapabilities } from './capability.ts';
import type { Leg } from './leg.ts';
import type { Maildrop } from './maildrop.ts';
import type { StatusLine } from './reply-scanner.ts';
import type { UpstreamSide } from './upstream-side.ts';

export type TransactionSettings = {
  /** What TOP shows of the body of a message in the shell. */
  topBody: 'render' | 'headers';
  /** Everything is shown as it is stored, octet for octet: the client has asked for that. */
  asStored: boolean;
  /** In which unique ids are told; 0: as the mail server has them. */
  epoch: number;
  /** Told in CAPA, as before login. */
  relayMechanisms: readonly RelayedMechanism[];
  /** Where messages wait while they are opened. */
  spool: Spool;
  /** How many messages are opened at a time, in all sessions. */
  openings: Openings;
  log: Log;
  timers: Timers;
};

/** A command and its answer. Answers are given one after another, in the order of the commands. */
export type Exchange = {
  /** The message that the client gets, or does not get, by it. */
  delivers: number | null;
  /** Nothing behind it is sent before it was answered: it may need commands of the gateway's own. */
  holds: boolean;
  /** Reads what the server answers, to its end, and tells the client. */
  answer(): Promise<void>;
};

/** What a command works with (RFC 1939 §5, the TRANSACTION state). */
export interface TransactionContext extends TransactionSettings {
  readonly client: Leg;
  readonly upstream: UpstreamSide;
  readonly capabilities: UpstreamCapabilities;
  readonly maildrop: Maildrop;
  readonly views: ReaderViews;
  /** Keys that were waited for in vain in this session: they are not waited for again. */
  readonly exhausted: Patience['exhausted'];
  /** The mail server's own words. */
  pass(status: StatusLine): void;
  /** The first line of an answer with more lines; from now on the client has part of a message. */
  begin(status: StatusLine): void;
  /** The octets are byte-stuffed. Resolves when more may come. Throws SealgateError `pop3.client-gone`. */
  more(octets: Buffer): Promise<void>;
  /** The terminating line; `last` where the octets need another one. */
  finish(last?: Buffer | string): void;
  /** The client is told that it does not get the message, later where it asks again and again. */
  refuse(reason: Withheld): Promise<void>;
  /** Looked at after its client was served; then it is let go. */
  observe(octets: OctetSource, discard: () => Promise<void>): void;
}
