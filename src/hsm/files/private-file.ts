import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { SealgateError } from '../../errors.ts';
import { isClosedToOthers, octalMode, type Permissions } from '../closed-to-others.ts';

/** Key files are some kilobytes; a larger one is the wrong file. Octets. */
const LARGEST = 1024 * 1024;

/** `owner-only`: refuse a file that group or others may read or write. `any`: for where the system's access is by other means. */
export type FilePermissions = 'owner-only' | 'any';

/**
 * A file with a private key. The permissions are looked at on the open file, not on its name, so that it cannot be
 * changed in between.
 *
 * @throws SealgateError `key.file-unreadable`, `key.file-permissions`
 */
export async function readPrivateFile(path: string, permissions: FilePermissions): Promise<Buffer> {
  return await readBounded(path, (status) => {
    if (permissions === 'any' || isClosedToOthers(status)) return;
    throw new SealgateError({
      code: 'key.file-permissions',
      publicText: `${path} holds a private key and can be read or written by others (mode ${octalMode(status.mode)}); run chmod 600 ${path}.`,
      duration: 'permanent',
    });
  });
}

/** A file with certificates. @throws SealgateError `key.file-unreadable` */
export async function readPublicFile(path: string): Promise<Buffer> {
  return await readBounded(path, () => undefined);
}

async function readBounded(path: string, check: (status: Permissions) => void): Promise<Buffer> {
  try {
    // O_NONBLOCK: a named pipe must not hang the start.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const status = await file.stat();
      if (!status.isFile()) throw unreadable(path, 'it is not a regular file');
      check(status);
      if (status.size > LARGEST) throw unreadable(path, `it is larger than ${LARGEST} octets`);
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (cause instanceof SealgateError) throw cause;
    throw unreadable(path, whyNot(cause), cause);
  }
}

function whyNot(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  if (code === 'ENOENT') return 'it does not exist';
  if (code === 'EACCES') return 'the user the gateway runs as may not read it';
  return String(code ?? error);
}

function unreadable(path: string, why: string, cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'key.file-unreadable',
    publicText: `${path} cannot be read: ${why}.`,
    duration: 'permanent',
    ...(cause === undefined ? {} : { cause }),
  });
}
