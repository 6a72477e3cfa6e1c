import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { SealgateError } from '../errors.ts';
import { printable } from '../log/printable.ts';
import { storedReader } from '../reading/stored/stored-views.ts';
import { canonicalLogin } from '../sasl/canonical-login.ts';
import { openSqliteAsItIs } from '../store/sqlite.ts';
import { SqliteStoredContents, STORED_VIEWS_FILE } from '../store/stored-contents.ts';
import { storedViewMigrations } from '../store/stored-view-migrations.ts';
import { jsonText } from './json-output.ts';
import { installationOf } from './kept-state.ts';
import { configPath, readConfig } from './read-config.ts';

type ForgetOptions = { login: string; config?: string; json?: true };

/** `sealgate reading forget`: what is kept of a login's opened mail goes, while the gateway runs or not. */
export function addForgetCommand(reading: Command): void {
  reading
    .command('forget')
    .description(
      'throw away what is kept of the opened mail of a login (reading.store); no mail is lost by it',
    )
    .requiredOption('--login <login>', 'whose mail')
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .option('--json', 'as JSON')
    .action((options: ForgetOptions) => forget(options));
}

async function forget(options: ForgetOptions): Promise<void> {
  const login = canonicalLogin(Buffer.from(options.login));
  if (login === null) {
    throw new SealgateError({
      code: 'command.login',
      publicText: 'That is no login: it is empty, or has control characters.',
      duration: 'permanent',
    });
  }
  const config = await readConfig(configPath(options.config));
  const { stateFolder, imap } = config;
  const { viewSecret } = await installationOf(config);
  const accounts = new Set(imap.map(({ upstream }) => upstream.host.toLowerCase()));
  const readers = [...accounts].map((account) => storedReader(viewSecret, { account, login }));
  const messages = await emptied(join(stateFolder, STORED_VIEWS_FILE), readers);
  const what = messages === 1 ? 'one opened mail' : `${messages} opened mails`;
  process.stdout.write(
    options.json === true
      ? `${jsonText({ login, messages })}\n`
      : `Of ${printable(login)} ${what} had been kept; nothing is any more.\n`,
  );
}

async function emptied(file: string, readers: readonly string[]): Promise<number> {
  try {
    await access(file);
  } catch {
    return 0;
  }
  // Never thrown away, nor tidied up: a gateway may be using it.
  const store = await openSqliteAsItIs(file, storedViewMigrations, 'takes-the-last');
  try {
    const contents = new SqliteStoredContents(store);
    let messages = 0;
    for (const reader of readers) messages += await contents.empty(reader);
    return messages;
  } finally {
    await store.close();
  }
}
