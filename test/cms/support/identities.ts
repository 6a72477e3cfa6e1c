import { execFileSync } from 'node:child_process';
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Certificate, parseCertificate } from '../../../src/pki/certificate.ts';

/** Keys and certificates made by `openssl` for one test file; `folder` holds them as PEM for other programs. */
export type Identity = {
  name: string;
  privateKey: KeyObject;
  certificate: Certificate;
  keyFile: string;
  certificateFile: string;
  issuer: Identity | null;
};

export type KeyKind =
  | 'rsa'
  | 'P-256'
  | 'P-384'
  | 'P-521'
  | 'brainpoolP256r1'
  | 'ed25519'
  | 'ed448'
  | 'x25519'
  | 'x448';

const GENERATE: Record<KeyKind, readonly string[]> = {
  rsa: ['-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048'],
  'P-256': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256'],
  'P-384': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384'],
  'P-521': ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-521'],
  brainpoolP256r1: ['-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:brainpoolP256r1'],
  ed25519: ['-algorithm', 'ED25519'],
  ed448: ['-algorithm', 'ED448'],
  x25519: ['-algorithm', 'X25519'],
  x448: ['-algorithm', 'X448'],
};

export class IdentityFolder {
  readonly folder = mkdtempSync(join(tmpdir(), 'sealgate-cms-'));
  readonly authority: Identity;
  #serial = 1;

  constructor() {
    this.authority = this.#issue('authority', 'rsa', null, [
      'basicConstraints=critical,CA:TRUE',
      'keyUsage=critical,keyCertSign,cRLSign',
    ]);
  }

  issue(name: string, kind: KeyKind): Identity {
    const agreement =
      kind.startsWith('x') || kind.startsWith('P') || kind.startsWith('brain') ? ',keyAgreement' : '';
    const transport = kind === 'rsa' ? ',keyEncipherment' : '';
    const signature = kind.startsWith('x') ? '' : 'digitalSignature';
    const usage = `${signature}${agreement}${transport}`.replace(/^,/, '');
    return this.#issue(name, kind, this.authority, [
      `keyUsage=critical,${usage}`,
      'extendedKeyUsage=emailProtection',
      `subjectAltName=email:${name}@example.org`,
    ]);
  }

  #issue(name: string, kind: KeyKind, issuer: Identity | null, extensions: readonly string[]): Identity {
    const path = (suffix: string): string => join(this.folder, `${name}.${suffix}`);
    const keyFile = path('key.pem');
    const certificateFile = path('cert.pem');
    const subject = `/O=Example/CN=${name}`;
    this.openssl('genpkey', ...GENERATE[kind], '-out', keyFile);
    const more = ['subjectKeyIdentifier=hash', ...(issuer === null ? [] : ['authorityKeyIdentifier=keyid'])];
    writeFileSync(path('ext'), [...extensions, ...more].join('\n'));
    const common = ['-days', '30', '-extfile', path('ext'), '-out', certificateFile, '-sha256'];
    const serial = String(this.#serial++);
    if (issuer === null) {
      this.openssl('req', '-new', '-key', keyFile, '-subj', subject, '-out', path('csr'));
      this.openssl('x509', '-req', '-in', path('csr'), '-signkey', keyFile, '-set_serial', serial, ...common);
    } else {
      // A key that cannot sign a request is put in by force.
      this.openssl('pkey', '-in', keyFile, '-pubout', '-out', path('pub.pem'));
      this.openssl('req', '-new', '-key', issuer.keyFile, '-subj', subject, '-out', path('csr'));
      const signer = ['-CA', issuer.certificateFile, '-CAkey', issuer.keyFile, '-set_serial', serial];
      this.openssl(
        'x509',
        '-req',
        '-in',
        path('csr'),
        '-force_pubkey',
        path('pub.pem'),
        ...signer,
        ...common,
      );
    }
    const pem = readFileSync(certificateFile, 'latin1');
    const der = Buffer.from(pem.replace(/-----[A-Z ]+-----/g, ''), 'base64');
    const privateKey = createPrivateKey(readFileSync(keyFile));
    return { name, privateKey, certificate: parseCertificate(der), keyFile, certificateFile, issuer };
  }

  /** Writes octets to a file of this folder and gives its path. */
  file(name: string, octets: Uint8Array): string {
    const path = join(this.folder, name);
    writeFileSync(path, octets);
    return path;
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  openssl(...args: readonly string[]): Buffer {
    return execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
