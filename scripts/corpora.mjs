// `npm run test:corpora`: runs the tests against public test data and says how many of its cases come out as its authors say.
// Arguments go to vitest.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { prepare, ROOT } from './prepare.mjs';
import { runMain, SetupError, say, seconds } from './progress.mjs';
import { runAsIfExecuted } from './run.mjs';

const FILES = [
  'test/pki/pkits.test.ts',
  'test/cms/corpora.test.ts',
  'test/smime/corpora.test.ts',
  'test/smime/carried-crls.test.ts',
  'test/corpora',
];

/** The rows of PKITS among the tests, by their names. */
const PKITS_ROW = /^(4\.\d+\.\d+) .* is (accepted|refused)$/;
/** Of NIST's document; several tests have more than one set of policy inputs. */
const PKITS_TESTS = 224;
const PKITS_ROWS = 249;

await runMain(async (args) => {
  const begin = performance.now();
  const corpora = requireCorpora();
  const node = await prepare();
  const folder = mkdtempSync(join(tmpdir(), 'sealgate-corpora-'));
  try {
    const file = join(folder, 'results.json');
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
    const vitest = join(ROOT, 'node_modules/.bin/vitest');
    const code = await runAsIfExecuted(node, [vitest, 'run', ...reporters, ...FILES, ...args], {
      cwd: ROOT,
      env: { ...process.env, SEALGATE_CORPORA: corpora },
    });
    const isWhole = summarise(readResults(file));
    say(`Everything took ${seconds(begin)}.`);
    return code === 0 && isWhole ? 0 : 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** @returns {string} the folder; what is missing ends the run with one sentence. */
function requireCorpora() {
  const folder = resolve(process.env.SEALGATE_CORPORA ?? join(ROOT, '..', 'shared', 'corpora'));
  const missing = ['pkits/expected.json', 'rfc9216', 'kim'].filter((name) => !existsSync(join(folder, name)));
  if (missing.length === 0) return folder;
  throw new SetupError(
    `Test data is missing in ${folder}: ${missing.join(', ')}; set SEALGATE_CORPORA to the folder with pkits, rfc9216 and kim, then run again.`,
  );
}

function readResults(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).testResults;
  } catch {
    return [];
  }
}

/** Prints a line for each body of test data. @returns {boolean} whether every case is there and right. */
function summarise(results) {
  const tests = results.flatMap(({ name, assertionResults }) =>
    assertionResults.map((one) => ({ file: name, ...one })),
  );
  const parts = [
    pkits(tests),
    part('PKITS in mail', tests, (test) => test.file.endsWith('test/corpora/pkits-mails.test.ts')),
    part('RFC 9216', tests, (test) => describes(test, /RFC 9216|rfc9216\.test\.ts$/)),
    part('KIM', tests, (test) => describes(test, /\bKIM\b|kim\.test\.ts$/)),
  ];
  return parts.every(Boolean);
}

function pkits(tests) {
  const rows = tests.flatMap((test) => {
    const [, number, wanted] = PKITS_ROW.exec(test.title) ?? [];
    const isRow = test.ancestorTitles[0] === 'PKITS: path and revocation' && number !== undefined;
    return isRow ? [{ number, wanted, right: test.status === 'passed' }] : [];
  });
  const wrong = rows.filter(({ right }) => !right);
  const accepted = wrong.filter(({ wanted }) => wanted === 'refused').length;
  const numbers = new Set(rows.map(({ number }) => number));
  for (const { number } of wrong) numbers.delete(number);
  say(
    `PKITS: ${numbers.size} of ${PKITS_TESTS} tests, in ${rows.length - wrong.length} of ${PKITS_ROWS} rows, come out as NIST says; ` +
      `${accepted} false accepts, ${wrong.length - accepted} false rejects.`,
  );
  return numbers.size === PKITS_TESTS && rows.length === PKITS_ROWS && wrong.length === 0;
}

function part(name, tests, belongs) {
  const own = tests.filter(belongs);
  const passed = own.filter(({ status }) => status === 'passed').length;
  say(`${name}: ${passed} of ${own.length} checks passed.`);
  return own.length > 0 && passed === own.length;
}

function describes({ file, fullName }, pattern) {
  return pattern.test(file) || pattern.test(fullName);
}
