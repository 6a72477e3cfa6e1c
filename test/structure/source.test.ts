import { describe, expect, test } from 'vitest';
import { sourceFiles } from './source-files.ts';

const files = sourceFiles('src');

/**
 * The command line, the configuration, the evaluation profile; what key processes inherit; and in key processes, secrets that the
 * configuration says are there, and where a person is who can be asked.
 */
const READS_ENVIRONMENT =
  /^(main\.ts|config\/|commands\/|evaluation\/|hsm\/client\/(key-client|token-management|opensc-configuration)\.ts$|hsm\/pin\/(secret|pinentry)\.ts$)/;

describe('the shape of the source', () => {
  test('no file is longer than 500 lines', () => {
    const long = files.filter(({ text }) => text.split('\n').length > 501);
    expect(long.map(({ path }) => path)).toEqual([]);
  });

  test('no file or folder is named for nothing in particular', () => {
    const named = ['src', 'test', 'scripts'].flatMap((top) =>
      sourceFiles(top).map(({ path }) => `${top}/${path}`),
    );
    const vague = named.filter((path) =>
      /(^|[/.-])(utils?|helpers?|common|misc|shared|stuff)([/.-]|$)/.test(path),
    );
    expect(vague).toEqual([]);
  });

  test('the environment is read where the command line and the configuration are read', () => {
    const reading = files.filter(
      ({ path, text }) => /\bprocess\.env\b/.test(text) && !READS_ENVIRONMENT.test(path),
    );
    expect(reading.map(({ path }) => path)).toEqual([]);
  });

  test('nothing prints by console: what is told is a declared event', () => {
    expect(files.filter(({ text }) => /\bconsole\.\w/.test(text)).map(({ path }) => path)).toEqual([]);
  });

  test('no test waits for less than a hang takes', () => {
    const judging = sourceFiles('test').filter(
      ({ text }) =>
        /\bvi\s*\.wait(For|Until)\(/.test(text) ||
        [...text.matchAll(/\btimeout: ([\d_]+)/g)].some(
          ([, most = '']) => /\.poll\(/.test(text) && Number(most.replaceAll('_', '')) < 30_000,
        ),
    );
    expect(judging.map(({ path }) => path)).toEqual(['support/eventually.ts']);
  });

  test('no test is skipped or alone', () => {
    const marked = sourceFiles('test').filter(
      ({ path, text }) =>
        path.endsWith('.test.ts') && /\b(test|it|describe)\.(skip|only|todo|skipIf|runIf)\b/.test(text),
    );
    expect(marked.map(({ path }) => path).filter((path) => path !== 'structure/source.test.ts')).toEqual([]);
  });
});
