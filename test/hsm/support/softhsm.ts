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

/** A folder of SoftHSM2 tokens. Its configuration is known only to the programs it is passed to. */
export class SoftHsm {
  readonly folder = mkdtempSync(join(tmpdir(), 'sealgate-softhsm-'));
  readonly environment: Readonly<Record<string, string>>;

  constructor() {
    const configuration = join(this.folder, 'softhsm2.conf');
    mkdirSync(join(this.folder, 'tokens'));
    writeFileSync(
      configuration,
      `directories.tokendir = ${join(this.folder, 'tokens')}\nobjectstore.backend = file\nlog.level = ERROR\n`,
    );
    this.environment = { SOFTHSM2_CONF: configuration };
  }

  /** PINs of tests travel in arguments here: these tools have no better way, and the tokens live for seconds. */
  newToken(label: string, pin: string): void {
    run(
      'softhsm2-util',
      ['--init-token', '--free', '--label', label, '--so-pin', `so-${pin}`, '--pin', pin],
      { env: this.#env() },
    );
  }

  tool(label: string, pin: string, ...args: readonly string[]): Buffer {
    return run(
      'pkcs11-tool',
      ['--module', softhsmModule, '--token-label', label, '--login', '--pin', pin, ...args],
      { env: this.#env() },
    );
  }

  /** A key pair generated inside the token, never extractable, with a certificate next to it. */
  newKey(
    token: string,
    pin: string,
    key: {
      id: string;
      label: string;
      type: 'rsa:2048' | 'EC:prime256v1' | 'EC:secp384r1';
      alwaysAuthenticate?: boolean;
    },
    authority: Authority,
    wish: CertificateWish,
  ): void {
    const name = `${token}-${key.id}`;
    const usage = key.type.startsWith('rsa') ? '--usage-decrypt' : '--usage-derive';
    this.tool(
      token,
      pin,
      '--keypairgen',
      '--key-type',
      key.type,
      '--id',
      key.id,
      '--label',
      key.label,
      '--usage-sign',
      usage,
      '--sensitive',
      ...(key.alwaysAuthenticate === true ? ['--always-auth'] : []),
    );
    const publicDer = authority.path(`${name}.pub.der`);
    this.tool(token, pin, '--read-object', '--type', 'pubkey', '--id', key.id, '-o', publicDer);
    authority.openssl(
      'pkey',
      '-pubin',
      '-inform',
      'DER',
      '-in',
      publicDer,
      '-out',
      authority.path(`${name}.pub`),
    );
    const certificate = authority.certifyPublicKey(`${name}.pub`, `${name}.crt`, wish);
    authority.openssl('x509', '-in', certificate, '-outform', 'DER', '-out', `${certificate}.der`);
    this.tool(
      token,
      pin,
      '--write-object',
      `${certificate}.der`,
      '--type',
      'cert',
      '--id',
      key.id,
      '--label',
      key.label,
    );
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  #env(): NodeJS.ProcessEnv {
    return { ...process.env, ...this.environment };
  }
}
