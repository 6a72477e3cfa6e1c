import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { SealgateError } from '../errors.ts';

/** Debian keeps servers in sbin, which an ordinary user's PATH leaves out. */
const SERVER_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/**
 * Finds a program by name on PATH and in the folders where Debian keeps servers.
 *
 * @returns the absolute path, or null where there is none.
 */
export async function findProgram(name: string): Promise<string | null> {
  const folders = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '');
  for (const folder of [...folders, ...SERVER_FOLDERS]) {
    const path = join(folder, name);
    try {
      await access(path, constants.X_OK);
      return path;
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  return null;
}

function isMissing(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'EACCES' || code === 'ENOTDIR';
}

/**
 * The same, for a program that must be there.
 *
 * @param packages the Debian packages that bring it, named in the error.
 * @throws SealgateError `evaluation.program-missing`, whose text is the command to type.
 */
export async function requireProgram(name: string, packages: readonly string[]): Promise<string> {
  const path = await findProgram(name);
  if (path !== null) return path;
  throw new SealgateError({
    code: 'evaluation.program-missing',
    publicText: `The program ${name} is not installed: install it with "apt-get install ${packages.join(' ')}" as root.`,
    duration: 'permanent',
  });
}
