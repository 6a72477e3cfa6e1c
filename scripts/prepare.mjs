// Puts node_modules in step with package-lock.json and finds the Node that runs the product.
// Plain JavaScript for whatever Node a machine has: it runs before anything is installed.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { COMPILER_PACKAGES, installDebianPackages, packagesToInstall } from './debian.mjs';
import { runMain, SetupError, say, seconds } from './progress.mjs';
import { run } from './run.mjs';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FLOOR = [24, 12];
const BINDING = join(ROOT, 'node_modules/pkcs11js/build/Release/pkcs11.node');

/**
 * Sets up what is missing: npm packages, the compiled PKCS#11 binding, Debian packages.
 *
 * @param {object} [needs]
 * @param {readonly string[]} [needs.packages] Debian packages that the caller's work needs.
 * @param {string} [needs.purpose] what for: "for the tests".
 * @param {string} [needs.otherwise] a sentence for whoever cannot install them.
 * @param {boolean} [needs.goOnWithout] where they cannot be installed, say so and go on.
 * @returns {Promise<string>} the path of the Node to run TypeScript with.
 * @throws SetupError
 */
export async function prepare({ packages = [], purpose = '', otherwise = '', goOnWithout = false } = {}) {
  const begin = performance.now();
  const inStep = isInStep();
  const isCompiled = inStep && existsSync(BINDING);
  const compiler = isCompiled
    ? []
    : await packagesToInstall(COMPILER_PACKAGES, 'to compile the PKCS#11 binding');
  const others = await packagesToInstall(packages, purpose).catch((error) => {
    if (!(error instanceof SetupError)) throw error;
    if (!goOnWithout) throw new SetupError(`${error.message} ${otherwise}`.trim());
    say(error.message);
    return [];
  });
  const missing = [...compiler, ...others];
  // Side by side: one waits for the network while the other unpacks. Both end before either's failure is told.
  const outcomes = await Promise.allSettled([
    installDebianPackages(missing),
    inStep ? null : installNpmPackages(),
  ]);
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  if (!isCompiled) await compileBinding();
  if (!isCompiled || missing.length > 0) say(`Set-up took ${seconds(begin)}.`);
  return findNode();
}

/** npm keeps in node_modules a copy of the lock file with what it really installed, written as its last act. */
function isInStep() {
  const wanted = readLock('package-lock.json');
  const installed = readLock('node_modules/.package-lock.json');
  if (wanted === null)
    throw new SetupError(
      'package-lock.json is missing or broken: restore it with "git checkout package-lock.json".',
    );
  if (installed === null) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const there = installed[path];
    // A package for other systems is optional, or wanted only by one that is.
    if (there === undefined) return entry.optional === true;
    return there.version === entry.version && there.integrity === entry.integrity;
  });
}

function readLock(file) {
  try {
    return JSON.parse(readFileSync(join(ROOT, file), 'utf8')).packages ?? null;
  } catch {
    return null;
  }
}

async function installNpmPackages() {
  say('Installing npm packages ...');
  // No package's install script runs; the one that is needed, the binding's, is called by name below.
  const { code, output } = await npm([
    'ci',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ]);
  if (code !== 0) throw new SetupError(npmSentence('npm ci', output));
}

async function compileBinding() {
  say('Compiling the PKCS#11 binding ...');
  const args = ['rebuild', 'pkcs11js', '--ignore-scripts=false', '--foreground-scripts', '--loglevel=error'];
  // The platform package brings the headers, so none are fetched. Where there is none, the machine's own setting or
  // node-gyp's fetching must do.
  const headers = join(ROOT, 'node_modules', `node-${process.platform}-${process.arch}`);
  const env = existsSync(join(headers, 'include/node')) ? { npm_config_nodedir: headers } : {};
  const { code, output } = await npm(args, env);
  if (code !== 0 || !existsSync(BINDING)) throw new SetupError(npmSentence('npm rebuild pkcs11js', output));
}

function npm(args, env = {}) {
  const options = { quiet: true, cwd: ROOT, env: { ...process.env, ...env } };
  const path = process.env.npm_execpath;
  return path?.endsWith('.js') ? run(process.execPath, [path, ...args], options) : run('npm', args, options);
}

function npmSentence(command, output) {
  const errors = output.split('\n').flatMap((line) => /^npm (?:error|ERR!) (.+)$/.exec(line)?.[1] ?? []);
  const telling =
    errors.find((line) => !/^(code|errno|syscall|A complete log)\b/.test(line)) ??
    output.trim().split('\n').at(-1);
  return `${command} failed: ${telling || 'no reason given'}; run "${command}" to see all of it, check the network with "npm ping", then run again.`;
}

async function findNode() {
  const local = join(ROOT, 'node_modules/.bin/node');
  if (existsSync(local)) {
    const { code } = await run(local, ['--version'], { quiet: true });
    if (code === 0) return local;
  }
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > FLOOR[0] || (major === FLOOR[0] && minor >= FLOOR[1])) return process.execPath;
  throw new SetupError(
    `Sealgate needs Node ${FLOOR.join('.')} or newer and this is ${process.versions.node}; there is no Node package for ${process.platform}-${process.arch}, so install one from https://nodejs.org, then run again.`,
  );
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runMain(async () => {
    await prepare();
    return 0;
  });
}
