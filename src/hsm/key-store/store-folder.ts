import { randomBytes } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { lstat, mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { SealgateError } from '../../errors.ts';
import {
  malformedStore,
  storeAbsent,
  storePermissions,
  storeUnreadable,
  storeUnwritable,
} from './store-error.ts';

/**
 * The folder of a key store and the files in it.
 *
 * What holds: a file is there as it was before or as it was to become, whenever the process or the machine stops; nobody but
 * the user who runs this reads or writes one.
 */

/** A key with twelve certificates of ordinary size has some 40 KB. Octets. */
const LARGEST = 512 * 1024;
/** More files than these and it is no folder of ours. */
const MOST_FILES = 20_000;
/** What is being written. It is no file of the store, and is removed by the next who writes. */
const UNFINISHED = /^\.new-[0-9a-f]{16}$/;

/** @throws SealgateError `key.store-absent`, `key.store-permissions`, `key.store-unreadable` */
export async function requirePrivateFolder(folder: string): Promise<void> {
  let status: Stats;
  try {
    status = await lstat(folder);
  } catch (cause) {
    if (isCode(cause, 'ENOENT')) throw storeAbsent(folder);
    throw storeUnreadable(folder, cause);
  }
  if (!status.isDirectory()) {
    throw storePermissions(folder, 'is not a folder but a link or a file', 'name the folder itself');
  }
  requireOwner(folder, status);
  if ((status.mode & 0o077) !== 0) {
    throw storePermissions(
      folder,
      `holds private keys and can be read or written by others (mode ${octal(status.mode)})`,
      `run chmod 700 ${folder}`,
    );
  }
}

/** Makes the folder where it is not there. @throws SealgateError `key.store-permissions`, `key.store-unwritable` */
export async function makePrivateFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (cause) {
    if (!isCode(cause, 'EEXIST')) throw storeUnwritable(folder, cause);
  }
  await requirePrivateFolder(folder);
}

/** Names of all files but those that were not finished. @throws SealgateError `key.store-unreadable` */
export async function filesIn(folder: string): Promise<string[]> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (cause) {
    throw storeUnreadable(folder, cause);
  }
  if (names.length > MOST_FILES) throw malformedStore(folder, `${names.length} files`);
  return names.filter((name) => !UNFINISHED.test(name)).sort();
}

/**
 * The octets of a file. Owner and permissions are those of the open file, so that it cannot be changed in between.
 *
 * @returns null: there is no such file
 * @throws SealgateError `key.store-permissions`, `key.store-malformed`, `key.store-unreadable`
 */
export async function readStoreFile(folder: string, name: string): Promise<Buffer | null> {
  const path = join(folder, name);
  try {
    // O_NONBLOCK: a named pipe must not hang the start.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const file = await open(path, flags);
    try {
      const status = await file.stat();
      if (!status.isFile()) throw malformedStore(path, 'it is not a regular file');
      requireOwner(path, status);
      if ((status.mode & 0o077) !== 0) {
        throw storePermissions(
          path,
          `holds a private key and can be read or written by others (mode ${octal(status.mode)})`,
          `run chmod 600 ${path}`,
        );
      }
      if (status.size > LARGEST) throw malformedStore(path, `it is larger than ${LARGEST} octets`);
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof SealgateError) throw cause;
    if (isCode(cause, 'ENOENT')) return null;
    // O_NOFOLLOW (open(2)): the name is a symbolic link.
    if (isCode(cause, 'ELOOP')) {
      throw storePermissions(path, 'is a symbolic link', 'put the file itself in its place');
    }
    throw storeUnreadable(path, cause);
  }
}

/**
 * Puts a file in the place of the one there may be, in one step that is done or not done. Only under the lock.
 *
 * @throws SealgateError `key.store-unwritable`; the file is as it was then
 */
export async function writeStoreFile(folder: string, name: string, octets: Uint8Array): Promise<void> {
  const path = join(folder, name);
  const unfinished = join(folder, `.new-${randomBytes(8).toString('hex')}`);
  try {
    await removeUnfinished(folder);
    try {
      const file = await open(unfinished, 'wx', 0o600);
      try {
        await file.writeFile(octets);
        // Before the rename: a file whose name is on the disk and whose content is not would be neither old nor new.
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(unfinished, path);
    } catch (error) {
      await unlink(unfinished).catch(() => undefined);
      throw error;
    }
    await syncFolder(folder);
  } catch (cause) {
    throw storeUnwritable(path, cause);
  }
}

/** Only under the lock. @throws SealgateError `key.store-unwritable` */
export async function removeStoreFile(folder: string, name: string): Promise<void> {
  const path = join(folder, name);
  try {
    await unlink(path);
    await syncFolder(folder);
  } catch (cause) {
    throw storeUnwritable(path, cause);
  }
}

/** What a writer left behind that was ended. */
async function removeUnfinished(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (UNFINISHED.test(name)) await unlink(join(folder, name));
  }
}

async function syncFolder(folder: string): Promise<void> {
  const directory = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** A file that another user owns is that user's to change. */
function requireOwner(path: string, status: Stats): void {
  const user = process.geteuid?.();
  if (user === undefined || status.uid === user) return;
  throw storePermissions(
    path,
    `belongs to the user with number ${status.uid}, and this runs as number ${user}`,
    'run it as that user, or give the folder with all its files to this one (chown)',
  );
}

function octal(mode: number): string {
  return (mode & 0o777).toString(8).padStart(4, '0');
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
