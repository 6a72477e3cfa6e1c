import { mkdir, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { SealgateError } from '../errors.ts';
import type { MailId } from '../ids.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import { collect } from '../octets/collect.ts';
import type { OctetSource } from '../octets/source.ts';
import { BatchKeys } from './batch-keys.ts';
import { BatchWriter, syncFolder } from './batch-writer.ts';
import type { OwnKey } from './own-key.ts';
import type { SealedSpool } from './ports.ts';
import { isBatch, locate, MOST_HEAD, mailKey } from './sealed-batch.ts';
import { SPOOL_NAME, spoolDamaged, spoolMark, spoolUnusable } from './spool-name.ts';
import { opened, readAt, SpooledMail } from './spooled-mail.ts';

/** Its place in the state folder. */
export const SPOOL = 'queue';

/** Mails that are not longer are read into memory. */
const SHORT_OCTETS = 256 * 1024;
/** Enough for the heads of most files. */
const FIRST_READ = 8_192;

/**
 * Files under the gateway's own key, a name for each mail (sealed-batch.ts). What is sealed is bound to that name, so that one that was
 * put in the place of another is damage.
 *
 * Must never happen: plaintext on the disk; a name given back before its file would outlive a power cut.
 */
export class SpoolFolder implements SealedSpool {
  readonly #folder: string;
  readonly #key: Pick<OwnKey, 'seal' | 'open'>;
  readonly #keys: BatchKeys;
  readonly #writer: BatchWriter;

  private constructor(folder: string, key: Pick<OwnKey, 'seal' | 'open'>) {
    this.#folder = folder;
    this.#key = key;
    this.#keys = new BatchKeys((wrapped, usedFor) => key.open(wrapped, usedFor));
    this.#writer = new BatchWriter(folder, (octets) => key.seal(octets));
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

  async write(octets: Buffer | OctetSource): Promise<string> {
    try {
      return await this.#writer.write(Buffer.isBuffer(octets) ? bufferSource(octets) : octets);
    } catch (error) {
      throw error instanceof SealgateError ? error : spoolUnusable(SPOOL, error);
    }
  }

  async read(name: string, usedFor?: MailId): Promise<OctetSource> {
    if (!SPOOL_NAME.test(name)) throw spoolDamaged();
    const path = join(this.#folder, name);
    const head = await headOf(path, name);
    // Version 1: the whole file is one message of CMS.
    if (!isBatch(head)) return bufferSource(await this.#former(name, head, usedFor));
    const located = locate(head, name);
    const batchKey = located === null ? null : await this.#keys.open(located.wrapped, usedFor);
    if (located === null || batchKey === null) throw spoolDamaged();
    const mail = new SpooledMail(path, mailKey(batchKey, located), located);
    if (located.length <= SHORT_OCTETS) return bufferSource(await collect(mail.read()));
    await mail.check();
    return mail;
  }

  async #former(name: string, sealed: Buffer, usedFor?: MailId): Promise<Buffer> {
    const content = await this.#key.open(sealed, usedFor);
    const expected = spoolMark(name);
    if (content === null || !content.subarray(0, expected.length).equals(expected)) throw spoolDamaged();
    return content.subarray(expected.length);
  }

  remove(name: string): Promise<void> {
    return removeSpooled(this.#folder, name);
  }

  /**
   * What is there without a row.
   *
   * @param referenced every name that has a row
   */
  async unnamed(referenced: ReadonlySet<string>): Promise<readonly string[]> {
    const names = await readdir(this.#folder);
    return names.filter((name) => SPOOL_NAME.test(name) && !referenced.has(name));
  }
}

/** For those who have no key. One that is not there is none to remove. */
export async function removeSpooled(folder: string, name: string): Promise<void> {
  if (!SPOOL_NAME.test(name)) return;
  // One that stays is swept at the next start.
  await unlink(join(folder, name)).catch(() => undefined);
}

/** The beginning of a file in which this mail is found, if it is of version 2; else all of it. */
async function headOf(path: string, name: string): Promise<Buffer> {
  const handle = await opened(path);
  try {
    const head = await readAt(handle, 0, FIRST_READ, 'what-is-there');
    if (!isBatch(head)) return await readAt(handle, 0, (await handle.stat()).size, 'all');
    return locate(head, name) === null ? await readAt(handle, 0, MOST_HEAD, 'what-is-there') : head;
  } finally {
    await handle.close();
  }
}
