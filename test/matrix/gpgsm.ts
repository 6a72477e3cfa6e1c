import { execFileSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { agentKey } from './agent-key.ts';
import { Folder } from './call-folder.ts';
import type { People, Person } from './people.ts';
import { askHelp, runProgram } from './run-program.ts';
import { CONTENT } from './sealgate.ts';
import {
  type Cipher,
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

/** GnuPG's S/MIME program. It knows CMS, and nothing of mail. */
export class Gpgsm implements Program {
  readonly name = 'gpgsm';
  readonly kinds = ['signed', 'enveloped', 'compressed', 'certificates-only', 'key-file'] as const;
  readonly version: string;
  readonly #help: string;
  readonly #people: People;
  readonly #home: GnupgHome;
  readonly #known = new Map<KeyName, Promise<void>>();

  constructor(people: People) {
    this.#people = people;
    const printed = execFileSync('gpgsm', ['--version'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.version = / (\d\S*)$/m.exec(printed)?.[1] ?? '';
    this.#help = execFileSync('gpgsm', ['--dump-options'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    this.#home = new GnupgHome(people.path('gnupg'), people);
  }

  async make(message: Specification): Promise<Buffer> {
    switch (message.kind) {
      case 'signed':
        return this.#sign(message);
      case 'enveloped':
        return this.#encrypt(message);
      case 'compressed':
        return askHelp(this.#help, /compress/i, 'compression');
      case 'certificates-only':
        return askHelp(this.#help, /certs-only|degenerate/i, 'messages with certificates only');
      case 'key-file':
        return this.#keyFile(message);
      case 'mail':
        return askHelp(this.#help, /mime/i, 'mail');
    }
  }

  async read(message: Specification, octets: Buffer, content: Buffer): Promise<Buffer> {
    const folder = new Folder(this.#people.folder);
    try {
      const file = folder.file('message', octets);
      const out = folder.path('out');
      switch (message.kind) {
        case 'signed':
          for (const { key } of message.signers) await this.#know(key).catch(() => undefined);
          if (message.detached === true) {
            await this.#home.run(['--verify', file, folder.file('signed', content)]);
            return content;
          }
          await this.#home.run(['--output', out, '--verify', file]);
          return readFileSync(out);
        case 'enveloped': {
          const recipient = message.recipients[message.reader ?? 0];
          if (recipient !== undefined && 'key' in recipient) await this.#know(recipient.key);
          const several = message.recipients.length > 1;
          return several
            ? await this.#openAlone(recipient, file, folder)
            : await this.#home.run(['--decrypt', file]);
        }
        case 'compressed':
          return await this.#home.run(['--decrypt', file]);
        case 'certificates-only':
          await this.#home.run(['--import', file]);
          return Buffer.alloc(0);
        case 'key-file':
          return await this.#readKeyFile(file, folder);
        case 'mail':
          return askHelp(this.#help, /mime/i, 'mail');
      }
    } finally {
      folder.remove();
    }
  }

  async close(): Promise<void> {
    this.#home.close();
    await Promise.resolve();
  }

  /** In a home with one reader's key only: another's would open the message as well. */
  async #openAlone(recipient: Recipient | undefined, file: string, folder: Folder): Promise<Buffer> {
    const home = new GnupgHome(folder.path('home'), this.#people);
    try {
      if (recipient !== undefined && 'key' in recipient) await home.add(this.#people.person(recipient.key));
      return await home.run(['--decrypt', file]);
    } finally {
      home.close();
    }
  }

  /** Brings a person's certificate and key in, once. */
  #know(name: KeyName): Promise<void> {
    const known = this.#known.get(name) ?? this.#home.add(this.#people.person(name));
    this.#known.set(name, known);
    return known;
  }

  async #sign(message: SignedMessage): Promise<Buffer> {
    if (message.bare === true) askHelp(this.#help, /attribute|attr\b/i, 'messages without signed attributes');
    if (message.byKeyIdentifier === true)
      askHelp(this.#help, /keyid\b|subject-key/i, 'signers by key identifier');
    if (message.countersigner !== undefined) askHelp(this.#help, /counter/i, 'countersignatures');
    if (message.attribute === 'receipt-request') askHelp(this.#help, /receipt/i, 'receipt requests');
    const args: string[] = [];
    for (const { key, algorithm } of message.signers) {
      await this.#know(key);
      args.push('--local-user', addressOf(key));
      if (algorithm.kind !== 'of-the-key') args.push('--digest-algo', algorithm.digest);
    }
    args.push(message.detached === true ? '--detach-sign' : '--sign');
    return this.#home.run(args, CONTENT);
  }

  async #encrypt(message: EnvelopedMessage): Promise<Buffer> {
    if (message.boundKey === true) askHelp(this.#help, /hkdf|cek/i, 'keys bound to their algorithm');
    const args = ['--cipher-algo', CIPHERS[message.cipher]];
    for (const recipient of message.recipients) args.push('--recipient', await this.#recipient(recipient));
    return this.#home.run([...args, '--encrypt'], CONTENT);
  }

  async #recipient(recipient: Recipient): Promise<string> {
    switch (recipient.kind) {
      case 'shared-key':
        return askHelp(this.#help, /symmetric|kek/i, 'shared keys');
      case 'password':
        return askHelp(this.#help, /symmetric|pwri/i, 'passwords');
      case 'oaep':
        return askHelp(this.#help, /oaep/i, 'OAEP');
      case 'agreement':
        if (recipient.mqv === true) askHelp(this.#help, /mqv/i, 'Menezes-Qu-Vanstone');
        await this.#know(recipient.key);
        return addressOf(recipient.key);
      case 'transport':
      case 'encapsulation':
        await this.#know(recipient.key);
        return addressOf(recipient.key);
    }
  }

  async #keyFile({ key, protection }: KeyFile): Promise<Buffer> {
    if (protection.kind !== 'default')
      askHelp(this.#help, /p12-(?!charset)|pkcs12-(?!charset)/i, 'the algorithms of PKCS#12');
    await this.#know(key);
    return this.#home.run([...LOOPBACK, '--export-secret-key-p12', addressOf(key)], FILE_PASSWORD);
  }

  /** Into a fresh home; the key comes out again as PKCS#1. */
  async #readKeyFile(file: string, folder: Folder): Promise<Buffer> {
    const home = new GnupgHome(folder.path('home'), this.#people);
    try {
      await home.run([...LOOPBACK, '--import', file], FILE_PASSWORD);
      const listing = (await home.run(['--with-colons', '--list-secret-keys'])).toString();
      const fingerprint = /^fpr:+([0-9A-F]{40}):/m.exec(listing)?.[1];
      if (fingerprint === undefined) throw new Refusal('it imports no secret key');
      const octets = await home.run([...LOOPBACK, '--export-secret-key-raw', fingerprint], FILE_PASSWORD);
      return createPrivateKey({ key: octets, format: 'der', type: 'pkcs1' }).export({
        type: 'pkcs8',
        format: 'der',
      });
    } finally {
      home.close();
    }
  }
}

/** A folder with keys, and the agent that serves it. */
class GnupgHome {
  readonly #path: string;

  constructor(path: string, people: People) {
    this.#path = path;
    mkdirSync(`${path}/private-keys-v1.d`, { mode: 0o700, recursive: true });
    writeFileSync(`${path}/gpg-agent.conf`, 'no-allow-mark-trusted\nallow-loopback-pinentry\n');
    const fingerprint = new X509Certificate(people.authority.der).fingerprint;
    writeFileSync(`${path}/trustlist.txt`, `${fingerprint} S relax\n`);
    const args = ['--homedir', path, ...QUIET, '--import', people.authorityFile];
    execFileSync('gpgsm', args, { stdio: 'ignore' });
  }

  run(args: readonly string[], input: string | Buffer = ''): Promise<Buffer> {
    return runProgram('gpgsm', ['--homedir', this.#path, ...QUIET, ...args], { input });
  }

  async add(person: Person): Promise<void> {
    await this.run(['--import', person.certificateFile]);
    const listing = await this.run([
      '--with-colons',
      '--with-keygrip',
      '--list-keys',
      addressOf(person.name),
    ]);
    const grip = /^grp:+([0-9A-F]{40}):/m.exec(listing.toString())?.[1];
    if (grip === undefined) throw new Refusal('it names no keygrip for this kind of key');
    writeFileSync(`${this.#path}/private-keys-v1.d/${grip}.key`, agentKey(person), { mode: 0o600 });
  }

  close(): void {
    execFileSync('gpgconf', ['--homedir', this.#path, '--kill', 'all'], { stdio: 'ignore' });
  }
}

const QUIET = ['--batch', '--yes', '--disable-crl-checks', '--no-common-certs-import'];
const LOOPBACK = ['--pinentry-mode', 'loopback', '--passphrase-fd', '0'];

function addressOf(name: KeyName): string {
  return `${name.toLowerCase()}@example.org`;
}

const CIPHERS: Record<Cipher, string> = {
  'aes128-cbc': 'AES128',
  'aes192-cbc': 'AES192',
  'aes256-cbc': 'AES256',
  'aes128-gcm': 'AES128-GCM',
  'aes192-gcm': 'AES192-GCM',
  'aes256-gcm': 'AES256-GCM',
  'aes128-ccm': 'AES128-CCM',
  'aes192-ccm': 'AES192-CCM',
  'aes256-ccm': 'AES256-CCM',
  'chacha20-poly1305': 'CHACHA20',
  'des-ede3-cbc': '3DES',
  'rc2-40-cbc': 'RFC2268_40',
  'rc2-64-cbc': 'RFC2268_64',
  'rc2-128-cbc': 'RFC2268_128',
  'des-cbc': 'DES',
  'camellia128-cbc': 'CAMELLIA128',
  'camellia192-cbc': 'CAMELLIA192',
  'camellia256-cbc': 'CAMELLIA256',
  'seed-cbc': 'SEED',
  'idea-cbc': 'IDEA',
  'cast5-cbc': 'CAST5',
  'blowfish-cbc': 'BLOWFISH',
  'aria256-cbc': 'ARIA256',
  'sm4-cbc': 'SM4',
};
