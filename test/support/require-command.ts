import { existsSync } from 'node:fs';
import { SealgateError } from '../../src/errors.ts';
import { requireProgram } from '../../src/evaluation/debian-packages.ts';

/** Every program that tests talk to, with the Debian package that brings it. */
const PACKAGES = {
  certutil: 'libnss3-tools',
  chromium: 'chromium',
  cmsutil: 'libnss3-tools',
  curl: 'curl',
  dovecot: 'dovecot-imapd',
  fetchmail: 'fetchmail',
  getmail: 'getmail6',
  gpgconf: 'gpgconf',
  gpgsm: 'gpgsm',
  haproxy: 'haproxy',
  ip: 'iproute2',
  mbsync: 'isync',
  msmtp: 'msmtp',
  mutt: 'mutt',
  neomutt: 'neomutt',
  nsenter: 'util-linux',
  offlineimap: 'offlineimap3',
  'opensc-tool': 'opensc',
  openssl: 'openssl',
  pcscd: 'pcscd',
  'piv-tool': 'opensc',
  pk12util: 'libnss3-tools',
  'pinentry-tty': 'pinentry-tty',
  'pkcs11-tool': 'opensc',
  'pkcs15-tool': 'opensc',
  postfix: 'postfix',
  python3: 'python3',
  'redis-server': 'redis-server',
  script: 'bsdutils',
  setpriv: 'util-linux',
  'softhsm2-util': 'softhsm2',
  swaks: 'swaks',
  swtpm: 'swtpm',
  thunderbird: 'thunderbird',
  unshare: 'util-linux',
} as const;

export type Command = keyof typeof PACKAGES;

/**
 * The path of a program that a test needs. A test whose peer is missing fails with the name of the package; it is never
 * skipped.
 *
 * @throws SealgateError `evaluation.program-missing`
 */
export function requireCommand(name: Command): Promise<string> {
  return requireProgram(name, [PACKAGES[name]]);
}

/**
 * The first of several paths where a library may be.
 *
 * @throws SealgateError `evaluation.program-missing`
 */
export function firstFile(paths: readonly string[], what: string, debianPackage: string): string {
  const found = paths.find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new SealgateError({
    code: 'evaluation.program-missing',
    publicText: `${what} is not installed: install it with "apt-get install ${debianPackage}" as root.`,
    duration: 'permanent',
  });
}
