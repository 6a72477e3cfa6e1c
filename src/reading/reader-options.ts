import type { Spool } from '../octets/source.ts';
import type { InboundStory, Principal } from '../pipeline/ports.ts';
import type { Openings } from './openings.ts';
import type { Timers } from './timers.ts';

/** What a listener for reading mail is told of how it is shown. */
export type ReaderOptions = {
  story: InboundStory;
  /** Whether the gateway has any decryption key for the login. */
  hasKeys(principal: Principal): boolean;
  /** Makes boundaries that nobody can guess; 32 random octets of the installation. */
  viewSecret: Buffer;
  /** 4 to 32 lower-case letters and digits, random for each installation. */
  installationId: string;
  /** Where messages wait while they are opened. Absent: the usual one. */
  spool?: Spool;
  /** How many messages are opened at a time. Absent: this listener counts for itself. */
  openings?: Openings;
  /** Absent: the system's. */
  timers?: Timers;
};
