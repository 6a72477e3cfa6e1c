import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { loadConfig } from '../config/load.ts';
import { formatProblem } from '../config/problem.ts';
import { generatedFiles } from '../config/reference.ts';
import { SealgateError } from '../errors.ts';
import { configPath } from './read-config.ts';

/** `sealgate config check` and `sealgate config reference`. */
export function addConfigCommands(program: Command): void {
  const config = program.command('config').description('check and explain the configuration');
  config
    .command('check')
    .description('show everything that is wrong with the file, each with line and column')
    .option('-c, --config <file>', 'configuration file (or SEALGATE_CONFIG)')
    .option('--json', 'problems as JSON')
    .action((options: { config?: string; json?: true }) =>
      check(configPath(options.config), options.json === true),
    );
  config
    .command('reference')
    .description('print the reference of all settings')
    .option('--write', 'write example, editor schema and reference page to their places in the project')
    .action((options: { write?: true }) => reference(options.write === true));
}

async function check(file: string, json: boolean): Promise<void> {
  const loaded = await loadConfig(file);
  const problems = loaded.kind === 'ok' ? loaded.warnings : loaded.problems;
  if (json)
    process.stdout.write(`${JSON.stringify({ file, ok: loaded.kind === 'ok', problems }, null, 2)}\n`);
  else for (const problem of problems) process.stdout.write(`${formatProblem(problem)}\n`);
  if (loaded.kind === 'ok') {
    if (!json) process.stdout.write(`${file} is in order.\n`);
    return;
  }
  const errors = problems.filter(({ severity }) => severity === 'error').length;
  throw new SealgateError({
    code: 'config.invalid',
    duration: 'permanent',
    publicText: `${file} has ${errors === 1 ? 'one error' : `${errors} errors`}.`,
  });
}

async function reference(write: boolean): Promise<void> {
  const files = generatedFiles();
  if (!write) {
    process.stdout.write(files.find(({ path }) => path.endsWith('.md'))?.text ?? '');
    return;
  }
  for (const { path, text } of files) {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    process.stdout.write(`${path}\n`);
  }
}
