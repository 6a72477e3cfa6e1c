import { execFileSync } from 'node:child_process';
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hash,
  type KeyObject,
  randomBytes,
} from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Certificate } from '../../src/pki/certificate.ts';
import { parseSubjectPublicKeyInfo } from '../../src/pki/public-key.ts';
import {
  basicConstraints,
  distinguishedName,
  extendedKeyUsage,
  generalName,
  type KeyPair,
  keyIds,
  keyUsage,
  makeCertificate,
  subjectAltName,
} from '../pki/make-certificate.ts';
import type { KeyName } from './specification.ts';

/** Keys and certificates of one run, made when they are first needed. */
export type Person = {
  /** Nickname everywhere; the address is `name@example.org`. */
  name: KeyName;
  privateKey: KeyObject;
  certificate: Certificate;
  /** PEM. */
  keyFile: string;
  certificateFile: string;
};

/** By node:crypto, which knows more kinds of keys than Debian's OpenSSL. */
function generate(name: KeyName): KeyPair {
  switch (name) {
    case 'rsa':
      return generateKeyPairSync('rsa', { modulusLength: 2048 });
    case 'rsa-pss':
      return generateKeyPairSync('rsa-pss', { modulusLength: 2048 });
    case 'dsa':
      return generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 });
    case 'P-256':
    case 'P-384':
    case 'P-521':
    case 'brainpoolP256r1':
    case 'brainpoolP384r1':
    case 'brainpoolP512r1':
    case 'secp256k1':
      return generateKeyPairSync('ec', { namedCurve: name });
    case 'dh':
      return finiteFieldPair();
    default:
      // One call for all: the overloads take no union.
      return generateKeyPairSync(name as 'ed25519');
  }
}

/** X9.42, which node:crypto reads and does not make. */
function finiteFieldPair(): KeyPair {
  const arguments_ = ['genpkey', '-algorithm', 'DHX', '-pkeyopt', 'dh_rfc5114:3'];
  const privateKey = createPrivateKey(
    execFileSync('openssl', arguments_, { stdio: ['ignore', 'pipe', 'pipe'] }),
  );
  return { privateKey, publicKey: createPublicKey(privateKey) };
}

/** Bits of keyUsage (RFC 5280 §4.2.1.3), by what the key can do. */
function usage(name: KeyName): number[] {
  if (name === 'rsa') return [DIGITAL_SIGNATURE, KEY_ENCIPHERMENT];
  if (name.startsWith('x') || name === 'dh') return [KEY_AGREEMENT];
  if (name.startsWith('P-') || name.startsWith('brainpool') || name === 'secp256k1')
    return [DIGITAL_SIGNATURE, KEY_AGREEMENT];
  return [name.startsWith('ml-kem') ? KEY_ENCIPHERMENT : DIGITAL_SIGNATURE];
}
const DIGITAL_SIGNATURE = 0;
const KEY_ENCIPHERMENT = 2;
const KEY_AGREEMENT = 4;
const EMAIL_PROTECTION = '1.3.6.1.5.5.7.3.4';

export class People {
  readonly folder: string;
  readonly authority: Certificate;
  /** PEM. */
  readonly authorityFile: string;
  readonly #authorityKey = generate('rsa');
  readonly #people = new Map<KeyName, Person>();
  readonly #sharedKeys = new Map<number, Buffer>();
  readonly #begin = new Date(Math.floor(Date.now() / 1000) * 1000 - DAY);
  #serial = 1;

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), 'sealgate-matrix-'));
    chmodSync(this.folder, 0o700);
    this.authority = this.#certificate('Authority', this.#authorityKey.publicKey, [
      basicConstraints(true),
      keyUsage(5, 6),
    ]);
    this.authorityFile = this.file('authority.pem', pemOf('CERTIFICATE', this.authority.der));
  }

  /** The person with a key of that kind; made when first asked for. */
  person(name: KeyName): Person {
    const known = this.#people.get(name);
    if (known !== undefined) return known;
    const { privateKey, publicKey } = generate(name);
    const certificate = this.#certificate(name, publicKey, [
      keyUsage(...usage(name)),
      extendedKeyUsage(false, EMAIL_PROTECTION),
      subjectAltName(generalName.mailbox(`${name.toLowerCase()}@example.org`)),
    ]);
    const keyFile = this.file(`${name}.key`, privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const certificateFile = this.file(`${name}.pem`, pemOf('CERTIFICATE', certificate.der));
    const person = { name, privateKey, certificate, keyFile, certificateFile };
    this.#people.set(name, person);
    return person;
  }

  /** For recipients without a certificate. */
  sharedKey(octets: number): Buffer {
    const key = this.#sharedKeys.get(octets) ?? randomBytes(octets);
    this.#sharedKeys.set(octets, key);
    return key;
  }

  #certificate(name: string, publicKey: KeyObject, extensions: readonly Buffer[]): Certificate {
    const subject = distinguishedName(['2.5.4.10', 'Example'], ['2.5.4.3', name]);
    const issuer = distinguishedName(['2.5.4.10', 'Example'], ['2.5.4.3', 'Authority']);
    const own = keyIdentifier(publicKey);
    return makeCertificate({
      subject,
      issuer,
      key: publicKey.export({ type: 'spki', format: 'der' }),
      issuerKey: this.#authorityKey,
      scheme: 'rsa-sha256',
      serial: this.#serial++,
      notBefore: this.#begin,
      notAfter: new Date(this.#begin.getTime() + 30 * DAY),
      extensions: [...extensions, ...keyIds(own, keyIdentifier(this.#authorityKey.publicKey))],
    });
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  /** Writes a file of this run and gives its path. */
  file(name: string, octets: Uint8Array | string): string {
    const path = this.path(name);
    writeFileSync(path, octets, { mode: 0o600 });
    return path;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const DAY = 86_400_000;

/** The first method of RFC 5280 §4.2.1.2: SHA-1 of the public key's bits. */
function keyIdentifier(publicKey: KeyObject): Buffer {
  const { subjectPublicKey } = parseSubjectPublicKeyInfo(publicKey.export({ type: 'spki', format: 'der' }));
  return hash('sha1', subjectPublicKey, 'buffer');
}

export function pemOf(label: string, octets: Uint8Array): string {
  const lines = Buffer.from(octets).toString('base64').replace(/.{64}/g, '$&\n').trimEnd();
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}
