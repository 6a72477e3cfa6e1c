import { mkdir, open, readdir, readFile, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { MailId } from '../ids.ts';
import type { OwnKey } from './own-key.ts';
import type { SealedSpool } from './ports.ts';
import { randomSpoolName, SPOOL_NAME, spoolDamaged, spoolMark, spoolUnusable } from './spool-name.ts';

/** Its place in the state folder. */
export const SPOOL = 'queue';

/** A file that nothing refers to may still be about to get its row, by a command beside the gateway. */
const ORPHANED_AFTER_MS = 3_600_000;

/** Orphans are nobody's after a crash, but accepted mail where the database was lost, or is an older copy: there is time to notice. */
const SWEPT_AFTER_MS = 30 * 24 * 3_600_000;

/**
 * Files under the gateway's own key, one for each mail. What is sealed begins with the name of its file, so that one that was
 * put in the place of another is damage.
 *
 * Must never happen: plaintext on the disk; a name given back before its file would outlive a power cut.
 */
export class SpoolFolder implements SealedSpool {
  readonly #folder: string;
  readonly #key: Pick<OwnKey, 'seal' | 'open'>;

  private constructor(folder: string, key: Pick<OwnKey, 'seal' | 'open'>) {
    this.#folder = folder;
    this.#key = key;
  }

  /** Makes the folder where it is not there. @throws SealgateError `queue.spool` */
  static async open(stateFolder: string, key: Pick<OwnKey, 'seal' | 'open'>): Promise<SpoolFolder> {
    const folder = join(stateFolder, SPOOL);
    try {
      const made = await mkdir(folder, { recursive: true, mode: 0o700 });
      if (made !== undefined) await syncFolder(stateFolder);
    } catch (error) {
      throw spoolUnusable(SPOOL, error);
    }
    return new SpoolFolder(folder, key);
  }

  async write(octets: Buffer): Promise<string> {
    const name = randomSpoolName();
    const sealed = await this.#key.seal(Buffer.concat([spoolMark(name), octets]));
    const path = join(this.#folder, name);
    try {
      const handle = await open(path, 'wx', 0o600);
      try {
        await handle.writeFile(sealed);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await syncFolder(this.#folder);
    } catch (error) {
      await this.remove(name);
      throw spoolUnusable(SPOOL, error);
    }
    return name;
  }

  async read(name: string, usedFor?: MailId): Promise<Buffer> {
    if (!SPOOL_NAME.test(name)) throw spoolDamaged();
    let sealed: Buffer;
    try {
      sealed = await readFile(join(this.#folder, name));
    } catch (error) {
      throw codeOf(error) === 'ENOENT' ? spoolDamaged() : spoolUnusable(SPOOL, error);
    }
    const opened = await this.#key.open(sealed, usedFor);
    const expected = spoolMark(name);
    if (opened === null || !opened.subarray(0, expected.length).equals(expected)) throw spoolDamaged();
    return opened.subarray(expected.length);
  }

  remove(name: string): Promise<void> {
    return removeSpooled(this.#folder, name);
  }

  /**
   * Removes what a crash left behind, thirty days after it was written.
   *
   * @param referenced every name that has a row
   * @returns how many went, and how many are there that have no row
   */
  async sweep(referenced: ReadonlySet<string>, now: Date): Promise<{ removed: number; orphans: number }> {
    const swept = { removed: 0, orphans: 0 };
    for (const name of await readdir(this.#folder)) {
      if (!SPOOL_NAME.test(name) || referenced.has(name)) continue;
      const found = await stat(join(this.#folder, name)).catch(() => null);
      const age = found === null ? 0 : now.getTime() - found.mtimeMs;
      if (age >= SWEPT_AFTER_MS) {
        await this.remove(name);
        swept.removed++;
      } else if (age >= ORPHANED_AFTER_MS) swept.orphans++;
    }
    return swept;
  }
}

/** For those who have no key. One that is not there is none to remove. */
export async function removeSpooled(folder: string, name: string): Promise<void> {
  if (!SPOOL_NAME.test(name)) return;
  // One that stays is swept at the next start.
  await unlink(join(folder, name)).catch(() => undefined);
}

/** So that the name in it outlives a power cut as well. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error ? String(error.code) : null;
}
