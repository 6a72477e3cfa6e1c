#!/usr/bin/env -S node --max-semi-space-size=8
import { Command } from 'commander';
import { reportFailure } from './commands/report-failure.ts';
import { version } from './gateway/version.ts';

/** The command line. Each command is a file in src/commands; this one only names them and ends the process. */
const program = new Command('sealgate')
  .description(
    'Secure-mail gateway: signs, encrypts, decrypts and verifies S/MIME between mail clients and mail servers.',
  )
  .version(version())
  .enablePositionalOptions();

/** In the order of the help page. */
const commands: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  serve: async () => (await import('./commands/serve.ts')).addServeCommand,
  config: async () => (await import('./commands/config.ts')).addConfigCommands,
  cert: async () => (await import('./commands/cert.ts')).addCertCommands,
  reading: async () => (await import('./commands/reading.ts')).addReadingCommands,
  policy: async () => (await import('./commands/policy.ts')).addPolicyCommands,
  held: async () => (await import('./commands/held.ts')).addHeldCommands,
  queue: async () => (await import('./commands/queue.ts')).addQueueCommands,
  cluster: async () => (await import('./commands/cluster.ts')).addClusterCommands,
  trace: async () => (await import('./commands/trace.ts')).addTraceCommand,
  publish: async () => (await import('./commands/publish.ts')).addPublishCommands,
  smime: async () => (await import('./commands/smime.ts')).addSmimeCommands,
  keys: async () => (await import('./commands/keys.ts')).addKeysCommands,
  token: async () => (await import('./commands/token.ts')).addTokenCommands,
  card: async () => (await import('./commands/card.ts')).addCardCommands,
};

// Only the one that is meant: a look at a card needs no gateway. Without one all of them, for the help page.
const [, , first = ''] = process.argv;
for (const [name, load] of Object.entries(commands)) {
  if (name === first || !Object.hasOwn(commands, first)) (await load())(program);
}

helpAfterErrors(program, 'sealgate');

/** Each command refers to its own page. */
function helpAfterErrors(command: Command, path: string): void {
  command.showHelpAfterError(`(see ${path} --help)`);
  for (const each of command.commands) helpAfterErrors(each, `${path} ${each.name()}`);
}

// A reader that has seen enough (`sealgate cert list | head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0);
  throw error;
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = reportFailure(error, process.stderr, first);
}
