import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** What a configured path is for: a private file must be closed to group and others. */
export type FileUse = 'file' | 'private-file' | 'file-or-folder';

export type SecretText = { kind: 'ok'; value: string } | { kind: 'problem'; text: string };

/**
 * What the schema asks of the machine. Reference and example are made without a machine (`noFiles`), and tests
 * bring their own.
 */
export interface Files {
  /** Absolute path; a relative one is relative to the configuration file. */
  resolve(path: string): string;
  /** A sentence that says what is wrong with an absolute path and what to do, or null. */
  problemWith(path: string, use: FileUse): string | null;
  /** The text of a private file without its last line end. */
  readSecret(path: string): SecretText;
  environment(name: string): string | undefined;
}

/** A secret is a password, a PIN or a passphrase: a larger file is the wrong file. Octets. */
const LARGEST_SECRET = 64 * 1024;

/** The machine's files, seen from one configuration file. */
export function filesBeside(configFile: string, environment: NodeJS.ProcessEnv): Files {
  const folder = dirname(resolve(configFile));
  return {
    resolve: (path) => resolve(folder, path),
    problemWith,
    readSecret(path) {
      const problem = problemWith(path, 'private-file');
      if (problem !== null) return { kind: 'problem', text: problem };
      if (statSync(path).size > LARGEST_SECRET) {
        return { kind: 'problem', text: `${path} is larger than a secret can be (${LARGEST_SECRET} octets)` };
      }
      return secretFrom(readFileSync(path), path);
    },
    environment: (name) => environment[name],
  };
}

/** Accepts every path and gives no secret: for texts made from the schema alone. */
export const noFiles: Files = {
  resolve: (path) => path,
  problemWith: () => null,
  readSecret: () => ({ kind: 'ok', value: 'no secret' }),
  environment: () => 'no secret',
};

function secretFrom(octets: Buffer, path: string): SecretText {
  let value: string;
  try {
    value = new TextDecoder('utf-8', { fatal: true }).decode(octets).replace(/\r?\n$/, '');
  } catch {
    return { kind: 'problem', text: `${path} is not UTF-8 text` };
  }
  if (value === '') return { kind: 'problem', text: `${path} is empty: write the secret into it` };
  if (/[\r\n\0]/.test(value)) {
    return { kind: 'problem', text: `${path} has more than one line: a secret is one line of text` };
  }
  return { kind: 'ok', value };
}

function problemWith(path: string, use: FileUse): string | null {
  try {
    const found = statSync(path);
    if (found.isDirectory()) {
      if (use !== 'file-or-folder') return `${path} is a folder: name the file in it`;
    } else if (!found.isFile()) {
      return `${path} is not a regular file`;
    }
    if (use === 'private-file' && process.platform !== 'win32' && (found.mode & 0o077) !== 0) {
      const mode = (found.mode & 0o777).toString(8).padStart(4, '0');
      return `${path} can be read or written by others (mode ${mode}): run chmod 600 ${path}`;
    }
    accessSync(path, constants.R_OK);
    return null;
  } catch (error) {
    return `${path} ${whyNot(error)}`;
  }
}

function whyNot(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'does not exist';
    case 'EACCES':
      return 'cannot be read by the user the gateway runs as';
    default:
      return `cannot be read (${code})`;
  }
}
