import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../log/log.ts';
import { SPOOL } from './spool-folder.ts';
import { spoolFull } from './spool-name.ts';

/** Whether there is room for more mail: asked before a message is taken, and again before it is kept. */
export interface Room {
  /** null: there is room. Else why not, for the log. Never rejects. */
  missing(octets: number): Promise<string | null>;
  /** @throws SealgateError `queue.full` (temporary) */
  check(octets: number): Promise<void>;
}

/** What stays free: for reports, for the database, and for what else lies there. */
export type Reserve = { octets: number; files: number };

export type FreeSpace = { octets: number; files: number };

/** What was found holds so long, less what has come meanwhile. */
const LOOKED_MS = 250;

/** Sealed, in rows and in journals a mail takes more than it has. */
const AROUND_OCTETS = 16_384;

/** Room of a file system. A file system that counts no files (btrfs), or says nothing of itself, has enough: writing says when there is none. */
export class DiskRoom implements Room {
  readonly #look: () => Promise<FreeSpace>;
  readonly #reserve: Reserve;
  readonly #log: Log;
  readonly #now: () => number;
  #found: { free: FreeSpace; at: number } | null = null;
  #looking: Promise<FreeSpace> | null = null;
  #told = false;

  /** @param now milliseconds, from any beginning */
  constructor(
    look: () => Promise<FreeSpace>,
    { reserve, log, now = () => performance.now() }: { reserve: Reserve; log: Log; now?: () => number },
  ) {
    this.#look = look;
    this.#reserve = reserve;
    this.#log = log;
    this.#now = now;
  }

  /** Of the file system on which the queue lies. */
  static ofSpool(stateFolder: string, options: { reserve: Reserve; log: Log }): DiskRoom {
    return new DiskRoom(() => freeSpaceOf(join(stateFolder, SPOOL)), options);
  }

  async missing(octets: number): Promise<string | null> {
    const wanted = octets + AROUND_OCTETS;
    const free = await this.#free();
    const why = whatIsMissing(free, {
      octets: this.#reserve.octets + wanted,
      files: this.#reserve.files + 2,
    });
    if (why === null) {
      free.octets -= wanted;
      free.files -= 1;
    }
    this.#tell(why);
    return why;
  }

  async check(octets: number): Promise<void> {
    const why = await this.missing(octets);
    if (why !== null) throw spoolFull(`${SPOOL}: ${why}`);
  }

  async #free(): Promise<FreeSpace> {
    const found = this.#found;
    if (found !== null && this.#now() - found.at < LOOKED_MS) return found.free;
    this.#looking ??= this.#look()
      // Writing will say what is wrong.
      .catch(() => ({ octets: Number.MAX_SAFE_INTEGER, files: Number.MAX_SAFE_INTEGER }))
      .then((free) => {
        this.#found = { free, at: this.#now() };
        this.#looking = null;
        return free;
      });
    return this.#looking;
  }

  /** When it begins, and when it is over. */
  #tell(why: string | null): void {
    if ((why !== null) === this.#told) return;
    this.#told = why !== null;
    if (why === null) this.#log.write({ event: 'queue.has-room', level: 'info' });
    else this.#log.write({ event: 'queue.full', level: 'error', reason: why });
  }
}

/** Of what is not on a disk of this machine: writing says when there is none. */
export const ENDLESS: Room = { missing: async () => null, check: async () => undefined };

function whatIsMissing(free: FreeSpace, wanted: FreeSpace): string | null {
  if (free.octets < wanted.octets) {
    return `${free.octets} octets are free, and ${wanted.octets} are needed with the reserve (queue.reserve)`;
  }
  if (free.files < wanted.files) {
    return `${free.files} files can be made, and ${wanted.files} are needed with the reserve (queue.reserve)`;
  }
  return null;
}

async function freeSpaceOf(folder: string): Promise<FreeSpace> {
  const { blocks, bavail, bsize, files, ffree } = await statfs(folder);
  return {
    octets: blocks === 0 ? Number.MAX_SAFE_INTEGER : bavail * bsize,
    files: files === 0 ? Number.MAX_SAFE_INTEGER : ffree,
  };
}
