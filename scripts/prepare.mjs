// Puts node_modules in step with package-lock.json and finds the Node that runs the product.
// Plain JavaScript for whatever Node a machine has: it runs before anything is installed.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { COMPILER_PACKAGES, ensureDebianPackages } from './debian.mjs';
import { runMain, SetupError, step } from './progress.mjs';
import { run } from './run.mjs';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FLOOR = [24, 12];
const BINDING = join(ROOT, 'node_modules/pkcs11js/build/Release/pkcs11.node');

/**
 * @returns {Promise<string>} the path of the Node to run TypeScript with.
 * @throws SetupError
 */
export async function prepare() {
  if (!isInStep()) await install();
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
  if (installed === null || !existsSync(BINDING)) return false;
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

async function install() {
  await ensureDebianPackages(COMPILER_PACKAGES, 'to compile the PKCS#11 binding');
  await step('Installing npm packages (npm ci)', async () => {
    const platformPackage = join(ROOT, 'node_modules', `node-${process.platform}-${process.arch}`);
    // The platform package brings the headers that the binding is compiled with, so none are fetched. npm ci empties
    // node_modules first and compiles last, so the folder is there when it is needed.
    const first = await npmCi({ npm_config_nodedir: platformPackage });
    if (first.code === 0) return;
    // Where there is no platform package, the machine's own setting or node-gyp's fetching must do.
    const second = existsSync(join(platformPackage, 'include')) ? first : await npmCi({});
    if (second.code !== 0) throw new SetupError(npmSentence(second.output));
  });
}

function npmCi(env) {
  const options = { quiet: true, cwd: ROOT, env: { ...process.env, ...env } };
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error'];
  const npm = process.env.npm_execpath;
  return npm?.endsWith('.js') ? run(process.execPath, [npm, ...args], options) : run('npm', args, options);
}

function npmSentence(output) {
  const errors = output.split('\n').flatMap((line) => /^npm (?:error|ERR!) (.+)$/.exec(line)?.[1] ?? []);
  const telling =
    errors.find((line) => !/^(code|errno|syscall|A complete log)\b/.test(line)) ??
    output.trim().split('\n').at(-1);
  return `npm ci failed: ${telling || 'no reason given'}; check the network with "npm ping", run "npm ci" to see all of it, then run again.`;
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
