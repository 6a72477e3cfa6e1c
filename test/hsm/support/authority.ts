import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Runs a program to its end. Its stderr becomes part of the error. */
export function run(
  program: string,
  args: readonly string[],
  options: { env?: NodeJS.ProcessEnv; input?: string | Buffer } = {},
): Buffer {
  return execFileSync(program, args, {
    env: options.env ?? process.env,
    input: options.input ?? '',
    stdio: ['pipe', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
  });
}

export type KeyKind = 'rsa' | 'p256' | 'p384' | 'p521' | 'brainpool256' | 'ed25519' | 'x25519';

const GENPKEY: Record<KeyKind, readonly string[]> = {
  rsa: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  p256: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  p384: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  p521: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521'],
  brainpool256: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:brainpoolP256r1'],
  ed25519: ['-algorithm', 'ED25519'],
  x25519: ['-algorithm', 'X25519'],
};

export type CertificateWish = {
  address: string;
  keyUsage?: string;
  extendedKeyUsage?: string;
  days?: number;
  serial?: number;
};

/** A throwaway root and intermediate in a folder of their own, made with OpenSSL. */
export class Authority {
  readonly folder = mkdtempSync(join(tmpdir(), 'sealgate-hsm-'));
  #serial = 1000;

  constructor() {
    this.newKey('root.key', 'p256');
    this.newKey('intermediate.key', 'p256');
    const extensions =
      'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n';
    writeFileSync(this.path('ca.ext'), extensions);
    this.openssl('pkey', '-in', this.path('root.key'), '-pubout', '-out', this.path('root.pub'));
    this.openssl(
      'req',
      '-new',
      '-x509',
      '-key',
      this.path('root.key'),
      '-subj',
      '/CN=Test Root',
      '-days',
      '30',
      '-out',
      this.path('root.crt'),
    );
    this.openssl(
      'pkey',
      '-in',
      this.path('intermediate.key'),
      '-pubout',
      '-out',
      this.path('intermediate.pub'),
    );
    this.#issue(
      'intermediate.pub',
      'intermediate.crt',
      '/CN=Test Intermediate',
      'root',
      this.path('ca.ext'),
      30,
      1,
    );
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  read(name: string): Buffer {
    return readFileSync(this.path(name));
  }

  /** PKCS#8 in PEM, mode 0600. */
  newKey(name: string, kind: KeyKind): string {
    this.openssl('genpkey', ...GENPKEY[kind], '-out', this.path(name));
    return this.path(name);
  }

  /** Certificate for the key in `${name}.key`, written to `${name}.crt`. */
  certify(name: string, wish: CertificateWish): string {
    this.openssl('pkey', '-in', this.path(`${name}.key`), '-pubout', '-out', this.path(`${name}.pub`));
    return this.certifyPublicKey(`${name}.pub`, `${name}.crt`, wish);
  }

  /** Certificate for a public key (PEM) made elsewhere, for example in a token. */
  certifyPublicKey(publicKey: string, certificate: string, wish: CertificateWish): string {
    const extensions = this.path(`${certificate}.ext`);
    writeFileSync(
      extensions,
      [
        'basicConstraints=critical,CA:FALSE',
        `keyUsage=critical,${wish.keyUsage ?? 'digitalSignature,keyEncipherment,keyAgreement'}`,
        `extendedKeyUsage=${wish.extendedKeyUsage ?? 'emailProtection'}`,
        `subjectAltName=email:${wish.address}`,
        '',
      ].join('\n'),
    );
    this.#issue(
      publicKey,
      certificate,
      `/CN=${wish.address}`,
      'intermediate',
      extensions,
      wish.days ?? 10,
      wish.serial ?? this.#serial++,
    );
    return this.path(certificate);
  }

  openssl(...args: readonly string[]): Buffer {
    return run('openssl', args);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #issue(
    publicKey: string,
    certificate: string,
    subject: string,
    issuer: string,
    extensions: string,
    days: number,
    serial: number,
  ): void {
    this.openssl(
      'x509',
      '-new',
      '-force_pubkey',
      this.path(publicKey),
      '-subj',
      subject,
      '-CA',
      this.path(`${issuer}.crt`),
      '-CAkey',
      this.path(`${issuer}.key`),
      '-set_serial',
      String(serial),
      '-days',
      String(days),
      '-extfile',
      extensions,
      '-out',
      this.path(certificate),
    );
  }
}
