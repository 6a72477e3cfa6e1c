import type { Config } from '../config/load.ts';
import { loadConfig } from '../config/load.ts';
import { formatProblem } from '../config/problem.ts';
import { SealgateError } from '../errors.ts';

export const DEFAULT_CONFIG = 'config/gateway.yaml';

/** Loads the configuration or throws with every problem, each with its line and column. */
export async function readConfig(file: string): Promise<Config> {
  const loaded = await loadConfig(file);
  if (loaded.kind === 'ok') return loaded.config;
  const count = loaded.problems.length === 1 ? 'one problem' : `${loaded.problems.length} problems`;
  throw new SealgateError({
    code: 'config.invalid',
    duration: 'permanent',
    publicText: `${file} has ${count}; the gateway was not started.\n${loaded.problems.map((problem) => `  ${formatProblem(problem)}`).join('\n')}`,
  });
}

/** `--config`, else SEALGATE_CONFIG, else the usual place. */
export function configPath(option: string | undefined): string {
  return option ?? process.env.SEALGATE_CONFIG ?? DEFAULT_CONFIG;
}
