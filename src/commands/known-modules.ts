import { existsSync } from 'node:fs';
import { basename } from 'node:path';

/** PKCS#11 libraries that come with Linux distributions: where they are, and in which package. */

type KnownModule = { file: string; name: string; debian: string; fedora: string; folders: readonly string[] };

const LIBRARIES = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib'];
const inEach = (subfolder: string) => LIBRARIES.map((folder) => `${folder}/${subfolder}`);

const KNOWN: readonly KnownModule[] = [
  {
    ...{ file: 'opensc-pkcs11.so', name: 'OpenSC', debian: 'opensc', fedora: 'opensc' },
    folders: [...LIBRARIES, ...inEach('pkcs11'), '/Library/OpenSC/lib'],
  },
  {
    ...{ file: 'libsofthsm2.so', name: 'SoftHSM', debian: 'softhsm2', fedora: 'softhsm' },
    folders: [...inEach('softhsm'), ...inEach('pkcs11'), ...LIBRARIES],
  },
  {
    ...{ file: 'libtpm2_pkcs11.so.1', name: 'TPM', debian: 'libtpm2-pkcs11-1', fedora: 'tpm2-pkcs11' },
    folders: [...LIBRARIES, ...inEach('pkcs11')],
  },
  {
    ...{ file: 'libykcs11.so.2', name: 'YubiKey', debian: 'ykcs11', fedora: 'yubico-piv-tool' },
    folders: LIBRARIES,
  },
];

/** Absolute paths of those that are installed, OpenSC first. */
export function installedModules(): readonly string[] {
  return KNOWN.flatMap(({ file, folders }) => {
    const found = folders.map((folder) => `${folder}/${file}`).find((path) => existsSync(path));
    return found === undefined ? [] : [found];
  });
}

/** How a missing library is installed; null: it comes with no distribution. */
export function howToInstall(path: string): string | null {
  const known = KNOWN.find(({ file }) => file === basename(path));
  if (known === undefined) return null;
  const { name, debian, fedora } = known;
  return `install ${name}: “apt-get install ${debian}” on Debian and Ubuntu, “dnf install ${fedora}” on Fedora and Red Hat`;
}

/** Whether the library talks to card readers by PC/SC, as far as its name tells. */
export function usesReaders(path: string): boolean {
  return /opensc|ykcs11|card|piv|eid|asepkcs|etpkcs|gclib|bit4|cryptoki/i.test(basename(path));
}
