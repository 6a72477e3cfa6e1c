import { createPublicKey, generateKeyPair, randomBytes } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SealgateError } from '../errors.ts';
import { requireProgram } from './debian-packages.ts';
import { runProgram } from './run-program.ts';

/**
 * A certification authority for evaluation and tests, made by `openssl`, so that nothing it issues was written by the
 * code under test. Its folder has mode 0700 and every key in it 0600; whoever made the folder removes it.
 *
 * Never use a key from here for real mail.
 */
export type ThrowawayPki = {
  readonly folder: string;
  readonly ca: { certificate: string; certificateFile: string; keyFile: string };
  /** A key and a certificate for a mail user (RFC 8550 §4.4). */
  issueUser(request: UserRequest): Promise<UserIdentity>;
  /** A TLS server certificate; without names it is for localhost, 127.0.0.1 and ::1, without a type for a P-256 key. */
  issueServer(names?: readonly string[], keyType?: KeyType): Promise<ServerIdentity>;
  /** A user certificate for a key that lives elsewhere (a token): the certificate, PEM. */
  issueForPublicKey(
    publicKeyPem: string,
    request: Omit<UserRequest, 'keyType' | 'password'>,
  ): Promise<string>;
};

export type KeyType = 'rsa-2048' | 'rsa-3072' | 'rsa-4096' | 'p-256' | 'p-384' | 'p-521';
/** What the certificate's key usage allows. */
export type KeyUse = 'sign-and-encrypt' | 'sign' | 'encrypt';

export type UserRequest = {
  /** The mail address the certificate speaks for. */
  address: string;
  /** Common name, printable ASCII; the address without it. */
  name?: string;
  keyType?: KeyType;
  use?: KeyUse;
  /** Of the PKCS#12 file. */
  password?: string;
  /** Validity from now; negative: it was over before it began. */
  days?: number;
  /** URL of the CRL, for the certificate to name; nothing is published there by itself. */
  crl?: string;
};

export type UserIdentity = {
  address: string;
  /** PEM. */
  certificate: string;
  /** PEM, PKCS#8, unencrypted. */
  key: string;
  certificateFile: string;
  keyFile: string;
  /** Key, certificate and CA certificate, protected by `password`. */
  pkcs12File: string;
  password: string;
};

export type ServerIdentity = { cert: string; key: string; certFile: string; keyFile: string };

const DAYS = 30;
const ORGANISATION = 'Sealgate throwaway';

/** @throws SealgateError `evaluation.program-missing` when there is no `openssl`. */
export async function createThrowawayPki(folder: string): Promise<ThrowawayPki> {
  const openssl = await requireProgram('openssl', ['openssl']);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const ca = { certificateFile: join(folder, 'ca.crt'), keyFile: join(folder, 'ca.key') };
  const caPair = await newKeyPair('rsa-2048');
  await writePrivate(ca.keyFile, caPair.privatePem);
  const authority = new Authority(openssl, folder, ca);
  const caCertificate = await authority.certifyItself();
  await writeFile(ca.certificateFile, caCertificate);

  const issueForPublicKey: ThrowawayPki['issueForPublicKey'] = (publicPem, request) => {
    const extensions = userExtensions(request, isRsa(publicPem));
    return authority.certify(request.name ?? asciiName(request.address), publicPem, extensions, request.days);
  };
  return {
    folder,
    ca: { ...ca, certificate: caCertificate },
    issueForPublicKey,
    async issueUser(request) {
      const pair = await newKeyPair(request.keyType ?? 'rsa-2048');
      const certificate = await issueForPublicKey(pair.publicPem, request);
      const base = await placeForKey(join(folder, fileName(request)), pair.privatePem);
      const identity: UserIdentity = {
        address: request.address,
        certificate,
        key: pair.privatePem,
        certificateFile: `${base}.crt`,
        keyFile: `${base}.key`,
        pkcs12File: `${base}.p12`,
        password: request.password ?? randomBytes(12).toString('base64url'),
      };
      await writeFile(identity.certificateFile, certificate);
      await writePkcs12(openssl, identity, ca.certificateFile);
      return identity;
    },
    async issueServer(names = ['localhost', '127.0.0.1', '::1'], keyType = 'p-256') {
      const pair = await newKeyPair(keyType);
      const cert = await authority.certify(names[0] ?? 'localhost', pair.publicPem, serverExtensions(names));
      const base = await placeForKey(join(folder, 'server'), pair.privatePem);
      await writeFile(`${base}.crt`, cert);
      return { cert, key: pair.privatePem, certFile: `${base}.crt`, keyFile: `${base}.key` };
    },
  };
}

/** The one place that asks `openssl x509` for a certificate. */
class Authority {
  readonly #openssl: string;
  readonly #folder: string;
  readonly #ca: { certificateFile: string; keyFile: string };

  constructor(openssl: string, folder: string, ca: { certificateFile: string; keyFile: string }) {
    this.#openssl = openssl;
    this.#folder = folder;
    this.#ca = ca;
  }

  certifyItself(): Promise<string> {
    const extensions = [
      'basicConstraints = critical, CA:TRUE',
      'keyUsage = critical, keyCertSign, cRLSign',
      'subjectKeyIdentifier = hash',
    ];
    return this.#run(`${ORGANISATION} CA`, extensions, ['-key', this.#ca.keyFile], DAYS);
  }

  async certify(name: string, publicPem: string, extensions: string[], days = DAYS): Promise<string> {
    const publicFile = join(this.#folder, `request-${randomBytes(8).toString('hex')}.pub`);
    await writePrivate(publicFile, publicPem);
    const by = ['-force_pubkey', publicFile, '-CA', this.#ca.certificateFile, '-CAkey', this.#ca.keyFile];
    return this.#run(name, extensions, by, days).finally(() => rm(publicFile));
  }

  async #run(name: string, extensions: string[], by: string[], days: number): Promise<string> {
    const extensionFile = join(this.#folder, `request-${randomBytes(8).toString('hex')}.ext`);
    await writePrivate(extensionFile, `${extensions.join('\n')}\n`);
    const args = [
      ...['x509', '-new', '-sha256', '-days', String(days), '-subj', subject(name)],
      // RFC 5280 §4.1.2.2: positive and at most 20 octets.
      ...['-set_serial', `0x4${randomBytes(15).toString('hex')}`, '-extfile', extensionFile, ...by],
    ];
    const { stdout } = await runProgram(this.#openssl, args).finally(() => rm(extensionFile));
    return stdout.toString('latin1');
  }
}

/** RFC 8550 §4.4: what a mail user's certificate says of its use, as an OpenSSL extension section. */
function userExtensions({ address, use = 'sign-and-encrypt', crl }: UserRequest, rsa: boolean): string[] {
  if (!/^[^\s\p{Cc}"\\#$,;]+@[^\s\p{Cc}"\\#$,;]+$/u.test(address)) {
    throw new SealgateError({
      code: 'evaluation.address-unusable',
      publicText: `No throwaway certificate can be made for ${JSON.stringify(address)}: give a plain mail address.`,
      duration: 'permanent',
    });
  }
  // RFC 9598 §3: an address whose local part is not ASCII is an otherName.
  const ascii = /^[\x21-\x7e]+$/.test(address);
  const agreement = rsa ? 'keyEncipherment' : 'keyAgreement';
  const usages: Record<KeyUse, string> = {
    'sign-and-encrypt': `digitalSignature, ${agreement}`,
    sign: 'digitalSignature',
    encrypt: agreement,
  };
  return [
    'basicConstraints = critical, CA:FALSE',
    `keyUsage = critical, ${usages[use]}`,
    'extendedKeyUsage = emailProtection',
    'subjectKeyIdentifier = hash',
    'authorityKeyIdentifier = keyid',
    ...(crl === undefined ? [] : [`crlDistributionPoints = URI:${crl}`]),
    'subjectAltName = @alternatives',
    '[alternatives]',
    ascii ? `email = ${address}` : `otherName = 1.3.6.1.5.5.7.8.9;FORMAT:UTF8,UTF8:${address}`,
  ];
}

function serverExtensions(names: readonly string[]): string[] {
  const alternatives = names.map((name) => (isIP(name) === 0 ? `DNS:${name}` : `IP:${name}`));
  return [
    'basicConstraints = critical, CA:FALSE',
    'keyUsage = critical, digitalSignature',
    'extendedKeyUsage = serverAuth',
    `subjectAltName = ${alternatives.join(', ')}`,
    'subjectKeyIdentifier = hash',
    'authorityKeyIdentifier = keyid',
  ];
}

/** `openssl x509 -subj` takes octets for Latin-1; a name beyond ASCII would come out wrong. */
function asciiName(address: string): string {
  return /^[\x20-\x7e]+$/.test(address) ? address : 'Mail user';
}

function subject(name: string): string {
  if (!/^[\x20-\x7e]+$/.test(name)) throw new Error(`not an ASCII name: ${JSON.stringify(name)}`);
  return `/O=${ORGANISATION}/CN=${name.replace(/[\\/+=]/g, '\\$&')}`;
}

async function writePkcs12(openssl: string, identity: UserIdentity, caFile: string): Promise<void> {
  const { stdout } = await runProgram(
    openssl,
    [
      ...['pkcs12', '-export', '-inkey', identity.keyFile, '-in', identity.certificateFile],
      ...['-certfile', caFile, '-name', asciiName(identity.address), '-passout', 'stdin'],
    ],
    { input: `${identity.password}\n` },
  );
  await writePrivate(identity.pkcs12File, stdout);
}

const makeKeyPair = promisify(generateKeyPair);

async function newKeyPair(type: KeyType): Promise<{ publicPem: string; privatePem: string }> {
  const [family, size] = type.split('-');
  const encodings = {
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  } as const;
  const pair =
    family === 'rsa'
      ? await makeKeyPair('rsa', { modulusLength: Number(size), ...encodings })
      : await makeKeyPair('ec', { namedCurve: `P-${size}`, ...encodings });
  return { publicPem: pair.publicKey, privatePem: pair.privateKey };
}

function isRsa(publicPem: string): boolean {
  return createPublicKey(publicPem).asymmetricKeyType === 'rsa';
}

function fileName({ address, use }: UserRequest): string {
  const suffix = use === undefined || use === 'sign-and-encrypt' ? '' : `.${use}`;
  return `${address.replace(/[^A-Za-z0-9@._-]/g, '_')}${suffix}`;
}

/**
 * Writes the key into a file that was not there before: two certificates for one address, or two that are issued at the same moment, are two
 * sets of files.
 *
 * @returns the path without `.key`
 */
async function placeForKey(wanted: string, privatePem: string): Promise<string> {
  for (let count = 1; ; count++) {
    const base = count === 1 ? wanted : `${wanted}.${count}`;
    try {
      await writeFile(`${base}.key`, privatePem, { mode: 0o600, flag: 'wx' });
      return base;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
  }
}

function writePrivate(file: string, content: string | Buffer): Promise<void> {
  return writeFile(file, content, { mode: 0o600 });
}
