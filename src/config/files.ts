import { accessSync, constants, existsSync, lstatSync, readFileSync, type Stats, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { unreachable } from '../errors.ts';
import { isClosedToOthers, octalMode } from '../hsm/closed-to-others.ts';

/**
 * What a configured path is for: what is private must be closed to group and others, and what is run (programs and libraries) must
 * not be theirs to change.
 */
export type FileUse =
  | 'file'
  | 'private-file'
  | 'file-or-folder'
  | 'private-folder'
  | 'program-file'
  | 'program';

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
  /** A sentence that says why a file cannot hold a secret that somebody else reads, or null. Does not read it. */
  problemWithSecret(path: string): string | null;
  environment(name: string): string | undefined;
  /** The first of these absolute paths where there is a file; null: none. */
  firstInstalled(paths: readonly string[]): string | null;
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
      const problem = problemWithSecret(path);
      if (problem !== null) return { kind: 'problem', text: problem };
      return secretFrom(readFileSync(path), path);
    },
    problemWithSecret,
    environment: (name) => environment[name],
    firstInstalled: (paths) => paths.find((path) => existsSync(path)) ?? null,
  };
}

/** Accepts every path and gives no secret: for texts made from the schema alone. */
export const noFiles: Files = {
  resolve: (path) => path,
  problemWith: () => null,
  readSecret: () => ({ kind: 'ok', value: 'no secret' }),
  problemWithSecret: () => null,
  environment: () => 'no secret',
  firstInstalled: ([first]) => first ?? null,
};

function problemWithSecret(path: string): string | null {
  const problem = problemWith(path, 'private-file');
  if (problem !== null) return problem;
  const { size } = statSync(path);
  if (size === 0) return emptySecret(path);
  if (size > LARGEST_SECRET) return `${path} is larger than a secret can be (${LARGEST_SECRET} octets)`;
  return null;
}

function emptySecret(path: string): string {
  return `${path} is empty: write the secret into it`;
}

function secretFrom(octets: Buffer, path: string): SecretText {
  let value: string;
  try {
    value = new TextDecoder('utf-8', { fatal: true }).decode(octets).replace(/\r?\n$/, '');
  } catch {
    return { kind: 'problem', text: `${path} is not UTF-8 text` };
  }
  if (value === '') return { kind: 'problem', text: emptySecret(path) };
  if (/[\r\n\0]/.test(value)) {
    return { kind: 'problem', text: `${path} has more than one line: a secret is one line of text` };
  }
  return { kind: 'ok', value };
}

function problemWith(path: string, use: FileUse): string | null {
  try {
    // As the key store sees it: what a link names is another folder tomorrow.
    const found = use === 'private-folder' ? lstatSync(path) : statSync(path);
    const kind = kindProblem(path, use, found);
    if (kind !== null) return kind;
    const open = process.platform === 'win32' ? null : accessProblem(path, use, found);
    if (open !== null) return open;
    accessSync(path, use === 'program' ? constants.X_OK : constants.R_OK);
    return null;
  } catch (error) {
    return `${path} ${whyNot(error, use)}`;
  }
}

function kindProblem(path: string, use: FileUse, found: Stats): string | null {
  if (found.isDirectory()) {
    if (use === 'file-or-folder' || use === 'private-folder') return null;
    return `${path} is a folder: name the file in it`;
  }
  if (found.isSymbolicLink()) return `${path} is a link: name the folder itself`;
  if (use === 'private-folder') return `${path} is not a folder`;
  return found.isFile() ? null : `${path} is not a regular file`;
}

/** Who besides the owner may do what they should not. */
function accessProblem(path: string, use: FileUse, found: Stats): string | null {
  const { mode } = found;
  const shown = octalMode(mode);
  switch (use) {
    case 'private-file':
      return isClosedToOthers(found)
        ? null
        : `${path} can be read or written by others (mode ${shown}): run chmod 600 ${path}`;
    case 'private-folder':
      return (mode & 0o077) === 0
        ? null
        : `${path} can be looked into by others (mode ${shown}): run chmod 700 ${path}`;
    case 'program':
    case 'program-file':
      return (mode & 0o002) === 0
        ? null
        : `${path} can be changed by everybody (mode ${shown}), and what it says is run: run chmod o-w ${path}`;
    case 'file':
    case 'file-or-folder':
      return null;
    default:
      return unreachable(use);
  }
}

function whyNot(error: unknown, use: FileUse): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'does not exist';
    case 'EACCES':
      return `cannot be ${use === 'program' ? 'run' : 'read'} by the user the gateway runs as`;
    default:
      return `cannot be ${use === 'program' ? 'run' : 'read'} (${code})`;
  }
}
