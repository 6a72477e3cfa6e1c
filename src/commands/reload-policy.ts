import { isDeepStrictEqual } from 'node:util';
import { holdingChecks } from '../config/holding-checks.ts';
import { type Config, loadConfig } from '../config/load.ts';
import { formatProblem, pathText } from '../config/problem.ts';
import { ruleChecks } from '../config/rule-checks.ts';
import type { Gateway } from '../gateway.ts';
import type { Log } from '../log/log.ts';

/**
 * Reads the configuration file again and takes its rules and groups, all of them or none: a file with any error, wherever in it, leaves
 * what is in force, and the log says line and column. What else has changed in it waits for a restart, so rules that rest on it (a
 * listener that is called otherwise there) are not taken before. Never rejects.
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
  // By the listeners, the queue and the archives that there are: a rule for a listener that is not would be passed over, and the next one
  // would decide.
  const together = { ...running, policy };
  const problems = [...ruleChecks(together), ...holdingChecks(together)];
  const wrong = problems.filter(({ severity }) => severity === 'error');
  for (const { path, text } of wrong) {
    const problem = `${file}: ${pathText(path)}: ${text} in the running gateway; restart it`;
    log.write({ event: 'policy.reload-refused', level: 'error', problem });
  }
  if (wrong.length > 0) return;
  gateway.replacePolicy(policy);
  const restart = changedSections(loaded.config, running).join(', ');
  log.write({ event: 'policy.reloaded', level: 'info', rules: policy.rules.length, restart });
}

/** What counts at the next start only. */
function changedSections(read: Config, running: Config): readonly string[] {
  const [one, other] = [besidesRules(read), besidesRules(running)];
  return Object.keys({ ...one, ...other }).filter((name) => !isDeepStrictEqual(one[name], other[name]));
}

function besidesRules({ policy, ...rest }: Config): Readonly<Record<string, unknown>> {
  // Secrets are equal as JSON, whatever they are: whoever changes one knows.
  return JSON.parse(JSON.stringify({ ...rest, 'policy.recordDays': policy.recordDays }));
}
