import type { Event } from './events.ts';

/** What every folder that has something to tell is given. Only declared events can be told. */
export interface Log {
  write(event: Event): void;
}

/** For tests and for code that runs without an operator. */
export const silentLog: Log = {
  write() {
    // Nobody listens.
  },
};
