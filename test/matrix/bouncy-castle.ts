import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { People, Person } from './people.ts';
import { CONTENT } from './sealgate.ts';
import {
  type Cipher,
  type Derivation,
  type Digest,
  type EnvelopedMessage,
  EVERY_KIND,
  FILE_PASSWORD,
  type KeyFile,
  type KeyName,
  type MailMessage,
  PASSWORD,
  type Program,
  type Recipient,
  Refusal,
  SHARED_KEY_NAME,
  type SignatureAlgorithm,
  type SignedMessage,
  type Signer,
  type Specification,
  USER_KEYING_MATERIAL,
  type Wrap,
} from './specification.ts';

type Argument = readonly [name: string, value?: string | Uint8Array];

/** Bouncy Castle's Java library as Debian has it, in one process for the whole run. */
export class BouncyCastle implements Program {
  readonly name = 'Bouncy Castle';
  readonly kinds = EVERY_KIND;
  readonly version: string;
  readonly #people: People;
  readonly #peer: Peer;

  private constructor(people: People, peer: Peer, version: string) {
    this.#people = people;
    this.#peer = peer;
    this.version = version;
  }

  /** Compiles the small program in bouncy-castle/ into the folder of the run and starts it. */
  static async start(people: People): Promise<BouncyCastle> {
    const source = join(import.meta.dirname, 'bouncy-castle');
    const classes = people.path('classes');
    mkdirSync(classes);
    const libraries = LIBRARIES.map((name) => `/usr/share/java/${name}.jar`);
    const missing = libraries.filter((file) => !existsSync(file));
    if (missing.length > 0) throw new Error(`missing: ${missing.join(' ')}`);
    const files = readdirSync(source).map((name) => join(source, name));
    execFileSync('javac', ['-cp', libraries.join(':'), '-d', classes, ...files], { stdio: 'pipe' });
    const peer = new Peer(spawn('java', ['-cp', [...libraries, classes].join(':'), 'Peer']));
    return new BouncyCastle(people, peer, (await peer.ask('version', [])).toString());
  }

  make(message: Specification): Promise<Buffer> {
    const content: Argument = ['content', CONTENT];
    switch (message.kind) {
      case 'signed':
        return this.#sign(message);
      case 'enveloped':
        return this.#peer.ask('encrypt', [content, ...this.#encryption(message)]);
      case 'compressed':
        return this.#peer.ask('compress', [content]);
      case 'certificates-only': {
        const certificates = [this.#people.person('rsa').certificate];
        if (message.withAuthority) certificates.push(this.#people.authority);
        const args = certificates.map(({ der }): Argument => ['certificate', der]);
        return this.#peer.ask('certificates-only', args);
      }
      case 'mail':
        return this.#peer.ask('mail', [content, ...this.#mail(message)]);
      case 'key-file':
        return this.#keyFile(message);
    }
  }

  async read(message: Specification, octets: Buffer, content: Buffer): Promise<Buffer> {
    const args: Argument[] = [['message', octets]];
    switch (message.kind) {
      case 'signed':
        if (message.detached === true) args.push(['content', content]);
        return this.#peer.ask('verify', args);
      case 'enveloped':
        if (message.authenticated === true) args.push(['authenticated']);
        return this.#peer.ask('decrypt', [...args, ...this.#reader(message.recipients[message.reader ?? 0])]);
      case 'compressed':
        return this.#peer.ask('uncompress', args);
      case 'certificates-only': {
        const found = await this.#peer.ask('read-certificates', args);
        return found.length > 0 ? Buffer.alloc(0) : Buffer.from('nothing');
      }
      case 'mail':
        return this.#peer.ask('read-mail', [
          ...args,
          ['content', CONTENT],
          ...this.#reader(message.recipient),
        ]);
      case 'key-file':
        return this.#peer.ask('read-keystore', [...args, ['password', FILE_PASSWORD]]);
    }
  }

  close(): Promise<void> {
    return this.#peer.close();
  }

  #sign(message: SignedMessage): Promise<Buffer> {
    const args: Argument[] = [['content', CONTENT]];
    args.push(...message.signers.map((signer): Argument => ['signer', this.#signer(signer)]));
    for (const [name, wanted] of [
      ['detached', message.detached],
      ['bare', message.bare],
      ['key-identifier', message.byKeyIdentifier],
      ['stream', message.stream],
    ] as const) {
      if (wanted === true) args.push([name]);
    }
    if (message.countersigner !== undefined)
      args.push(['countersigner', this.#signer(message.countersigner)]);
    return this.#peer.ask('sign', args);
  }

  #signer({ key, algorithm }: Signer): string {
    const who = this.#people.person(key);
    return [privateKeyOf(who), base64(who.certificate.der), signatureName(key, algorithm)].join(',');
  }

  #encryption(message: EnvelopedMessage): Argument[] {
    const { oid, bits } = CIPHERS[message.cipher];
    const algorithm = message.boundKey === true ? CEK_HKDF_SHA256 : oid;
    const args: Argument[] = [['algorithm', algorithm]];
    if (bits !== undefined) args.push(['key-bits', String(bits)]);
    if (message.authenticated === true) args.push(['authenticated']);
    if (message.stream === true) args.push(['stream']);
    args.push(...message.recipients.map((one): Argument => ['recipient', this.#recipient(one)]));
    return args;
  }

  #recipient(recipient: Recipient): string {
    const certificate = (key: KeyName): string => base64(this.#people.person(key).certificate.der);
    switch (recipient.kind) {
      case 'transport':
        return [
          recipient.byKeyIdentifier === true ? 'transport-by-key-identifier' : 'transport',
          certificate(recipient.key),
        ].join(',');
      case 'encapsulation':
        return ['transport', certificate(recipient.key)].join(',');
      case 'oaep': {
        const digests = [javaDigest(recipient.digest), javaDigest(recipient.maskDigest)];
        const label = recipient.label === undefined ? '' : base64(Buffer.from(recipient.label));
        return ['oaep', certificate(recipient.key), ...digests, label].join(',');
      }
      case 'agreement': {
        const scheme = agreementScheme(recipient.derivation, recipient.cofactor === true);
        const wrap = WRAPS[recipient.wrap ?? 'aes256-wrap'];
        const ukm = recipient.ukm === true ? base64(USER_KEYING_MATERIAL) : '';
        const kind = recipient.byKeyIdentifier === true ? 'agreement-by-key-identifier' : 'agreement';
        const plain = recipient.mqv === true ? MQV_SHA256 : scheme;
        const named = recipient.key === 'dh' ? EPHEMERAL_STATIC_DH : plain;
        return [kind, certificate(recipient.key), named, wrap, ukm].join(',');
      }
      case 'shared-key': {
        const key = this.#people.sharedKey(recipient.octets);
        return ['shared-key', base64(SHARED_KEY_NAME), base64(key)].join(',');
      }
      case 'password':
        return ['password', PASSWORD, recipient.digest ?? 'sha1', CIPHERS['aes256-cbc'].oid].join(',');
    }
  }

  #reader(recipient: Recipient | undefined): Argument[] {
    if (recipient === undefined) throw new Error('nobody reads');
    if (recipient.kind === 'shared-key') return [['shared-key', this.#people.sharedKey(recipient.octets)]];
    if (recipient.kind === 'password') return [['password', PASSWORD]];
    const who = this.#people.person(recipient.key);
    return [
      ['key', privateKeyOf(who)],
      ['certificate', who.certificate.der],
    ];
  }

  #mail({ layers, signer, recipient }: MailMessage): Argument[] {
    const args: Argument[] = layers.map((layer) => ['layer', layer]);
    args.push(['from', 'rsa@example.org'], ['signer', this.#signer(signer)]);
    args.push(['recipient', this.#recipient(recipient)], ['algorithm', CIPHERS['aes256-cbc'].oid]);
    return args;
  }

  #keyFile({ key, protection }: KeyFile): Promise<Buffer> {
    const who = this.#people.person(key);
    if (protection.kind === 'pbes2') {
      return this.#peer.ask('write-pbes2', [
        ['cipher', CIPHERS[`${protection.cipher}-cbc`].oid],
        ['prf', protection.prf],
        ['mac', javaDigest(protection.mac)],
        ['password', FILE_PASSWORD],
        ['key', privateKeyOf(who)],
        ['certificate', who.certificate.der],
      ]);
    }
    let type = 'PKCS12';
    if (protection.kind === 'pbes1') {
      type = `PKCS12-${protection.key}-${protection.certificates}`.toUpperCase().replace('RC2-40', '40RC2');
    } else if (protection.kind === 'legacy') {
      type = 'PKCS12-DEF';
    } else if (protection.kind === 'pbmac1') {
      type = 'PKCS12-PBMAC1';
    }
    const certificates = [who.certificate, this.#people.authority];
    return this.#peer.ask('write-keystore', [
      ['type', type],
      ['password', FILE_PASSWORD],
      ['key', privateKeyOf(who)],
      ...certificates.map(({ der }): Argument => ['certificate', der]),
    ]);
  }
}

/** The process: a line for each question, a line for each answer, in order. */
class Peer {
  readonly #child: ChildProcess;
  readonly #waiting: { resolve: (answer: Buffer) => void; reject: (error: Error) => void }[] = [];
  readonly #ended: Promise<void>;

  constructor(child: ChildProcess) {
    this.#child = child;
    const { stdout, stdin } = child;
    if (stdout === null || stdin === null) throw new Error('the process has no pipes');
    stdin.on('error', () => undefined);
    createInterface({ input: stdout }).on('line', (line) => this.#answer(line));
    this.#ended = new Promise((resolve) => {
      child.on('exit', () => {
        for (const { reject } of this.#waiting) reject(new Error('the Java process ended'));
        resolve();
      });
    });
  }

  ask(command: string, args: readonly Argument[]): Promise<Buffer> {
    const texts = args.map(
      ([name, value = '']) => `${name}=${typeof value === 'string' ? value : base64(value)}`,
    );
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin?.write(`${[command, ...texts].join('\t')}\n`);
    });
  }

  #answer(line: string): void {
    const [outcome, text = ''] = line.split(' ');
    const octets = Buffer.from(text, 'base64');
    const next = this.#waiting.shift();
    if (outcome === 'ok') next?.resolve(octets);
    else next?.reject(new Refusal(octets.toString().replace(/\s+/g, ' ').slice(0, 200)));
  }

  close(): Promise<void> {
    this.#child.stdin?.end();
    return this.#ended;
  }
}

/** In Debian's folder of Java libraries. */
const LIBRARIES = ['bcprov', 'bcutil', 'bcpkix', 'bcmail', 'javax.mail', 'javax.activation'];

/** id-alg-cek-hkdf-sha256 (RFC 9709 §3). */
const CEK_HKDF_SHA256 = '1.2.840.113549.1.9.16.3.31';

/** mqvSinglePass-sha256kdf-scheme (RFC 5753 §7.1.4). */
const MQV_SHA256 = '1.3.132.1.15.1';

/** id-alg-ESDH (RFC 3370 §4.1.1). */
const EPHEMERAL_STATIC_DH = '1.2.840.113549.1.9.16.3.5';

const AES = '2.16.840.1.101.3.4.1';
const CAMELLIA = '1.2.392.200011.61.1.1.1';

const CIPHERS: Record<Cipher, { oid: string; bits?: number }> = {
  'aes128-cbc': { oid: `${AES}.2` },
  'aes192-cbc': { oid: `${AES}.22` },
  'aes256-cbc': { oid: `${AES}.42` },
  'aes128-gcm': { oid: `${AES}.6` },
  'aes192-gcm': { oid: `${AES}.26` },
  'aes256-gcm': { oid: `${AES}.46` },
  'aes128-ccm': { oid: `${AES}.7` },
  'aes192-ccm': { oid: `${AES}.27` },
  'aes256-ccm': { oid: `${AES}.47` },
  'chacha20-poly1305': { oid: '1.2.840.113549.1.9.16.3.18' },
  'des-ede3-cbc': { oid: '1.2.840.113549.3.7' },
  'rc2-40-cbc': { oid: '1.2.840.113549.3.2', bits: 40 },
  'rc2-64-cbc': { oid: '1.2.840.113549.3.2', bits: 64 },
  'rc2-128-cbc': { oid: '1.2.840.113549.3.2', bits: 128 },
  'des-cbc': { oid: '1.3.14.3.2.7' },
  'camellia128-cbc': { oid: `${CAMELLIA}.2` },
  'camellia192-cbc': { oid: `${CAMELLIA}.3` },
  'camellia256-cbc': { oid: `${CAMELLIA}.4` },
  'seed-cbc': { oid: '1.2.410.200004.1.4' },
  'idea-cbc': { oid: '1.3.6.1.4.1.188.7.1.1.2' },
  'cast5-cbc': { oid: '1.2.840.113533.7.66.10' },
  'blowfish-cbc': { oid: '1.3.6.1.4.1.3029.1.2' },
  'aria256-cbc': { oid: '1.2.410.200046.1.1.12' },
  'sm4-cbc': { oid: '1.2.156.10197.1.104.2' },
};

const WRAPS: Record<Wrap, string> = {
  'aes128-wrap': `${AES}.5`,
  'aes192-wrap': `${AES}.25`,
  'aes256-wrap': `${AES}.45`,
  'des-ede3-wrap': '1.2.840.113549.1.9.16.3.6',
};

const X963 = ['sha224', 'sha256', 'sha384', 'sha512'];

/** RFC 5753 §7.1.4, RFC 8418 §2.2. */
function agreementScheme({ kind, digest }: Derivation, cofactor: boolean): string {
  if (kind === 'hkdf') return `1.2.840.113549.1.9.16.3.${18 + X963.indexOf(digest)}`;
  if (digest === 'sha1') return `1.3.133.16.840.63.0.${cofactor ? 3 : 2}`;
  return `1.3.132.1.${cofactor ? 14 : 11}.${X963.indexOf(digest)}`;
}

function signatureName(key: KeyName, algorithm: SignatureAlgorithm): string {
  switch (algorithm.kind) {
    case 'of-the-key':
      return key;
    case 'rsa-pss':
      return [
        'PSS',
        javaDigest(algorithm.digest),
        javaDigest(algorithm.maskDigest),
        algorithm.saltOctets,
      ].join(':');
    default: {
      const family = { 'rsa-pkcs1': 'RSA', ecdsa: 'ECDSA', dsa: 'DSA' }[algorithm.kind];
      const digest = algorithm.digest.startsWith('sha3-')
        ? algorithm.digest
        : javaDigest(algorithm.digest).replace('-', '');
      return `${digest.toUpperCase()}with${family}`;
    }
  }
}

/** `SHA-256`, `SHA3-256`, `MD5`. */
function javaDigest(digest: Digest): string {
  return digest.toUpperCase().replace(/^SHA(\d{2,3}|1)$/, 'SHA-$1');
}

function privateKeyOf({ privateKey }: Person): string {
  return base64(privateKey.export({ type: 'pkcs8', format: 'der' }));
}

function base64(octets: Uint8Array): string {
  return Buffer.from(octets).toString('base64');
}
