import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { readYaml } from './document.ts';
import { policySection } from './policy-schema.ts';
import { type ConfigProblem, pathText } from './problem.ts';
import { ruleChecks } from './rule-checks.ts';
import type { Sections } from './schema.ts';
import { sentence, unknownKey } from './sentences.ts';
import { allowedKeys } from './shape.ts';

export type LoadedPolicy =
  | { kind: 'ok'; policy: Sections['policy'] }
  | { kind: 'invalid'; problems: readonly ConfigProblem[] };

/**
 * Reads the section `policy` of a file and nothing else of it: a candidate for the rules. The configuration file itself, changed, will do.
 *
 * @param submission the listeners that rules may name
 */
export async function loadPolicy(file: string, submission: Sections['submission']): Promise<LoadedPolicy> {
  try {
    return parsePolicy(file, await readFile(file, 'utf8'), submission);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    const text = code === 'ENOENT' ? 'there is no such file' : `the file cannot be read (${code})`;
    return { kind: 'invalid', problems: [{ file, line: 1, column: 1, severity: 'error', path: '', text }] };
  }
}

/** Never throws: whatever is wrong is a problem with line and column. */
export function parsePolicy(file: string, text: string, submission: Sections['submission']): LoadedPolicy {
  const yaml = readYaml(text);
  const problems: ConfigProblem[] = yaml.faults.map((fault) => ({
    ...{ file, severity: 'error', path: '', ...fault },
  }));
  if (problems.length > 0) return { kind: 'invalid', problems };
  const parsed = z.looseObject({ policy: policySection }).safeParse(yaml.data, { error: sentence });
  const problem = (path: readonly PropertyKey[], what: string, key?: string) =>
    problems.push({
      ...{ file, ...yaml.position(path, key), severity: 'error', path: pathText(path), text: what },
    });
  if (!parsed.success) {
    for (const issue of parsed.error.issues) {
      if (issue.code !== 'unrecognized_keys') problem(issue.path, issue.message);
      else {
        const allowed = allowedKeys(issue.path, yaml.data);
        for (const key of issue.keys) problem(issue.path, unknownKey(key, allowed), key);
      }
    }
    return { kind: 'invalid', problems };
  }
  const { policy } = parsed.data;
  for (const { path, severity, text: what } of ruleChecks({ policy, submission })) {
    if (severity === 'error') problem(path, what);
  }
  return problems.length > 0 ? { kind: 'invalid', problems } : { kind: 'ok', policy };
}
