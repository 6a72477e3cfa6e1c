// Installs missing Debian packages. Never starts a service, never removes a package, never changes one that is there.
//
// Run by itself, `node scripts/debian.mjs swaks isync` installs these; the other scripts call its functions.

import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { runMain, SetupError, say } from './progress.mjs';
import { run } from './run.mjs';

/** Package -> a file or a program that shows it is there; null where only dpkg can tell. */
const EVIDENCE = {
  'dovecot-imapd': '/usr/lib/dovecot/imap',
  'dovecot-pop3d': '/usr/lib/dovecot/pop3',
  'dovecot-lmtpd': '/usr/lib/dovecot/lmtp',
  openssl: 'openssl',
  softhsm2: 'softhsm2-util',
  opensc: 'pkcs11-tool',
  pcscd: 'pcscd',
  'vsmartcard-vpcd': '/usr/lib/pcsc/drivers/serial/libifdvpcd.so',
  gpgsm: 'gpgsm',
  'gpg-agent': 'gpg-agent',
  isync: 'mbsync',
  'libsasl2-modules': '/usr/lib/x86_64-linux-gnu/sasl2/libscram.so',
  mutt: 'mutt',
  neomutt: 'neomutt',
  fetchmail: 'fetchmail',
  getmail6: 'getmail',
  offlineimap3: 'offlineimap',
  curl: 'curl',
  thunderbird: '/usr/lib/thunderbird/thunderbird',
  chromium: 'chromium',
  swaks: 'swaks',
  msmtp: 'msmtp',
  // Libraries: only dpkg can tell.
  'libdb5.3': null,
  'libgnutls-dane0': null,
  libidn12: null,
  libnsl2: null,
  'libnss-wrapper': null,
  haproxy: 'haproxy',
  iproute2: 'ip',
  'redis-server': 'redis-server',
  'libnet-ssleay-perl': null,
  'libnss3-tools': 'cmsutil',
  swtpm: 'swtpm',
  'libtpm2-pkcs11-1': '/usr/lib/x86_64-linux-gnu/pkcs11/libtpm2_pkcs11.so',
  // Its programs lie in a folder named by version.
  postgresql: null,
  slapd: '/usr/sbin/slapd',
  'ldap-utils': 'ldapsearch',
  'python3-ldap3': '/usr/lib/python3/dist-packages/ldap3/__init__.py',
  'knot-dnsutils': 'kdig',
  bind9: '/usr/sbin/named',
  'bind9-utils': 'dnssec-signzone',
  unbound: '/usr/sbin/unbound',
  postfix: '/usr/sbin/smtp-source',
  nginx: 'nginx',
  'libnginx-mod-mail': '/usr/lib/nginx/modules/ngx_mail_module.so',
  perdition: 'perdition.imaps',
  imapproxy: 'imapproxyd',
  // Java's own packages are named by version; any will do.
  'default-jdk-headless': 'javac',
  'libbcprov-java': '/usr/share/java/bcprov.jar',
  'libbcpkix-java': '/usr/share/java/bcpkix.jar',
  'libbcmail-java': '/usr/share/java/bcmail.jar',
  python3: 'python3',
  make: 'make',
  'g++': 'g++',
};

/** The mail server of the evaluation profile. */
export const EVALUATION_PACKAGES = ['dovecot-imapd', 'dovecot-pop3d', 'dovecot-lmtpd', 'openssl'];

/** Everything the tests talk to. */
export const TEST_PACKAGES = [
  ...EVALUATION_PACKAGES,
  'softhsm2',
  'opensc',
  'pcscd',
  'vsmartcard-vpcd',
  'gpgsm',
  'gpg-agent',
  'isync',
  'libsasl2-modules',
  'mutt',
  'neomutt',
  'fetchmail',
  'getmail6',
  'offlineimap3',
  'curl',
  'thunderbird',
  'chromium',
  'swaks',
  'haproxy',
  'iproute2',
  'redis-server',
  'postfix',
  'libnet-ssleay-perl',
  'libnss3-tools',
  'swtpm',
  'libtpm2-pkcs11-1',
  'pinentry-tty',
  'postgresql',
  'slapd',
  'ldap-utils',
  'python3-ldap3',
  'knot-dnsutils',
  'bind9',
  'bind9-utils',
  'unbound',
  'msmtp',
  ...['libdb5.3', 'libgnutls-dane0', 'libidn12', 'libnsl2', 'libnss-wrapper'],
];

/**
 * Programs of the tests that cannot be installed beside others (a machine has one mail transfer agent): unpacked below `UNPACKED`, and run
 * from there. What they need is among the packages above. Package -> its program there.
 */
export const UNPACKED_TEST_PACKAGES = { 'exim4-daemon-light': 'usr/sbin/exim4' };
/** A folder of the checkout. */
export const UNPACKED = 'node_modules/.debian';

/** The programs of the matrix of interoperation. */
export const INTEROP_PACKAGES = [
  'openssl',
  'gpgsm',
  'gpg-agent',
  'libnss3-tools',
  'default-jdk-headless',
  'libbcprov-java',
  'libbcpkix-java',
  'libbcmail-java',
];

export const BENCH_PACKAGES = [
  ...EVALUATION_PACKAGES,
  'postfix',
  'softhsm2',
  'opensc',
  'nginx',
  'libnginx-mod-mail',
  'perdition',
  'imapproxy',
  'postgresql',
];

/** What the crash test looks at messages with, and what several gateways share. */
export const CRASH_PACKAGES = ['openssl', 'postgresql', 'redis-server', 'haproxy'];

/** What makes the messages that the fuzzers begin with. */
export const FUZZ_PACKAGES = ['openssl'];

/** What compiles the PKCS#11 binding. */
export const COMPILER_PACKAGES = ['python3', 'make', 'g++'];

const POLICY = '/usr/sbin/policy-rc.d';
const POLICY_TEXT =
  '#!/bin/sh\n# sealgate: temporary, keeps new packages from starting their services\nexit 101\n';
const LOCK = '/run/lock/sealgate-apt.lock';
/** Says to this script that it holds the lock and is to install. */
const LOCKED = '--locked';

/** @returns {Promise<string[]>} those of the packages that are neither installed nor there by another way. */
export async function missingPackages(packages) {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg-query's own notation.
  const query = ['-W', '-f', '${Package} ${db:Status-Status}\n', ...packages];
  // dpkg-query names the packages it does not know on standard error and exits with 1.
  const { code, output } = await run('dpkg-query', query, {
    quiet: true,
    env: { ...process.env, LC_ALL: 'C' },
  });
  const lines = code === 127 ? [] : output.split('\n');
  return packages.filter(
    (name) => !lines.includes(`${name} installed`) && !evident(EVIDENCE[name], code !== 127),
  );
}

function evident(evidence, hasDpkg) {
  if (evidence === undefined || evidence === null) return evidence === null && !hasDpkg;
  if (evidence.startsWith('/')) return existsSync(evidence);
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return folders.some((folder) => isExecutable(join(folder, evidence)));
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Finds out what is missing and whether it can be installed here; `installDebianPackages` does it.
 *
 * @param {readonly string[]} packages
 * @param {string} purpose "for the tests"
 * @returns {Promise<string[]>} the missing packages.
 * @throws SetupError, one sentence that names what is missing, when it cannot be installed.
 */
export async function packagesToInstall(packages, purpose) {
  const missing = await missingPackages(packages);
  if (missing.length === 0) return [];
  if (!isExecutable('/usr/bin/apt-get')) {
    throw new SetupError(
      `Missing ${purpose}: ${missing.join(', ')} (Debian's names); install them, then run again.`,
    );
  }
  if (process.getuid?.() !== 0) {
    throw new SetupError(`Missing ${purpose}: run "${commandFor(missing)}" as root, then run again.`);
  }
  return missing;
}

/** @throws SetupError */
export async function installDebianPackages(missing) {
  if (missing.length === 0) return;
  say(`Installing Debian packages: ${missing.join(' ')} ...`);
  // One at a time on this machine: the policy file below is everybody's.
  const self = [process.execPath, fileURLToPath(import.meta.url), LOCKED, ...missing];
  const [program, ...args] = isExecutable('/usr/bin/flock') ? ['/usr/bin/flock', LOCK, ...self] : self;
  const { code, output } = await run(program, args, { quiet: true });
  if (code === 0) return;
  throw new SetupError(
    `apt-get could not install packages: ${lastError(output)}; run "${commandFor(missing)}" to see all of it.`,
  );
}

/**
 * Downloads and unpacks what is not there yet; nothing is installed.
 *
 * @throws SetupError
 */
export async function unpackDebianPackages(packages, folder) {
  for (const [name, program] of Object.entries(packages)) {
    const target = join(folder, name);
    if (existsSync(join(target, program))) continue;
    if (!isExecutable('/usr/bin/apt-get'))
      throw new SetupError(`Missing for the tests: ${name} (Debian's name).`);
    say(`Unpacking ${name} ...`);
    mkdirSync(folder, { recursive: true });
    const making = mkdtempSync(join(folder, 'unpacking-'));
    try {
      const { code, output } = await run('apt-get', ['-q', 'download', name], { quiet: true, cwd: making });
      if (code !== 0) throw new SetupError(`apt-get could not download ${name}: ${lastError(output)}`);
      const [file = ''] = await readdir(making);
      const unpacked = await run('dpkg', ['-x', join(making, file), join(making, 'root')], { quiet: true });
      if (unpacked.code !== 0)
        throw new SetupError(`dpkg could not unpack ${name}: ${lastError(unpacked.output)}`);
      rmSync(target, { recursive: true, force: true });
      renameSync(join(making, 'root'), target);
    } finally {
      rmSync(making, { recursive: true, force: true });
    }
  }
}

function commandFor(packages) {
  return `apt-get install --no-install-recommends ${packages.join(' ')}`;
}

async function install(packages) {
  const missing = await missingPackages(packages);
  if (missing.length === 0) return 0;
  return withoutServices(async () => {
    const listsAreEmpty =
      (await readdir('/var/lib/apt/lists').catch(() => [])).filter((n) => n.includes('_')).length === 0;
    if (listsAreEmpty) await apt(['update']);
    const args = ['install', '-y', '--no-install-recommends', '--no-remove', ...missing];
    const first = await apt(args);
    if (first === 0 || listsAreEmpty) return first;
    // The lists may be older than what the mirror still has.
    await apt(['update']);
    return apt(args);
  });
}

async function apt(args) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
  const { code } = await run('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=300', ...args], {
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return code;
}

/** Debian starts a service when its package is installed, unless policy-rc.d (invoke-rc.d(8)) says no. */
async function withoutServices(work) {
  const isOurs = existsSync(POLICY) && readFileSync(POLICY, 'utf8') === POLICY_TEXT;
  if (existsSync(POLICY) && !isOurs) return work();
  // Ctrl-C ends apt-get, which has the same terminal; this process must live to remove the file.
  const ignore = () => undefined;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, ignore);
  writeFileSync(POLICY, POLICY_TEXT, { mode: 0o755 });
  try {
    return await work();
  } finally {
    rmSync(POLICY, { force: true });
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(signal, ignore);
  }
}

function lastError(output) {
  const lines = output.trim().split('\n');
  const errors = lines.filter((line) => line.startsWith('E: '));
  return (errors[0] ?? lines.at(-1) ?? 'no reason given').replace(/^E: /, '');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await runMain(async (args) => {
    if (args[0] === LOCKED) return install(args.slice(1));
    await installDebianPackages(await packagesToInstall(args, 'as asked'));
    return 0;
  });
}
