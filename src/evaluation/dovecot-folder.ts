import { chmod, chown, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { SealgateError } from '../errors.ts';
import type { DovecotAccounts } from './dovecot-accounts.ts';
import { dovecotConfiguration } from './dovecot-configuration.ts';

/** Where one Dovecot keeps everything: users, keys, configuration, mail and log in `home`, sockets in `run`. */
export type DovecotFolders = { home: string; run: string };

export type DovecotUser = { login: string; password: string };

export type DovecotContents = {
  users: readonly DovecotUser[];
  /** Server certificate chain and key, PEM. */
  tls: { cert: string; key: string } | null;
  accounts: DovecotAccounts;
  ports: { imap: number; imaps: number | null; pop3: number; lmtp: number };
  /** The address to listen on. */
  listen: string;
  instance: string;
  debug: boolean;
  /** Settings in Dovecot's own words, behind all others. */
  further?: string;
};

/** A Unix socket's path has at most 107 octets; Dovecot's longest name below its base folder has about 40. */
const RUN_FOLDER_OCTETS = 60;

export async function makeDovecotFolders(wanted: string | undefined): Promise<DovecotFolders> {
  const home = wanted ?? (await mkdtemp(join(tmpdir(), 'sealgate-dovecot-')));
  await mkdir(join(home, 'mail'), { recursive: true });
  // Others may pass through to their own mail folders, and list nothing.
  await chmod(home, 0o711);
  await chmod(join(home, 'mail'), 0o711);
  const short = Buffer.byteLength(home) <= RUN_FOLDER_OCTETS;
  const run = short ? join(home, 'run') : await mkdtemp('/tmp/sgd-');
  await mkdir(run, { recursive: true });
  await chmod(run, 0o755);
  return { home, run };
}

export async function removeDovecotFolders(folders: DovecotFolders): Promise<void> {
  await rm(folders.run, { recursive: true, force: true });
  await rm(folders.home, { recursive: true, force: true });
}

/**
 * Writes users, keys, homes and configuration.
 *
 * @returns the configuration file.
 * @throws SealgateError `evaluation.login-unusable`
 */
export async function writeDovecotFiles(folders: DovecotFolders, contents: DovecotContents): Promise<string> {
  const { uid, gid } = contents.accounts.mail;
  const passwordFile = join(folders.home, 'users');
  const lines = contents.users.map(({ login, password }) => {
    requireUsableLogin(login);
    const secret = Buffer.from(password, 'utf8').toString('base64');
    return `${login.toLowerCase()}:{PLAIN.b64}${secret}:${uid}:${gid}::${homeOf(folders, login)}::\n`;
  });
  await writePrivate(passwordFile, lines.join(''));
  for (const { login } of contents.users) {
    await mkdir(homeOf(folders, login), { recursive: true, mode: 0o700 });
    await chown(homeOf(folders, login), uid, gid);
  }
  const tls = { certFile: join(folders.home, 'tls.crt'), keyFile: join(folders.home, 'tls.key') };
  if (contents.tls !== null) {
    await writePrivate(tls.certFile, contents.tls.cert);
    await writePrivate(tls.keyFile, contents.tls.key);
  }
  const configFile = join(folders.home, 'dovecot.conf');
  const configuration = dovecotConfiguration({
    ...contents,
    runFolder: folders.run,
    stateFolder: folders.run,
    logFile: logFile(folders),
    passwordFile,
    tls: contents.tls === null ? null : tls,
  });
  await writePrivate(configFile, configuration);
  return configFile;
}

export function mailFolderOf(folders: DovecotFolders, login: string): string {
  return join(homeOf(folders, login), 'Maildir');
}

export async function readDovecotLog(folders: DovecotFolders): Promise<string> {
  try {
    return await readFile(logFile(folders), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

/**
 * The mail's owner must be able to walk down to it, or every login would fail with an error in a log file only.
 *
 * @throws SealgateError `evaluation.folder-unreachable`
 */
export async function requireReachable(folders: DovecotFolders, accounts: DovecotAccounts): Promise<void> {
  if (process.getuid?.() !== 0) return;
  for (let at = folders.home; ; at = dirname(at)) {
    const { mode, uid } = await stat(at);
    if ((mode & 0o001) === 0 && uid !== accounts.mail.uid) {
      throw new SealgateError({
        code: 'evaluation.folder-unreachable',
        publicText: `The mail server runs as an account without rights and cannot reach ${folders.home}: let others pass through ${at} (chmod o+x), or name another folder.`,
        duration: 'permanent',
      });
    }
    if (at === dirname(at)) return;
  }
}

/** The user's home; a login may hold characters that mean something in a path. */
function homeOf(folders: DovecotFolders, login: string): string {
  return join(folders.home, 'mail', encodeURIComponent(login.toLowerCase()));
}

function logFile(folders: DovecotFolders): string {
  return join(folders.home, 'dovecot.log');
}

/** The password file has one line for each user and colons between its fields. */
function requireUsableLogin(login: string): void {
  if (/^[^\s:%\p{Cc}]+$/u.test(login) && login !== '.' && login !== '..') return;
  throw new SealgateError({
    code: 'evaluation.login-unusable',
    publicText: `The login ${JSON.stringify(login)} cannot be a Dovecot user: leave out blanks, colons and per cent signs.`,
    duration: 'permanent',
  });
}

function writePrivate(file: string, text: string): Promise<void> {
  return writeFile(file, text, { mode: 0o600 });
}
