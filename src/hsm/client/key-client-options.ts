import type { Log } from '../../log/log.ts';
import type { Inventory } from '../inventory.ts';
import type { Refusals } from '../key-state.ts';
import type { SoftwareSource, TokenSource } from '../source-kinds.ts';

export type KeyClientOptions = {
  /** Name of the key source in the configuration; for the log. */
  source: string;
  place: TokenSource | SoftwareSource;
  /** What it held when it was there last; default: nobody knows. */
  remembered?: Inventory | null;
  refusals: Refusals;
  log: Log;
  times?: Partial<KeyClientTimes>;
  /** Another program in place of key-process.ts; for tests. */
  program?: URL;
};

/** Milliseconds. */
export type KeyClientTimes = {
  /** Initialising, login and reading the objects; network tokens with thousands of objects are slow. */
  open: number;
  /** One operation inside the module; after that it is taken for hung. */
  operation: number;
  /** How long a request waits for its turn, a restart included. */
  wait: number;
  /** How long a request waits for a person to type the PIN. */
  pin: number;
  /** Before the first restart of a process that brought no success; doubles with every further one. */
  restart: number;
  restartMost: number;
  /** For logging out. */
  close: number;
};

export const keyClientTimes: KeyClientTimes = {
  open: 60_000,
  operation: 30_000,
  wait: 15_000,
  pin: 60_000,
  restart: 100,
  restartMost: 30_000,
  close: 5_000,
};
