import type { Command } from 'commander';
import { type DirectoryEntry, SqliteDirectory } from '../directory/sqlite-directory.ts';
import { silentLog } from '../log/log.ts';
import { openSqlite } from '../store/sqlite.ts';
import { configPath, readConfig } from './read-config.ts';

/** `sealgate directory list`: what is known of correspondents' certificates. */
export function addDirectoryCommands(program: Command): void {
  const directory = program.command('directory').description('correspondents’ certificates');
  directory
    .command('list')
    .description('every certificate learned from mail, with issuer, validity and trust')
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .option('--address <address>', 'of one address only')
    .option('--json', 'as JSON')
    .action((options: ListOptions) => list(options));
}

type ListOptions = { config?: string; address?: string; json?: true };

async function list(options: ListOptions): Promise<void> {
  const config = await readConfig(configPath(options.config));
  const store = await openSqlite(config.directory.file);
  try {
    const directory = new SqliteDirectory({ store, clock: () => new Date(), log: silentLog });
    const entries: DirectoryEntry[] = [];
    if (options.address === undefined) for await (const entry of directory.list()) entries.push(entry);
    else entries.push(...(await directory.history(options.address)));
    process.stdout.write(
      options.json === true ? `${JSON.stringify(entries.map(plain), null, 2)}\n` : page(entries),
    );
  } finally {
    await store.close();
  }
}

function plain({ certificate, ...entry }: DirectoryEntry) {
  return {
    ...entry,
    subject: certificate.subject.text,
    issuer: certificate.issuer.text,
    serialNumber: certificate.serialNumber.toString('hex'),
    notBefore: certificate.notBefore,
    notAfter: certificate.notAfter,
  };
}

function page(entries: readonly DirectoryEntry[]): string {
  if (entries.length === 0)
    return 'No certificate has been learned yet: they come with signed mail that is read.\n';
  const blocks = entries.map((entry) => {
    const { subject, issuer, notBefore, notAfter } = entry.certificate;
    return [
      printable(entry.address),
      `  trust        ${entry.trust}${entry.state === 'current' ? '' : ` (${entry.state})`}`,
      `  subject      ${printable(subject.text)}`,
      `  issuer       ${printable(issuer.text)}`,
      `  valid        ${day(notBefore)} to ${day(notAfter)}`,
      `  seen         ${day(entry.firstSeen)} to ${day(entry.lastSeen)}`,
      `  fingerprint  ${entry.fingerprint}`,
      '',
    ].join('\n');
  });
  return blocks.join('\n');
}

function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}

/** Names in certificates are a stranger's words; a terminal must not obey them. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\u{fffd}');
}
