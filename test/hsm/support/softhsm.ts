import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Authority, type CertificateWish, run } from './authority.ts';

const MODULES = [
  '/usr/lib/softhsm/libsofthsm2.so',
  '/usr/lib64/softhsm/libsofthsm2.so',
  '/usr/lib/pkcs11/libsofthsm2.so',
];

/** SoftHSM2's library; the tests cannot run without it. */
export const softhsmModule: string =
  MODULES.find((path) => existsSync(path)) ?? 'libsofthsm2.so is not installed';

export type NewKey = {
  id: string;
  label: string;
  type: 'rsa:2048' | 'EC:prime256v1';
  /** CKA_ALWAYS_AUTHENTICATE. */
  alwaysAuthenticate?: boolean;
};

/** A folder of SoftHSM2 tokens. Its configuration is known only to the programs it is passed to. */
export class SoftHsm {
  readonly folder = mkdtempSync(join(tmpdir(), 'sealgate-softhsm-'));
  readonly environment: Readonly<Record<string, string>>;

  constructor() {
    const configuration = join(this.folder, 'softhsm2.conf');
    const tokens = join(this.folder, 'tokens');
    mkdirSync(tokens);
    writeFileSync(
      configuration,
      `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`,
    );
    this.environment = { SOFTHSM2_CONF: configuration };
  }

  /** PINs of tests travel in arguments here: these tools have no better way, and the tokens live for seconds. */
  newToken(label: string, pin: string): void {
    const pins = ['--so-pin', `so-${pin}`, '--pin', pin];
    run('softhsm2-util', ['--init-token', '--free', '--label', label, ...pins], { env: this.#env() });
  }

  tool(token: string, pin: string, ...args: readonly string[]): Buffer {
    const login = ['--token-label', token, '--login', '--pin', pin];
    return run('pkcs11-tool', ['--module', softhsmModule, ...login, ...args], { env: this.#env() });
  }

  /** A key pair generated inside the token, never extractable, with a certificate next to it. */
  newKey(token: string, pin: string, key: NewKey, authority: Authority, wish: CertificateWish): void {
    const usage = ['--usage-sign', key.type.startsWith('rsa') ? '--usage-decrypt' : '--usage-derive'];
    if (key.alwaysAuthenticate === true) usage.push('--always-auth');
    const names = ['--id', key.id, '--label', key.label];
    this.tool(token, pin, '--keypairgen', '--key-type', key.type, ...names, ...usage, '--sensitive');
    this.writeCertificate(token, pin, key, this.certify(token, pin, key.id, authority, wish), authority);
  }

  /** Path of a certificate (PEM) for the public key that the token shows under an id. */
  certify(token: string, pin: string, id: string, authority: Authority, wish: CertificateWish): string {
    const name = `${token}-${id}`;
    const der = authority.path(`${name}.pub.der`);
    this.tool(token, pin, '--read-object', '--type', 'pubkey', '--id', id, '-o', der);
    authority.openssl('pkey', '-pubin', '-inform', 'DER', '-in', der, '-out', authority.path(`${name}.pub`));
    return authority.certifyPublicKey(`${name}.pub`, `${name}.crt`, wish);
  }

  /** A private key made elsewhere: `${name}.key` of the authority, certified in `${name}.crt`. No public key object. */
  importKey(
    token: string,
    pin: string,
    key: { id: string; label: string; name: string },
    authority: Authority,
  ): void {
    const der = authority.path(`${key.name}.key.der`);
    authority.openssl('pkey', '-in', authority.path(`${key.name}.key`), '-outform', 'DER', '-out', der);
    const names = ['--id', key.id, '--label', key.label];
    this.tool(
      token,
      pin,
      '--write-object',
      der,
      '--type',
      'privkey',
      ...names,
      '--usage-sign',
      '--usage-derive',
    );
    this.writeCertificate(token, pin, key, authority.path(`${key.name}.crt`), authority);
  }

  writeCertificate(
    token: string,
    pin: string,
    key: { id: string; label: string },
    certificate: string,
    authority: Authority,
  ): void {
    const der = `${certificate}.der`;
    authority.openssl('x509', '-in', certificate, '-outform', 'DER', '-out', der);
    const names = ['--id', key.id, '--label', key.label];
    this.tool(token, pin, '--write-object', der, '--type', 'cert', ...names);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #env(): NodeJS.ProcessEnv {
    return { ...process.env, ...this.environment };
  }
}
