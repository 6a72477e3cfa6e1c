import type { Config } from '../config/load.ts';
import type { Log } from '../log/log.ts';
import type { Clock } from '../pipeline/ports.ts';

/** Something that holds a file, a process or a port. */
export type Closable = { close(): Promise<void> };

/** What every part is opened with. */
export type Opening = { config: Config; log: Log; clock: Clock; opened: Opened };

/** What was opened so far; what came last is closed first, so that nothing outlives what it rests on. */
export class Opened {
  readonly #parts: Closable[] = [];

  /** Closed with the rest from now on. */
  keep<T extends Closable>(part: T): T {
    this.#parts.push(part);
    return part;
  }

  async close(): Promise<void> {
    for (let part = this.#parts.pop(); part !== undefined; part = this.#parts.pop()) await part.close();
  }
}
