import { execFileSync } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Folder } from './call-folder.ts';
import type { People } from './people.ts';
import { askHelp, runProgram } from './run-program.ts';
import { CONTENT } from './sealgate.ts';
import {
  type Cipher,
  type EnvelopedMessage,
  EVERY_KIND,
  FILE_PASSWORD,
  type KeyFile,
  type MailMessage,
  PASSWORD,
  type Program,
  type Recipient,
  SHARED_KEY_NAME,
  type SignedMessage,
  type Signer,
  type Specification,
} from './specification.ts';

/** `openssl cms` and `openssl pkcs12`. */
export class OpenSsl implements Program {
  readonly name = 'OpenSSL';
  readonly kinds = EVERY_KIND;
  readonly version = execFileSync('openssl', ['version'], { encoding: 'utf8' }).split(' ')[1] ?? '';
  readonly #help = helpOf('cms');
  readonly #pkcs12Help = helpOf('pkcs12');
  readonly #people: People;

  constructor(people: People) {
    this.#people = people;
  }

  async make(message: Specification): Promise<Buffer> {
    return this.#inFolder(async (folder) => {
      const input = folder.file('content', CONTENT);
      switch (message.kind) {
        case 'signed':
          return run('cms', '-sign', ...DER, '-in', input, ...this.#signing(message));
        case 'enveloped':
          return run('cms', '-encrypt', ...DER, '-in', input, ...this.#encryption(message));
        case 'compressed':
          return run('cms', '-compress', ...DER, '-in', input, ...streaming(message.stream));
        case 'certificates-only': {
          const files = ['-certfile', this.#people.person('rsa').certificateFile];
          if (message.withAuthority) files.push('-certfile', this.#people.authorityFile);
          return run('crl2pkcs7', '-nocrl', '-outform', 'DER', ...files);
        }
        case 'mail':
          return this.#mail(message, folder);
        case 'key-file':
          return this.#keyFile(message);
      }
    });
  }

  async read(message: Specification, octets: Buffer, content: Buffer): Promise<Buffer> {
    return this.#inFolder(async (folder) => {
      const input = ['-inform', 'DER', '-in', folder.file('message', octets)];
      const out = folder.path('out');
      const opens = async (...args: readonly string[]): Promise<Buffer> => {
        await run('cms', '-binary', ...input, ...args, '-out', out);
        return readFileSync(out);
      };
      switch (message.kind) {
        case 'signed': {
          const apart = message.detached === true ? ['-content', folder.file('signed', content)] : [];
          return opens('-verify', '-CAfile', this.#people.authorityFile, ...apart);
        }
        case 'enveloped':
          return opens('-decrypt', '-debug_decrypt', ...LEGACY, ...this.#reader(message));
        case 'compressed':
          return opens('-uncompress');
        case 'certificates-only': {
          const printed = await run('pkcs7', ...input, '-print_certs');
          return printed.includes('BEGIN CERTIFICATE') ? Buffer.alloc(0) : printed;
        }
        case 'mail':
          return this.#readMail(message, octets, folder);
        case 'key-file':
          return this.#readKeyFile(folder.file('keys.p12', octets));
      }
    });
  }

  async close(): Promise<void> {
    await Promise.resolve();
  }

  #signing(message: SignedMessage): string[] {
    if (message.countersigner !== undefined) askHelp(this.#help, /counter/i, 'countersignatures');
    const args = message.signers.flatMap((signer) => this.#signer(signer));
    if (message.detached !== true) args.push('-nodetach');
    if (message.bare === true) args.push('-noattr');
    if (message.byKeyIdentifier === true) args.push('-keyid');
    args.push(...streaming(message.stream));
    switch (message.attribute) {
      case undefined:
        break;
      case 'signing-certificate':
      case 'signing-certificate-v2':
        args.push('-cades');
        break;
      case 'receipt-request':
        args.push('-receipt_request_all', '-receipt_request_to', 'rsa@example.org');
        break;
      case 'algorithm-protection':
        // Nothing to ask for: what is not written by itself cannot be had.
        break;
    }
    return args;
  }

  #signer({ key, algorithm }: Signer): string[] {
    const who = this.#people.person(key);
    const args = ['-signer', who.certificateFile, '-inkey', who.keyFile];
    if (algorithm.kind === 'of-the-key') {
      // It knows no default for these.
      const digest = { ed25519: 'sha512', ed448: 'shake256' }[key as string];
      return digest === undefined ? args : [...args, '-md', digest];
    }
    args.push('-md', algorithm.digest);
    if (algorithm.kind === 'rsa-pss') {
      const options = ['rsa_padding_mode:pss', `rsa_mgf1_md:${algorithm.maskDigest}`];
      options.push(`rsa_pss_saltlen:${algorithm.saltOctets}`);
      args.push(...options.flatMap((option) => ['-keyopt', option]));
    }
    return args;
  }

  #encryption(message: EnvelopedMessage): string[] {
    if (message.boundKey === true) askHelp(this.#help, /hkdf|cek/i, 'keys bound to their algorithm');
    const args = [`-${CIPHERS[message.cipher]}`, ...LEGACY, ...streaming(message.stream)];
    return [...args, ...message.recipients.flatMap((recipient) => this.#recipient(recipient))];
  }

  #recipient(recipient: Recipient): string[] {
    const options: string[] = [];
    switch (recipient.kind) {
      case 'shared-key': {
        const key = this.#people.sharedKey(recipient.octets).toString('hex');
        return ['-secretkey', key, '-secretkeyid', SHARED_KEY_NAME.toString('hex')];
      }
      case 'password':
        if (recipient.digest !== null && recipient.digest !== 'sha1')
          askHelp(this.#help, /prf/i, 'the function of PBKDF2');
        return ['-pwri_password', PASSWORD];
      case 'transport':
      case 'encapsulation':
        break;
      case 'oaep':
        options.push('rsa_padding_mode:oaep', `rsa_oaep_md:${recipient.digest}`);
        options.push(`rsa_mgf1_md:${recipient.maskDigest}`);
        if (recipient.label !== undefined)
          options.push(`rsa_oaep_label:${Buffer.from(recipient.label).toString('hex')}`);
        break;
      case 'agreement':
        if (recipient.mqv === true) askHelp(this.#help, /mqv/i, 'Menezes-Qu-Vanstone');
        if (recipient.ukm === true) askHelp(this.#help, /ukm|keying/i, 'user keying material');
        if (recipient.key.startsWith('P-') || recipient.key.startsWith('brainpool')) {
          options.push(`ecdh_kdf_md:${recipient.derivation.digest}`);
          options.push(`ecdh_cofactor_mode:${recipient.cofactor === true ? 1 : 0}`);
        }
        break;
    }
    const args = ['-recip', this.#people.person(recipient.key).certificateFile];
    args.push(...options.flatMap((option) => ['-keyopt', option]));
    if (recipient.kind === 'agreement' && recipient.wrap !== null)
      args.push(`-${recipient.wrap === 'des-ede3-wrap' ? 'des3-wrap' : recipient.wrap}`);
    if ('byKeyIdentifier' in recipient && recipient.byKeyIdentifier === true) args.push('-keyid');
    return args;
  }

  #reader(message: EnvelopedMessage): string[] {
    const recipient = message.recipients[message.reader ?? 0];
    if (recipient === undefined) throw new Error('nobody reads');
    if (recipient.kind === 'password') return ['-pwri_password', PASSWORD];
    if (recipient.kind === 'shared-key') return this.#recipient(recipient);
    const { certificateFile, keyFile } = this.#people.person(recipient.key);
    return ['-recip', certificateFile, '-inkey', keyFile];
  }

  async #mail({ layers, signer, recipient }: MailMessage, folder: Folder): Promise<Buffer> {
    // The other way round than mail is: OpenSSL turns line ends into those of the platform and back.
    let octets: Buffer = Buffer.from(CONTENT.toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
    for (const [i, layer] of layers.entries()) {
      const header = ['-from', 'rsa@example.org', '-to', 'p-256@example.org', '-subject', 'A message'];
      const isLast = i === layers.length - 1;
      const args = ['-in', folder.file(`layer-${i}`, octets), ...(isLast ? header : [])];
      switch (layer) {
        case 'clear':
          octets = await run('cms', '-sign', ...args, ...this.#signer(signer));
          break;
        case 'opaque':
          octets = await run('cms', '-sign', '-nodetach', ...args, ...this.#signer(signer));
          break;
        case 'encrypted':
          octets = await run('cms', '-encrypt', '-aes-256-cbc', ...args, ...this.#recipient(recipient));
          break;
        case 'authenticated':
          octets = await run('cms', '-encrypt', '-aes-256-gcm', ...args, ...this.#recipient(recipient));
          break;
        case 'compressed':
          octets = await run('cms', '-compress', ...args);
          break;
        case 'certificates-only':
          askHelp(this.#help, /certs-only|degenerate/i, 'mail with certificates only');
      }
    }
    return octets;
  }

  async #readMail(message: MailMessage, octets: Buffer, folder: Folder): Promise<Buffer> {
    let inside = octets;
    for (const [i, layer] of message.layers.toReversed().entries()) {
      const out = folder.path(`inside-${i}`);
      const args = ['-inform', 'SMIME', '-in', folder.file(`outside-${i}`, inside), '-out', out];
      switch (layer) {
        case 'clear':
        case 'opaque':
          await run('cms', '-verify', ...args, '-CAfile', this.#people.authorityFile);
          break;
        case 'encrypted':
        case 'authenticated': {
          const recipients = [message.recipient];
          const reader = this.#reader({ kind: 'enveloped', cipher: 'aes256-cbc', recipients });
          await run('cms', '-decrypt', '-debug_decrypt', ...args, ...reader);
          break;
        }
        case 'compressed':
          await run('cms', '-uncompress', ...args);
          break;
        case 'certificates-only':
          await run('cms', '-verify', '-nosigs', '-certsout', out, ...args);
          return CONTENT;
      }
      inside = readFileSync(out);
    }
    return inside;
  }

  async #keyFile({ key, protection }: KeyFile): Promise<Buffer> {
    const who = this.#people.person(key);
    const args = ['-export', '-inkey', who.keyFile, '-in', who.certificateFile, '-name', who.name];
    args.push('-certfile', this.#people.authorityFile, '-passout', `pass:${FILE_PASSWORD}`);
    switch (protection.kind) {
      case 'default':
        break;
      case 'legacy':
        args.push('-legacy');
        break;
      case 'pbmac1':
        askHelp(this.#pkcs12Help, /pbmac1/i, 'PBMAC1');
        break;
      case 'pbes1':
        args.push('-keypbe', PBES1[protection.key], '-certpbe', PBES1[protection.certificates]);
        args.push('-macalg', 'sha1', ...LEGACY);
        break;
      case 'pbes2': {
        if (protection.prf !== 'sha256') askHelp(this.#pkcs12Help, /prf/i, 'the function of PBKDF2');
        const cipher = protection.cipher.replace(/(\d+)$/, '-$1-cbc');
        args.push('-keypbe', cipher, '-certpbe', cipher, '-macalg', protection.mac);
      }
    }
    return run('pkcs12', ...args);
  }

  async #readKeyFile(file: string): Promise<Buffer> {
    const pem = await run(
      'pkcs12',
      '-in',
      file,
      '-nodes',
      '-nocerts',
      ...LEGACY,
      '-passin',
      `pass:${FILE_PASSWORD}`,
    );
    return createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
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

const DER = ['-binary', '-outform', 'DER'];
const LEGACY = ['-provider', 'legacy', '-provider', 'default'];

/** OpenSSL streams by itself where it can. */
function streaming(wanted: boolean | undefined): string[] {
  return [wanted === true ? '-stream' : '-noindef'];
}

const CIPHERS: Record<Cipher, string> = {
  'aes128-cbc': 'aes-128-cbc',
  'aes192-cbc': 'aes-192-cbc',
  'aes256-cbc': 'aes-256-cbc',
  'aes128-gcm': 'aes-128-gcm',
  'aes192-gcm': 'aes-192-gcm',
  'aes256-gcm': 'aes-256-gcm',
  'aes128-ccm': 'aes-128-ccm',
  'aes192-ccm': 'aes-192-ccm',
  'aes256-ccm': 'aes-256-ccm',
  'chacha20-poly1305': 'chacha20-poly1305',
  'des-ede3-cbc': 'des-ede3-cbc',
  'rc2-40-cbc': 'rc2-40-cbc',
  'rc2-64-cbc': 'rc2-64-cbc',
  'rc2-128-cbc': 'rc2-cbc',
  'des-cbc': 'des-cbc',
  'camellia128-cbc': 'camellia-128-cbc',
  'camellia192-cbc': 'camellia-192-cbc',
  'camellia256-cbc': 'camellia-256-cbc',
  'seed-cbc': 'seed-cbc',
  'idea-cbc': 'idea-cbc',
  'cast5-cbc': 'cast5-cbc',
  'blowfish-cbc': 'bf-cbc',
  'aria256-cbc': 'aria-256-cbc',
  'sm4-cbc': 'sm4-cbc',
};

const PBES1 = {
  '3des': 'PBE-SHA1-3DES',
  '2des': 'PBE-SHA1-2DES',
  'rc2-40': 'PBE-SHA1-RC2-40',
  'rc2-128': 'PBE-SHA1-RC2-128',
  none: 'NONE',
} as const;

function run(...args: readonly string[]): Promise<Buffer> {
  return runProgram('openssl', args);
}

/** OpenSSL prints help on standard error. */
function helpOf(command: string): string {
  return execFileSync('sh', ['-c', `openssl ${command} -help 2>&1`], { encoding: 'utf8' });
}
