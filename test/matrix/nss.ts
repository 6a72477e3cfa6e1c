import { execFileSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { Folder } from './call-folder.ts';
import type { People } from './people.ts';
import { askHelp, runProgram } from './run-program.ts';
import { CONTENT } from './sealgate.ts';
import {
  type EnvelopedMessage,
  FILE_PASSWORD,
  type KeyFile,
  type KeyName,
  type Program,
  type Recipient,
  Refusal,
  type SignedMessage,
  type Specification,
} from './specification.ts';

/** Mozilla's library by its tools cmsutil, certutil and pk12util. They know CMS, and nothing of mail. */
export class Nss implements Program {
  readonly name = 'NSS';
  readonly kinds = ['signed', 'enveloped', 'compressed', 'certificates-only', 'key-file'] as const;
  readonly version: string;
  readonly #help = helpOf('cmsutil');
  readonly #people: People;
  readonly #database: string;
  readonly #known = new Map<KeyName, Promise<void>>();

  constructor(people: People) {
    this.#people = people;
    this.#database = newDatabase(people.path('nss'), people.authorityFile);
    this.version = libraryVersion();
  }

  async make(message: Specification): Promise<Buffer> {
    switch (message.kind) {
      case 'signed':
        return this.#sign(message);
      case 'enveloped':
        return this.#encrypt(message);
      case 'compressed':
        return askHelp(this.#help, /\bcompress/i, 'compression');
      case 'certificates-only':
        await this.#know('rsa');
        return this.#cmsutil(this.#database, '-O', '-r', message.withAuthority ? 'rsa,authority' : 'rsa');
      case 'key-file':
        return this.#keyFile(message);
      case 'mail':
        return askHelp(this.#help, /\bmime\b/i, 'mail');
    }
  }

  async read(message: Specification, octets: Buffer, content: Buffer): Promise<Buffer> {
    const folder = new Folder(this.#people.folder);
    try {
      const file = folder.file('message', octets);
      switch (message.kind) {
        case 'signed': {
          const apart = message.detached === true ? ['-c', folder.file('signed', content)] : [];
          return await this.#cmsutil(this.#database, '-D', '-u', '4', '-i', file, ...apart);
        }
        case 'enveloped': {
          const recipient = message.recipients[message.reader ?? 0];
          if (recipient !== undefined && 'key' in recipient) await this.#know(recipient.key);
          const several = message.recipients.length > 1;
          const database = several ? await this.#onlyWith(recipient, folder) : this.#database;
          return await this.#cmsutil(database, '-D', '-i', file);
        }
        case 'compressed':
          return await this.#cmsutil(this.#database, '-D', '-i', file);
        case 'certificates-only':
          return await this.#cmsutil(this.#database, '-D', '-i', file);
        case 'key-file':
          return await this.#readKeyFile(file, folder);
        case 'mail':
          return askHelp(this.#help, /\bmime\b/i, 'mail');
      }
    } finally {
      folder.remove();
    }
  }

  async close(): Promise<void> {
    await Promise.resolve();
  }

  /** Brings a person's certificate and key in, once. */
  #know(name: KeyName): Promise<void> {
    const known = this.#known.get(name) ?? this.#add(name, this.#database);
    this.#known.set(name, known);
    return known;
  }

  /** A database with one reader's key only: another's would open the message as well. */
  async #onlyWith(recipient: Recipient | undefined, folder: Folder): Promise<string> {
    const database = newDatabase(folder.path('database'), this.#people.authorityFile);
    if (recipient !== undefined && 'key' in recipient) await this.#add(recipient.key, database);
    return database;
  }

  async #add(name: KeyName, database: string): Promise<void> {
    const { keyFile, certificateFile } = this.#people.person(name);
    const folder = new Folder(this.#people.folder);
    try {
      const file = folder.path('keys.p12');
      const input = ['-inkey', keyFile, '-in', certificateFile, '-name', name];
      await runProgram('openssl', [
        'pkcs12',
        '-export',
        ...input,
        '-out',
        file,
        '-passout',
        `pass:${FILE_PASSWORD}`,
      ]);
      await runProgram('pk12util', ['-d', database, '-i', file, '-W', FILE_PASSWORD, '-K', '']);
      await runProgram('certutil', ['-d', database, '-M', '-n', name, '-t', 'P,P,P']);
    } finally {
      folder.remove();
    }
  }

  async #sign(message: SignedMessage): Promise<Buffer> {
    if (message.bare === true)
      askHelp(this.#help, /without.*attributes/i, 'messages without signed attributes');
    if (message.byKeyIdentifier === true) askHelp(this.#help, /key ?id/i, 'signers by key identifier');
    if (message.countersigner !== undefined) askHelp(this.#help, /counter/i, 'countersignatures');
    if (message.attribute === 'receipt-request') askHelp(this.#help, /receipt/i, 'receipt requests');
    const [signer, second] = message.signers;
    if (signer === undefined) throw new Error('nobody signs');
    const names = ['-N', signer.key];
    if (second !== undefined) names.push('-N', second.key);
    if (signer.algorithm.kind === 'rsa-pss') askHelp(this.#help, /pss/i, 'RSASSA-PSS');
    for (const { key } of message.signers) await this.#know(key);
    const digest = signer.algorithm.kind === 'of-the-key' ? 'SHA512' : signer.algorithm.digest.toUpperCase();
    const detached = message.detached === true ? ['-T'] : [];
    return this.#cmsutil(
      this.#database,
      '-S',
      ...names,
      '-H',
      digest,
      '-G',
      '-P',
      ...detached,
      ...this.#input(),
    );
  }

  async #encrypt(message: EnvelopedMessage): Promise<Buffer> {
    const names: string[] = [];
    for (const recipient of message.recipients) {
      if (!('key' in recipient))
        return askHelp(this.#help, /symmetric|pbe|kek/i, 'recipients without certificate');
      if (recipient.kind === 'oaep') askHelp(this.#help, /oaep/i, 'OAEP');
      await this.#know(recipient.key);
      names.push(`${recipient.key.toLowerCase()}@example.org`);
    }
    return this.#cmsutil(this.#database, '-E', '-r', names.join(','), ...this.#input());
  }

  #input(): string[] {
    return ['-i', this.#people.file('nss.content', CONTENT)];
  }

  #cmsutil(database: string, ...args: readonly string[]): Promise<Buffer> {
    return runProgram('cmsutil', ['-d', database, '-p', '', ...args]);
  }

  async #keyFile({ key, protection }: KeyFile): Promise<Buffer> {
    await this.#know(key);
    const args = ['-d', this.#database, '-n', key, '-W', FILE_PASSWORD, '-K', ''];
    switch (protection.kind) {
      case 'default':
        break;
      case 'legacy':
        return askHelp(helpOf('pk12util'), /legacy/i, 'old programs');
      case 'pbmac1':
        return askHelp(helpOf('pk12util'), /pbmac1/i, 'PBMAC1');
      case 'pbes1':
        args.push('-c', PBES1[protection.key], '-C', PBES1[protection.certificates], '-M', 'SHA-1');
        break;
      case 'pbes2': {
        if (protection.prf !== 'sha256') askHelp(helpOf('pk12util'), /prf/i, 'the function of PBKDF2');
        const cipher = protection.cipher.toUpperCase().replace(/(\d+)$/, '-$1-CBC');
        const mac = protection.mac.toUpperCase().replace('SHA', 'SHA-');
        args.push('-c', cipher, '-C', cipher, '-M', mac);
      }
    }
    const folder = new Folder(this.#people.folder);
    try {
      const file = folder.path('keys.p12');
      await runProgram('pk12util', [...args, '-o', file]);
      return folder.read('keys.p12');
    } finally {
      folder.remove();
    }
  }

  /** Into a fresh database; the key comes out again in a file of its own making, which OpenSSL opens. */
  async #readKeyFile(file: string, folder: Folder): Promise<Buffer> {
    const database = newDatabase(folder.path('database'), this.#people.authorityFile);
    await runProgram('pk12util', ['-d', database, '-i', file, '-W', FILE_PASSWORD, '-K', '']);
    const listing = (await runProgram('certutil', ['-d', database, '-L'])).toString();
    const name = /^(.+?)\s+u,u,u/m.exec(listing)?.[1];
    if (name === undefined) throw new Refusal('it imports no key with a certificate');
    const out = folder.path('again.p12');
    await runProgram('pk12util', ['-d', database, '-o', out, '-n', name, '-W', FILE_PASSWORD, '-K', '']);
    const legacy = ['-provider', 'legacy', '-provider', 'default'];
    const args = ['pkcs12', '-in', out, '-nodes', '-nocerts', ...legacy, '-passin', `pass:${FILE_PASSWORD}`];
    return createPrivateKey(await runProgram('openssl', args)).export({ type: 'pkcs8', format: 'der' });
  }
}

const PBES1 = {
  '3des': 'PKCS #12 V2 PBE With SHA-1 And 3KEY Triple DES-CBC',
  '2des': 'PKCS #12 V2 PBE With SHA-1 And 2KEY Triple DES-CBC',
  'rc2-40': 'PKCS #12 V2 PBE With SHA-1 And 40 Bit RC2 CBC',
  'rc2-128': 'PKCS #12 V2 PBE With SHA-1 And 128 Bit RC2 CBC',
  none: 'NONE',
} as const;

function newDatabase(folder: string, authorityFile: string): string {
  mkdirSync(folder);
  const database = `sql:${folder}`;
  const options = { stdio: 'ignore' } as const;
  execFileSync('certutil', ['-d', database, '-N', '--empty-password'], options);
  const trust = ['-n', 'authority', '-t', 'CT,CT,CT', '-a', '-i', authorityFile];
  execFileSync('certutil', ['-d', database, '-A', ...trust], options);
  return database;
}

function helpOf(program: string): string {
  return execFileSync('sh', ['-c', `${program} -H 2>&1 || true`], { encoding: 'utf8' });
}

/** The tools do not say their version; Debian's package does. */
function libraryVersion(): string {
  const query = ['-W', '-f', '\u0024{Version}', 'libnss3'];
  return execFileSync('dpkg-query', query, { encoding: 'utf8' }).replace(/^\d+:/, '').replace(/-.*$/, '');
}
