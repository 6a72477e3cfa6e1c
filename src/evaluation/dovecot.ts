import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { SealgateError } from '../errors.ts';
import { awaitGreeting } from './await-greeting.ts';
import { requireProgram } from './debian-packages.ts';
import { type DovecotAccounts, dovecotAccounts } from './dovecot-accounts.ts';
import {
  type DovecotContents,
  type DovecotFolders,
  type DovecotUser,
  mailFolderOf,
  makeDovecotFolders,
  readDovecotLog,
  removeDovecotFolders,
  requireReachable,
  writeDovecotFiles,
} from './dovecot-folder.ts';
import { type ForegroundProcess, startForegroundProcess } from './foreground-process.ts';
import { freePort } from './free-port.ts';

export type { DovecotUser } from './dovecot-folder.ts';

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

export type DovecotOptions = {
  /** Where mail and configuration go; made if missing, removed by `stop()`. Without it a temporary folder is used. */
  folder?: string;
  users: readonly DovecotUser[];
  /** Server certificate chain and key, PEM. */
  tls?: { cert: string; key: string };
  /** Log authentication and mail access in detail. */
  debug?: boolean;
  /** Settings in Dovecot's own words, behind all others. */
  further?: string;
};

const PACKAGES = ['dovecot-imapd', 'dovecot-pop3d', 'dovecot-lmtpd'];
const STARTS = 5;
const START_MS = 30_000;

/**
 * Starts Dovecot and returns when IMAP, POP3 and LMTP have greeted.
 *
 * @throws SealgateError `evaluation.program-missing`, `evaluation.dovecot-failed`, `evaluation.folder-unreachable`,
 *   `evaluation.login-unusable`
 */
export async function startDovecot(options: DovecotOptions): Promise<Dovecot> {
  const program = await requireProgram('dovecot', PACKAGES);
  // Each protocol is a package of its own; dovecot itself starts without them and only then complains.
  for (const service of ['imap', 'pop3', 'lmtp']) await requireFile(`/usr/lib/dovecot/${service}`);
  const accounts = await dovecotAccounts();
  const folders = await makeDovecotFolders(options.folder);
  try {
    await requireReachable(folders, accounts);
    for (let start = 1; ; start++) {
      const begun = await tryStart(program, options, accounts, folders);
      if (begun.outcome === 'running') return running(begun.server, begun.ports, folders);
      if (begun.outcome === 'failed' || start === STARTS) throw startFailed(begun.reason);
    }
  } catch (error) {
    await removeDovecotFolders(folders);
    throw error;
  }
}

type Start =
  | { outcome: 'running'; server: ForegroundProcess; ports: DovecotContents['ports'] }
  | { outcome: 'port-taken'; reason: string }
  | { outcome: 'failed'; reason: string };

async function tryStart(
  program: string,
  options: DovecotOptions,
  accounts: DovecotAccounts,
  folders: DovecotFolders,
): Promise<Start> {
  const instance = `sealgate-${randomBytes(6).toString('hex')}`;
  const ports = {
    imap: await freePort(),
    imaps: options.tls === undefined ? null : await freePort(),
    pop3: await freePort(),
    lmtp: await freePort(),
  };
  const configFile = await writeDovecotFiles(folders, {
    users: options.users,
    tls: options.tls ?? null,
    accounts,
    ports,
    listen: '127.0.0.1',
    instance,
    debug: options.debug ?? false,
    ...(options.further === undefined ? {} : { further: options.further }),
  });
  const server = await startForegroundProcess(program, ['-F', '-c', configFile]);
  const stillRunning = (): boolean => server.ended() === null;
  for (const port of [ports.imap, ports.pop3, ports.lmtp]) {
    const greeting = await awaitGreeting(port, stillRunning, START_MS);
    // Another server may have taken the port between the choice and the start; its greeting lacks our name.
    if (greeting?.includes(instance)) continue;
    await server.stop();
    const reason = `${server.output()}${await readDovecotLog(folders)}`.trim();
    const taken = reason.includes('Address already in use') || greeting !== null;
    return { outcome: taken ? 'port-taken' : 'failed', reason: lastLine(reason) };
  }
  return { outcome: 'running', server, ports };
}

function running(
  server: ForegroundProcess,
  ports: DovecotContents['ports'],
  folders: DovecotFolders,
): Dovecot {
  let stopping: Promise<void> | null = null;
  return {
    imapPort: ports.imap,
    imapsPort: ports.imaps,
    pop3Port: ports.pop3,
    lmtpPort: ports.lmtp,
    mailFolder: (login) => mailFolderOf(folders, login),
    logText: () => readDovecotLog(folders),
    stop() {
      stopping ??= server.stop().then(() => removeDovecotFolders(folders));
      return stopping;
    },
  };
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

function startFailed(reason: string): SealgateError {
  return new SealgateError({
    code: 'evaluation.dovecot-failed',
    publicText: `Dovecot did not start: ${reason === '' ? 'it gave no reason' : reason}`,
    duration: 'temporary',
  });
}

function lastLine(text: string): string {
  const lines = text.split('\n');
  return (lines.filter((line) => /Fatal|Error/.test(line)).at(-1) ?? lines.at(-1) ?? '').trim();
}
