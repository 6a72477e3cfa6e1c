import type { Config } from '../config/load.ts';
import { loadConfig } from '../config/load.ts';
import { formatProblem } from '../config/problem.ts';
import { SealgateError } from '../errors.ts';

export const DEFAULT_CONFIG = 'config/gateway.yaml';

/**
 * Loads the configuration or throws with every problem, each with its line and column.
 *
 * @param warn what is not an error but should not go unread, a line each
 */
export async function readConfig(file: string, warn?: (line: string) => void): Promise<Config> {
  const loaded = await loadConfig(file);
  if (loaded.kind === 'ok') {
    for (const problem of loaded.warnings) warn?.(formatProblem(problem));
    return loaded.config;
  }
  const elsewhere = file === DEFAULT_CONFIG ? '\nAnother file is named by --config or SEALGATE_CONFIG.' : '';
  const count = loaded.problems.length === 1 ? 'one problem' : `${loaded.problems.length} problems`;
  throw new SealgateError({
    code: 'config.invalid',
    duration: 'permanent',
    publicText: `${file} has ${count}; nothing was done.\n${loaded.problems.map((problem) => `  ${formatProblem(problem)}`).join('\n')}${elsewhere}`,
  });
}

/** `--config`, else SEALGATE_CONFIG, else the usual place. */
export function configPath(option: string | undefined): string {
  return option ?? configInEnvironment() ?? DEFAULT_CONFIG;
}

/** SEALGATE_CONFIG; null where it is absent or empty, as compose files leave it. */
export function configInEnvironment(): string | null {
  const file = process.env.SEALGATE_CONFIG ?? '';
  return file === '' ? null : file;
}
