import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { type Project, project } from './project.ts';

type Results = {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  testResults: { status: string; assertionResults: { status: string }[] }[];
};

const GOOD: Results = {
  numPassedTests: 5,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  testResults: [],
};

describe('npm test', () => {
  test('counts tests, types and lint, and ends with the plain line', async () => {
    await using clone = await project();
    await programs(clone, { results: GOOD });
    const run = clone.start('test.mjs');
    expect(await run.ended).toBe(0);
    expect(run.output()).toMatch(/\n7 passed, 0 failed\n$/);
  });

  test('hands its arguments to the tests', async () => {
    await using clone = await project();
    await programs(clone, { results: GOOD, more: "console.log('got', process.argv.slice(2).join(' '));" });
    const run = clone.start('test.mjs', ['test/cms', '-t', 'a name']);
    expect(await run.ended).toBe(0);
    expect(run.output()).toMatch(/got run .*test\/cms -t a name\n/);
  });

  test('a type error, a failed test and a file that does not load are failures', async () => {
    await using clone = await project();
    const testResults = [{ status: 'failed', assertionResults: [] }];
    await programs(clone, { results: { ...GOOD, numFailedTests: 2, testResults }, exit: 1, types: 2 });
    const run = clone.start('test.mjs');
    expect(await run.ended).toBe(1);
    expect(run.output()).toMatch(/\n6 passed, 4 failed\n$/);
  });

  test('skipped tests are failures, unless a person chose some', async () => {
    await using clone = await project();
    await programs(clone, { results: { ...GOOD, numPendingTests: 3 } });
    const all = clone.start('test.mjs');
    expect(await all.ended).toBe(1);
    expect(all.output()).toMatch(/\n7 passed, 3 failed\n$/);
    expect(await clone.start('test.mjs', ['test/cms']).ended).toBe(0);
  });

  test('a test run that dies without a result, or with an error outside the tests, is a failure', async () => {
    await using clone = await project();
    await programs(clone, { results: null, exit: 139 });
    const dead = clone.start('test.mjs');
    expect(await dead.ended).toBe(1);
    expect(dead.output()).toMatch(/\n2 passed, 1 failed\n$/);
    await programs(clone, { results: GOOD, exit: 1 });
    const unhandled = clone.start('test.mjs');
    expect(await unhandled.ended).toBe(1);
    expect(unhandled.output()).toMatch(/\n7 passed, 1 failed\n$/);
  });

  test('a process that the tests leave running is ended and counts as a failure', async () => {
    await using clone = await project();
    const leave = `
      const { spawn } = require('node:child_process');
      const left = spawn('sleep', ['3600'], { detached: true, stdio: 'ignore', env: process.env });
      left.unref();
      require('node:fs').writeFileSync(process.env.TMPDIR + '/left.pid', String(left.pid));
      console.log('pid', left.pid);`;
    await programs(clone, { results: GOOD, more: leave });
    const run = clone.start('test.mjs');
    expect(await run.ended).toBe(1);
    expect(run.output()).toMatch(/The tests left in their temporary folder: left\.pid\n/);
    expect(run.output()).toMatch(/The tests left running: \d+ sleep 3600\n/);
    expect(run.output()).toMatch(/\n7 passed, 1 failed\n$/);
    const pid = Number(/pid (\d+)/.exec(run.output())?.[1]);
    // Gone, or dead and not yet buried by the system's first process: then its command line is empty.
    expect(await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).toBe('');
  });
});

/** What stands in for tsc, biome and vitest. */
async function programs(
  clone: Project,
  wish: { results: Results | null; exit?: number; types?: number; more?: string },
): Promise<void> {
  await clone.write('node_modules/.bin/tsc', `process.exit(${wish.types ?? 0})`);
  await clone.write('node_modules/.bin/biome', 'process.exit(0)');
  const file =
    "process.argv.find((a) => a.startsWith('--outputFile.json=')).slice('--outputFile.json='.length)";
  const report =
    wish.results === null
      ? ''
      : `require('node:fs').writeFileSync(${file}, ${JSON.stringify(JSON.stringify(wish.results))});`;
  await clone.write(
    'node_modules/.bin/vitest',
    `${report}\n${wish.more ?? ''}\nprocess.exitCode = ${wish.exit ?? 0};`,
  );
}
