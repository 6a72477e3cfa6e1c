import { execFileSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { Folder } from './call-folder.ts';
import type { People } from './people.ts';
import { runForWords, runProgram } from './run-program.ts';
import { FILE_PASSWORD, type KeyFile, type Program, Refusal, type Specification } from './specification.ts';

/** Java's own program for keystores, which have been PKCS#12 files since Java 9. */
export class Keytool implements Program {
  readonly name = 'keytool';
  readonly kinds = ['key-file'] as const;
  readonly version = /"([^"]+)"/.exec(versionText())?.[1] ?? '';
  readonly #people: People;

  constructor(people: People) {
    this.#people = people;
  }

  /** From a file of OpenSSL's, as keytool makes certificates only for keys of its own. */
  async make(message: Specification): Promise<Buffer> {
    if (message.kind !== 'key-file') throw new Error('keytool is for keys');
    const who = this.#people.person(message.key);
    return this.#inFolder(async (folder) => {
      const source = folder.path('source.p12');
      const input = ['-inkey', who.keyFile, '-in', who.certificateFile, '-name', 'key', '-out', source];
      await runProgram('openssl', ['pkcs12', '-export', ...input, '-passout', `pass:${FILE_PASSWORD}`]);
      await importKeystore(source, folder.path('keys.p12'), settings(message));
      return folder.read('keys.p12');
    });
  }

  /** Into a keystore of its own, which OpenSSL opens. */
  async read(_message: Specification, octets: Buffer): Promise<Buffer> {
    return this.#inFolder(async (folder) => {
      const again = folder.path('again.p12');
      await importKeystore(folder.file('keys.p12', octets), again, []);
      const args = ['pkcs12', '-in', again, '-nodes', '-nocerts', '-passin', `pass:${FILE_PASSWORD}`];
      return createPrivateKey(await runProgram('openssl', args)).export({ type: 'pkcs8', format: 'der' });
    });
  }

  async close(): Promise<void> {
    await Promise.resolve();
  }

  async #inFolder(work: (folder: Folder) => Promise<Buffer>): Promise<Buffer> {
    const folder = new Folder(this.#people.folder);
    try {
      return await work(folder);
    } finally {
      folder.remove();
    }
  }
}

async function importKeystore(source: string, target: string, options: readonly string[]): Promise<void> {
  const passwords = ['-srcstorepass', FILE_PASSWORD, '-deststorepass', FILE_PASSWORD];
  const files = [
    '-srckeystore',
    source,
    '-srcstoretype',
    'PKCS12',
    '-destkeystore',
    target,
    '-deststoretype',
    'PKCS12',
  ];
  const { words } = await runForWords('keytool', [
    '-importkeystore',
    '-noprompt',
    ...files,
    ...passwords,
    ...options,
  ]);
  // It ends well when it has imported nothing.
  const problem = /Problem importing entry[\s\S]*?: ([^\n]+)/.exec(words)?.[1];
  if (problem !== undefined) throw new Refusal(problem);
}

/** Java's security properties of the same names. */
function settings({ protection }: KeyFile): string[] {
  switch (protection.kind) {
    case 'default':
      return [];
    case 'legacy':
      return ['-J-Dkeystore.pkcs12.legacy'];
    case 'pbmac1':
      return ['-J-Dkeystore.pkcs12.macAlgorithm=PBEWithHmacSHA256'];
    case 'pbes1':
      return properties(PBES1[protection.key], PBES1[protection.certificates], 'HmacPBESHA1');
    case 'pbes2': {
      const cipher = protection.cipher.toUpperCase().replace(/(\d+)$/, '_$1');
      const name = `PBEWithHmac${protection.prf.toUpperCase()}And${cipher}`;
      return properties(name, name, `HmacPBE${protection.mac.toUpperCase()}`);
    }
  }
}

const PBES1 = {
  '3des': 'PBEWithSHA1AndDESede',
  '2des': 'PBEWithSHA1AndDES2Key',
  'rc2-40': 'PBEWithSHA1AndRC2_40',
  'rc2-128': 'PBEWithSHA1AndRC2_128',
  none: 'NONE',
} as const;

function properties(key: string, certificates: string, mac: string): string[] {
  return [
    `-J-Dkeystore.pkcs12.keyProtectionAlgorithm=${key}`,
    `-J-Dkeystore.pkcs12.certProtectionAlgorithm=${certificates}`,
    `-J-Dkeystore.pkcs12.macAlgorithm=${mac}`,
  ];
}

function versionText(): string {
  return execFileSync('sh', ['-c', 'java -version 2>&1'], { encoding: 'utf8' });
}
