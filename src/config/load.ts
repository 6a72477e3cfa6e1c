import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { crossChecks } from './cross-checks.ts';
import { readYaml, type YamlDocument } from './document.ts';
import { type Files, filesBeside } from './files.ts';
import { type ConfigProblem, pathText } from './problem.ts';
import { configSchema, type Sections } from './schema.ts';
import { sentence, unknownKey } from './sentences.ts';
import { allowedKeys } from './shape.ts';

/** The whole configuration: every default filled in, every path absolute, every secret loaded. */
export type Config = Omit<Sections, 'directory'> & {
  directory: Omit<Sections['directory'], 'file'> & { file: string };
};

export type LoadedConfig =
  | { kind: 'ok'; config: Config; warnings: readonly ConfigProblem[] }
  /** At least one problem is an error; all of them are here, in the order of the file. */
  | { kind: 'invalid'; problems: readonly ConfigProblem[] };

/**
 * Reads one configuration file and the secrets it names. A file that cannot be read is a problem like any other.
 * `environment` is where `{ env: NAME }` looks.
 */
export async function loadConfig(
  file: string,
  environment: NodeJS.ProcessEnv = process.env,
): Promise<LoadedConfig> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown error';
    const what = code === 'ENOENT' ? 'there is no such file' : `the file cannot be read (${code})`;
    return {
      kind: 'invalid',
      problems: [{ file, line: 1, column: 1, severity: 'error', path: '', text: what }],
    };
  }
  return parseConfig(file, text, filesBeside(file, environment));
}

/** Like `loadConfig` for a text that is already here. Never throws. */
export function parseConfig(file: string, text: string, files: Files): LoadedConfig {
  const yaml = readYaml(text);
  if (yaml.faults.length > 0) {
    return {
      kind: 'invalid',
      problems: yaml.faults.map((fault) => ({ file, severity: 'error', path: '', ...fault })),
    };
  }
  const schema = configSchema(files);
  const parsed = schema.safeParse(yaml.data, { error: sentence });
  const problems: ConfigProblem[] = [];
  for (const issue of parsed.error?.issues ?? []) {
    if (issue.code === 'unrecognized_keys') {
      const allowed = allowedKeys(issue.path, yaml.data);
      for (const key of issue.keys) {
        problems.push(problemAt(file, yaml, issue.path, 'error', unknownKey(key, allowed), key));
      }
    } else {
      problems.push(problemAt(file, yaml, issue.path, 'error', issue.message));
    }
  }
  const sections = parsed.success ? parsed.data : soundSections(schema, yaml.data, problems);
  for (const { path, severity, text: what } of crossChecks(sections)) {
    problems.push(problemAt(file, yaml, path, severity, what));
  }
  problems.sort((a, b) => a.line - b.line || a.column - b.column);
  if (!parsed.success || problems.some((problem) => problem.severity === 'error')) {
    return { kind: 'invalid', problems };
  }
  const { directory, stateFolder } = parsed.data;
  const databaseFile = directory.file ?? join(stateFolder, 'directory.sqlite');
  return {
    kind: 'ok',
    config: { ...parsed.data, directory: { ...directory, file: databaseFile } },
    warnings: problems,
  };
}

function problemAt(
  file: string,
  yaml: YamlDocument,
  path: readonly PropertyKey[],
  severity: 'error' | 'warning',
  text: string,
  key?: string,
): ConfigProblem {
  return { file, ...yaml.position(path, key), severity, path: pathText(path), text };
}

/** The sections without a problem of their own, so that one slip does not hide what is wrong between the others. */
function soundSections(
  schema: ReturnType<typeof configSchema>,
  data: unknown,
  problems: readonly ConfigProblem[],
): Partial<Sections> {
  const sound: Record<string, unknown> = {};
  if (typeof data !== 'object' || data === null || Array.isArray(data)) return sound;
  for (const [name, section] of Object.entries(schema.shape)) {
    const faulty = problems.some(({ path }) => path.split(/[.[]/, 1)[0] === name);
    if (faulty) continue;
    const parsed = section.safeParse(Reflect.get(data, name));
    if (parsed.success) sound[name] = parsed.data;
  }
  return sound as Partial<Sections>;
}
