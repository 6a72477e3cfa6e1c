import { isDeepStrictEqual } from 'node:util';
import { type Config, loadConfig } from '../config/load.ts';
import { formatProblem } from '../config/problem.ts';
import type { Gateway } from '../gateway.ts';
import type { Log } from '../log/log.ts';

/**
 * Reads the configuration file again and takes its rules and groups, all of them or none: a file with any error, wherever in it, leaves
 * what is in force, and the log says line and column. What else has changed in it waits for a restart. Never rejects.
 */
export async function reloadPolicy(
  file: string,
  running: Config,
  gateway: Pick<Gateway, 'replacePolicy'>,
  log: Log,
): Promise<void> {
  const loaded = await loadConfig(file);
  if (loaded.kind === 'invalid') {
    for (const problem of loaded.problems) {
      if (problem.severity !== 'error') continue;
      log.write({ event: 'policy.reload-refused', level: 'error', problem: formatProblem(problem) });
    }
    return;
  }
  const { policy } = loaded.config;
  gateway.replacePolicy(policy);
  const restart = !isDeepStrictEqual(besidesRules(loaded.config), besidesRules(running));
  log.write({ event: 'policy.reloaded', level: 'info', rules: policy.rules.length, restart });
}

/** What counts at the next start only. */
function besidesRules({ policy, ...rest }: Config): unknown {
  // Secrets are equal as JSON, whatever they are: whoever changes one knows.
  return JSON.parse(JSON.stringify({ ...rest, recordDays: policy.recordDays }));
}
