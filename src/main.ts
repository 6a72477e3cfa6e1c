#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addCardCommands } from './commands/card.ts';
import { addConfigCommands } from './commands/config.ts';
import { addDirectoryCommands } from './commands/directory.ts';
import { addKeysCommands } from './commands/keys.ts';
import { addPolicyCommands } from './commands/policy.ts';
import { reportFailure } from './commands/report-failure.ts';
import { addServeCommand } from './commands/serve.ts';
import { addSmimeCommands } from './commands/smime.ts';
import { addTokenCommands } from './commands/token.ts';

/** The command line. Each command is a file in src/commands; this one only names them and ends the process. */
const program = new Command('sealgate')
  .description(
    'Secure-mail gateway: signs, encrypts, decrypts and verifies S/MIME between mail clients and mail servers.',
  )
  .version(version())
  .showHelpAfterError('(see sealgate --help)')
  .enablePositionalOptions();

addServeCommand(program);
addConfigCommands(program);
addDirectoryCommands(program);
addPolicyCommands(program);
addSmimeCommands(program);
addKeysCommands(program);
addTokenCommands(program);
addCardCommands(program);

// A reader that has seen enough (`sealgate directory list | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = reportFailure(error, process.stderr);
}

function version(): string {
  const { version: found } = JSON.parse(
    readFileSync(new URL('../package.json', import.meta.url), 'utf8'),
  ) as {
    version: string;
  };
  return found;
}
