import { createPrivateKey } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DecryptionKey, SigningKey } from '../../../src/cms/keys.ts';
import { runProgram } from '../../../src/evaluation/run-program.ts';
import {
  createThrowawayPki,
  type ThrowawayPki,
  type UserIdentity,
  type UserRequest,
} from '../../../src/evaluation/throwaway-pki.ts';
import type { Certificate } from '../../../src/pki/certificate.ts';
import { decryptionKey, signingKey } from '../../cms/support/software-keys.ts';
import { parsePem } from '../../smime/support/pem.ts';

/** Somebody with a real key, and a certificate made by openssl. */
export type Person = {
  address: string;
  certificate: Certificate;
  signing: SigningKey;
  decryption: DecryptionKey;
  files: UserIdentity;
};

/** People of one throwaway authority for one test file, with openssl at hand to check what they get. */
export class Town {
  readonly pki: ThrowawayPki;
  readonly folder: string;
  #files = 0;

  private constructor(pki: ThrowawayPki, folder: string) {
    this.pki = pki;
    this.folder = folder;
  }

  static async found(): Promise<Town> {
    const folder = await mkdtemp(join(tmpdir(), 'sealgate-pipeline-'));
    return new Town(await createThrowawayPki(join(folder, 'pki')), folder);
  }

  get anchor(): Certificate {
    return parsePem(this.pki.ca.certificate);
  }

  async person(address: string, request: Partial<UserRequest> = {}): Promise<Person> {
    const files = await this.pki.issueUser({ keyType: 'p-256', ...request, address });
    const certificate = parsePem(files.certificate);
    const key = createPrivateKey(files.key);
    const isRsa = key.asymmetricKeyType === 'rsa';
    const scheme = isRsa
      ? ({ kind: 'rsa-pkcs1', digest: 'sha256' } as const)
      : ({ kind: 'ecdsa', digest: 'sha256' } as const);
    return {
      address,
      certificate,
      signing: signingKey(key, certificate, [scheme]),
      decryption: decryptionKey(key, certificate),
      files,
    };
  }

  /** The content of a signed message; throws unless OpenSSL finds the signature good and of this authority. */
  async verified(octets: Buffer): Promise<string> {
    return this.#cms(octets, '-verify', '-CAfile', this.pki.ca.certificateFile);
  }

  /** What is inside for this person, as OpenSSL decrypts it; throws where it cannot. */
  async decrypted(octets: Buffer, { files }: Person): Promise<string> {
    return this.#cms(octets, '-decrypt', '-binary', '-recip', files.certificateFile, '-inkey', files.keyFile);
  }

  /** A mail made by OpenSSL: its header fields before what `openssl cms` writes. */
  async made(header: readonly string[], entity: string, ...args: readonly string[]): Promise<Buffer> {
    const body = await this.#cms(Buffer.from(entity, 'latin1'), ...args);
    return Buffer.from([...header, body].join('\r\n').replace(/\r?\n/g, '\r\n'), 'latin1');
  }

  async #cms(input: Buffer, ...args: readonly string[]): Promise<string> {
    const file = join(this.folder, `octets-${this.#files++}`);
    await writeFile(file, input);
    return (await runProgram('openssl', ['cms', '-in', file, ...args])).stdout.toString('latin1');
  }

  async end(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}
