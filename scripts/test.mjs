// `npm test`: sets up what is missing, then checks types and lint and runs the tests, and says in its last line how many
// passed and failed. Arguments go to vitest: `npm test -- test/cms`.
//
// `npm run test:delayed`: the same, with everything that comes by a socket or a pipe delayed by chance (docs/testing.md).
//
// The tests get a temporary folder of their own. What is still there at the end, file or process, was left behind.

import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { TEST_PACKAGES, UNPACKED, UNPACKED_TEST_PACKAGES, unpackDebianPackages } from './debian.mjs';
import { endProcesses, processesUsing } from './left-behind.mjs';
import { prepare, ROOT } from './prepare.mjs';
import { runMain, SetupError, say, seconds } from './progress.mjs';
import { runAsIfExecuted } from './run.mjs';

const DELAYED = '--delayed';
const DELAYS = pathToFileURL(join(ROOT, 'test/support/delayed-octets.mjs')).href;
/** A test of megabytes takes so much longer where each piece of them is late. */
const DELAYED_TIMEOUT = `${30 * 60_000}`;

await runMain(async (args) => {
  const begin = performance.now();
  // Without them, the tests that need them fail and say so; the others are still worth running.
  const node = await prepare({ packages: TEST_PACKAGES, purpose: 'for the tests', goOnWithout: true });
  await unpackDebianPackages(UNPACKED_TEST_PACKAGES, join(ROOT, UNPACKED)).catch((error) => {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
  });
  const outcomes = [
    await check('types', node, ['tsc', '--noEmit']),
    await check('lint', node, ['biome', 'check', '--error-on-warnings', '.']),
    await tests(node, args),
  ];
  const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
  const failed = outcomes.reduce((sum, outcome) => sum + outcome.failed, 0);
  process.stdout.write(`Everything took ${seconds(begin)}.\n${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
});

async function check(name, node, command) {
  const begin = performance.now();
  const code = await inProject(node, command, {});
  process.stdout.write(`${name}: ${code === 0 ? 'passed' : 'failed'} in ${seconds(begin)}\n`);
  return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1 };
}

async function tests(node, args) {
  const begin = performance.now();
  const folder = mkdtempSync(join(tmpdir(), 'sgt-'));
  // Servers without rights must be able to walk down to the folders that tests make for them.
  chmodSync(folder, 0o711);
  const results = mkdtempSync(join(tmpdir(), 'sgt-results-'));
  const resultFile = join(results, 'results.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${resultFile}`];
    // Tests start the program hundreds of times; what it was compiled to once serves them all.
    const compiled = process.env.NODE_COMPILE_CACHE ?? join(results, 'compiled');
    const environment = { TMPDIR: folder, NODE_COMPILE_CACHE: compiled };
    const patterns = args.filter((argument) => argument !== DELAYED);
    const words = ['vitest', 'run', ...reporters, ...patterns];
    if (args.includes(DELAYED)) {
      environment.NODE_OPTIONS = `${process.env.NODE_OPTIONS ?? ''} --import=${DELAYS}`.trim();
      words.push(`--testTimeout=${DELAYED_TIMEOUT}`, `--hookTimeout=${DELAYED_TIMEOUT}`);
    }
    const code = await inProject(node, words, environment);
    const outcome = count(resultFile, code, patterns);
    outcome.failed += await leftBehind(folder);
    process.stdout.write(`tests: ${outcome.failed === 0 ? 'passed' : 'failed'} in ${seconds(begin)}\n`);
    return outcome;
  } finally {
    rmSync(results, { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs a program of node_modules/.bin with the project's Node first on PATH. */
function inProject(node, [program, ...args], env) {
  const bin = join(ROOT, 'node_modules/.bin');
  const path = [bin, process.env.PATH ?? ''].join(delimiter);
  return runAsIfExecuted(node, [join(bin, program), ...args], {
    cwd: ROOT,
    env: { ...process.env, PATH: path, ...env },
  });
}

function count(resultFile, code, args) {
  let results;
  try {
    results = JSON.parse(readFileSync(resultFile, 'utf8'));
  } catch {
    process.stdout.write('The tests ended without a result.\n');
    return { passed: 0, failed: 1 };
  }
  // A file that cannot be loaded fails without one failed test.
  const broken = results.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
  ).length;
  // With arguments a person may have chosen by name; without, every test has to run.
  const skipped = args.length === 0 ? results.numPendingTests + results.numTodoTests : 0;
  if (skipped > 0) process.stdout.write(`${skipped} tests were skipped; that counts as failed.\n`);
  const failed = results.numFailedTests + broken + skipped;
  return { passed: results.numPassedTests, failed: failed === 0 && code !== 0 ? 1 : failed };
}

/** @returns {Promise<number>} how many processes the tests left running; they are ended. */
async function leftBehind(folder) {
  const files = readdirSync(folder);
  if (files.length > 0)
    process.stdout.write(`The tests left in their temporary folder: ${files.slice(0, 10).join(' ')}\n`);
  const processes = processesUsing(folder);
  for (const { pid, command } of processes)
    process.stdout.write(`The tests left running: ${pid} ${command}\n`);
  await endProcesses(processes);
  return processes.length;
}
