import { userInfo } from 'node:os';
import type { Command } from 'commander';
import type { Config } from '../config/load.ts';
import { completeRows } from '../directory/complete-rows.ts';
import { loadPinnedFiles, type PinnedFiles } from '../directory/pinned-files.ts';
import { CertificateRegister, type DirectoryEntry } from '../directory/register.ts';
import { hexadecimal } from '../directory/search.ts';
import { SqlDirectory } from '../directory/sql-directory.ts';
import { SealgateError } from '../errors.ts';
import { silentLog } from '../log/log.ts';
import { openSqliteAsItIs, type SqlStore } from '../store/sqlite.ts';
import { openCertificateRows } from './kept-state.ts';
import { configPath, readConfig } from './read-config.ts';

/** What the commands of `sealgate cert` have in common. */

export type CertOptions = { config?: string; json?: true };

export function withCertOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .option('--json', 'as JSON');
}

/** A decision of a person: why, and who. */
export type DecidingOptions = CertOptions & { reason: string; by?: string };

export function withDecidingOptions(command: Command): Command {
  return withCertOptions(
    command
      .requiredOption('--reason <text>', 'why, for whoever asks later')
      .option('--by <name>', 'who decides; default: the user of this machine'),
  );
}

/** @throws SealgateError `command.reason` */
export function decidedBy({ reason, by }: DecidingOptions): { reason: string; by: string } {
  if (reason.trim() === '' || reason.length > LONGEST || (by ?? 'x').trim() === '') {
    throw new SealgateError({
      code: 'command.reason',
      duration: 'permanent',
      publicText: `Say why in a few words (at most ${LONGEST} characters): --reason "fingerprint compared by telephone".`,
    });
  }
  // Whoever became root by sudo is the one who decides.
  return { reason, by: by ?? (process.env.SUDO_USER || userInfo().username) };
}

const LONGEST = 2_000;

export type OpenDirectory = {
  config: Config;
  store: SqlStore;
  /** Where the certificates are; the same as `store` where the gateway is alone. */
  certificates: SqlStore;
  pinned: PinnedFiles;
  register: CertificateRegister;
  directory: SqlDirectory;
};

/** The directory of the configuration, for as long as `use` takes. */
export async function withDirectory<T>(
  options: CertOptions,
  use: (open: OpenDirectory) => Promise<T>,
): Promise<T> {
  const config = await readConfig(configPath(options.config));
  await using opened = new AsyncDisposableStack();
  const store = opened.adopt(await openSqliteAsItIs(config.directory.file), (one) => one.close());
  await completeRows(store);
  const certificates = opened.adopt(await openCertificateRows(config, store), (one) => one.close());
  const clock = () => new Date();
  const pinned = await loadPinnedFiles(config.directory.pinned);
  const register = new CertificateRegister({ store: certificates, clock });
  const directory = new SqlDirectory({ store: certificates, pinned, clock, log: silentLog });
  return await use({ config, store, certificates, pinned, register, directory });
}

/**
 * A fingerprint as people write it (colons, blanks, capital letters; the beginning is not enough).
 *
 * @throws SealgateError `command.fingerprint`
 */
export function fingerprintFrom(written: string): string {
  const fingerprint = hexadecimal(written);
  if (/^[0-9a-f]{64}$/.test(fingerprint)) return fingerprint;
  throw new SealgateError({
    code: 'command.fingerprint',
    duration: 'permanent',
    publicText:
      'A SHA-256 fingerprint is expected: 64 hexadecimal digits, with or without colons. “sealgate cert list” shows them.',
  });
}

export function entryJson({ certificate, ...entry }: DirectoryEntry) {
  return {
    ...entry,
    subject: certificate.subject.text,
    issuer: certificate.issuer.text,
    serialNumber: certificate.serialNumber.toString('hex'),
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
  };
}
