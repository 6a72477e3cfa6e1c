import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { SealgateError } from '../errors.ts';
import { awaitGreeting } from './await-greeting.ts';
import { requireProgram } from './debian-packages.ts';
import { type DovecotAccounts, dovecotAccounts } from './dovecot-accounts.ts';
import { dovecotConfiguration } from './dovecot-configuration.ts';
import { type ForegroundProcess, startForegroundProcess } from './foreground-process.ts';
import { freePort } from './free-port.ts';

/**
 * A real Debian Dovecot for evaluation and tests: throwaway users, Maildir, all ports on 127.0.0.1.
 *
 * Holds: everything it writes is below its own folders, which `stop()` removes; no process is left after `stop()`.
 * Never: the system's own Dovecot, its configuration, its users or its ports are touched.
 */
export type Dovecot = {
  /** IMAP; offers STARTTLS when started with a certificate. */
  readonly imapPort: number;
  /** IMAP over implicit TLS; null when started without a certificate. */
  readonly imapsPort: number | null;
  /** POP3; offers STLS when started with a certificate. */
  readonly pop3Port: number;
  /** LMTP (RFC 2033) without authentication. */
  readonly lmtpPort: number;
  /** The user's Maildir (folders cur, new, tmp); exists after the first login or delivery. */
  mailFolder(login: string): string;
  /** What Dovecot logged so far. */
  logText(): Promise<string>;
  /** Ends every process and removes the folder; may be called again. */
  stop(): Promise<void>;
};

export type DovecotUser = { login: string; password: string };

export type DovecotOptions = {
  /** Where mail and configuration go; made if missing, removed by `stop()`. Without it a temporary folder is used. */
  folder?: string;
  users: readonly DovecotUser[];
  /** Server certificate chain and key, PEM. */
  tls?: { cert: string; key: string };
  /** Log authentication and mail access in detail. */
  debug?: boolean;
};

const PACKAGES = ['dovecot-imapd', 'dovecot-pop3d', 'dovecot-lmtpd'];
const STARTS = 5;
const START_MS = 30_000;
/** A Unix socket's path has at most 107 octets; Dovecot's longest name below its base folder has about 40. */
const RUN_FOLDER_OCTETS = 60;

/**
 * Starts Dovecot and returns when IMAP, POP3 and LMTP have greeted.
 *
 * @throws SealgateError `evaluation.program-missing`, `evaluation.dovecot-failed`, `evaluation.folder-unreachable`,
 *   `evaluation.login-unusable`
 */
export async function startDovecot(options: DovecotOptions): Promise<Dovecot> {
  const program = await requireProgram('dovecot', PACKAGES);
  // Each protocol is a package of its own; dovecot itself starts without them and only then complains.
  for (const service of ['imap', 'pop3', 'lmtp']) {
    await requireFile(`/usr/lib/dovecot/${service}`);
  }
  for (const { login } of options.users) requireUsableLogin(login);
  const accounts = await dovecotAccounts();
  const folders = await makeFolders(options.folder);
  try {
    await requireReachable(folders.home, accounts);
    for (let start = 1; ; start++) {
      const started = await tryStart(program, options, accounts, folders);
      if (started.outcome === 'running') return running(started, folders);
      if (started.outcome === 'failed' || start === STARTS) throw startFailed(started.reason);
    }
  } catch (error) {
    await removeFolders(folders);
    throw error;
  }
}

type Folders = { home: string; run: string };
type Ports = { imap: number; imaps: number | null; pop3: number; lmtp: number };
type Start =
  | { outcome: 'running'; server: ForegroundProcess; ports: Ports }
  | { outcome: 'port-taken'; reason: string }
  | { outcome: 'failed'; reason: string };

async function tryStart(
  program: string,
  options: DovecotOptions,
  accounts: DovecotAccounts,
  folders: Folders,
): Promise<Start> {
  const instance = `sealgate-${randomBytes(6).toString('hex')}`;
  const ports: Ports = {
    imap: await freePort(),
    imaps: options.tls === undefined ? null : await freePort(),
    pop3: await freePort(),
    lmtp: await freePort(),
  };
  const configFile = await writeFiles(options, accounts, folders, ports, instance);
  const server = await startForegroundProcess(program, ['-F', '-c', configFile]);
  const stillRunning = (): boolean => server.ended() === null;
  for (const port of [ports.imap, ports.pop3, ports.lmtp]) {
    const greeting = await awaitGreeting(port, stillRunning, START_MS);
    // Another server may have taken the port between the choice and the start; its greeting lacks our name.
    if (greeting?.includes(instance)) continue;
    await server.stop();
    const reason = `${server.output()}${await readLog(folders)}`.trim();
    const taken = reason.includes('Address already in use') || greeting !== null;
    return { outcome: taken ? 'port-taken' : 'failed', reason: lastLine(reason) };
  }
  return { outcome: 'running', server, ports };
}

function running(started: { server: ForegroundProcess; ports: Ports }, folders: Folders): Dovecot {
  const { server, ports } = started;
  let stopping: Promise<void> | null = null;
  return {
    imapPort: ports.imap,
    imapsPort: ports.imaps,
    pop3Port: ports.pop3,
    lmtpPort: ports.lmtp,
    mailFolder: (login) => join(homeOf(folders, login), 'Maildir'),
    logText: () => readLog(folders),
    stop() {
      stopping ??= server.stop().then(() => removeFolders(folders));
      return stopping;
    },
  };
}

async function writeFiles(
  options: DovecotOptions,
  accounts: DovecotAccounts,
  folders: Folders,
  ports: Ports,
  instance: string,
): Promise<string> {
  const { uid, gid } = accounts.mail;
  const passwordFile = join(folders.home, 'users');
  const lines = options.users.map(({ login, password }) => {
    const secret = Buffer.from(password, 'utf8').toString('base64');
    return `${login.toLowerCase()}:{PLAIN.b64}${secret}:${uid}:${gid}::${homeOf(folders, login)}::\n`;
  });
  await writePrivate(passwordFile, lines.join(''));
  for (const { login } of options.users) {
    await mkdir(homeOf(folders, login), { recursive: true, mode: 0o700 });
    await chown(homeOf(folders, login), uid, gid);
  }
  const tls = { certFile: join(folders.home, 'tls.crt'), keyFile: join(folders.home, 'tls.key') };
  if (options.tls !== undefined) {
    await writePrivate(tls.certFile, options.tls.cert);
    await writePrivate(tls.keyFile, options.tls.key);
  }
  const configFile = join(folders.home, 'dovecot.conf');
  const configuration = dovecotConfiguration({
    runFolder: folders.run,
    stateFolder: folders.run,
    logFile: logFile(folders),
    passwordFile,
    ports,
    tls: options.tls === undefined ? null : tls,
    instance,
    accounts,
    debug: options.debug ?? false,
  });
  await writePrivate(configFile, configuration);
  return configFile;
}

function writePrivate(file: string, text: string): Promise<void> {
  return writeFile(file, text, { mode: 0o600 });
}

/** The user's home; a login may hold characters that mean something in a path. */
function homeOf(folders: Folders, login: string): string {
  return join(folders.home, 'mail', encodeURIComponent(login.toLowerCase()));
}

function logFile(folders: Folders): string {
  return join(folders.home, 'dovecot.log');
}

async function readLog(folders: Folders): Promise<string> {
  try {
    return await readFile(logFile(folders), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

async function makeFolders(wanted: string | undefined): Promise<Folders> {
  const home = wanted ?? (await mkdtemp(join(tmpdir(), 'sealgate-dovecot-')));
  await mkdir(join(home, 'mail'), { recursive: true });
  // Others may pass through to their own mail folders, and list nothing.
  await chmod(home, 0o711);
  await chmod(join(home, 'mail'), 0o711);
  const short = Buffer.byteLength(home) <= RUN_FOLDER_OCTETS;
  const run = short ? join(home, 'run') : await mkdtemp('/tmp/sgd-');
  await mkdir(run, { recursive: true, mode: 0o755 });
  await chmod(run, 0o755);
  return { home, run };
}

async function removeFolders(folders: Folders): Promise<void> {
  await rm(folders.run, { recursive: true, force: true });
  await rm(folders.home, { recursive: true, force: true });
}

/** The mail's owner must be able to walk down to it, or every login would fail with an error in a log file only. */
async function requireReachable(folder: string, accounts: DovecotAccounts): Promise<void> {
  if (process.getuid?.() !== 0) return;
  for (let at = folder; ; at = dirname(at)) {
    const { mode, uid } = await stat(at);
    if ((mode & 0o001) === 0 && uid !== accounts.mail.uid) {
      throw new SealgateError({
        code: 'evaluation.folder-unreachable',
        publicText: `The mail server runs as an account without rights and cannot reach ${folder}: let others pass through ${at} (chmod o+x), or name another folder.`,
        duration: 'permanent',
      });
    }
    if (at === dirname(at)) return;
  }
}

async function requireFile(path: string): Promise<void> {
  try {
    await stat(path);
  } catch (cause) {
    throw new SealgateError({
      code: 'evaluation.program-missing',
      publicText: `Dovecot is not complete (${path} is missing): install it with "apt-get install ${PACKAGES.join(' ')}" as root.`,
      duration: 'permanent',
      cause,
    });
  }
}

/** The password file has one line for each user and colons between its fields. */
function requireUsableLogin(login: string): void {
  if (/^[^\s:%\p{Cc}]+$/u.test(login)) return;
  throw new SealgateError({
    code: 'evaluation.login-unusable',
    publicText: `The login ${JSON.stringify(login)} cannot be a Dovecot user: leave out blanks, colons and per cent signs.`,
    duration: 'permanent',
  });
}

function startFailed(reason: string): SealgateError {
  return new SealgateError({
    code: 'evaluation.dovecot-failed',
    publicText: `Dovecot did not start: ${reason === '' ? 'it gave no reason' : reason}`,
    duration: 'temporary',
  });
}

function lastLine(text: string): string {
  const fatal = text.split('\n').filter((line) => /Fatal|Error/.test(line));
  return (fatal.at(-1) ?? text.split('\n').at(-1) ?? '').trim();
}
