import { createPublicKey, hash, type KeyObject, sign } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DecryptionKey } from '../../../src/cms/keys.ts';
import { generateKey, type KeyKind } from '../../../src/hsm/key-store/generate-key.ts';
import { cryptoParameters } from '../../../src/hsm/verify-signature.ts';
import { type Certificate, parseCertificate } from '../../../src/pki/certificate.ts';
import { requestSchemeFor, selfSignedCertificate } from '../../../src/pki/certificate-request.ts';
import { SoftwareKeys } from '../../support/software-keys.ts';

export type Person = { privateKey: KeyObject; certificate: Certificate };

/** A key and the certificate it issued for itself. */
export async function person(
  kind: KeyKind,
  name = 'alice',
  validity?: { days: number; from: Date },
): Promise<Person> {
  const privateKey = await generateKey(kind);
  return { privateKey, certificate: await certify(privateKey, name, validity) };
}

export async function certify(
  privateKey: KeyObject,
  name: string,
  validity = { days: 30, from: new Date(Date.now() - 60_000) },
): Promise<Certificate> {
  const publicKey = createPublicKey(privateKey);
  const scheme = requestSchemeFor(publicKey);
  if (scheme === null) throw new Error('a key that signs nothing');
  const der = await selfSignedCertificate(
    { commonName: name, addresses: [`${name}@example.org`], use: 'sign-and-decrypt' },
    {
      publicKey,
      scheme,
      async sign(wanted, data) {
        const { digest, options } = cryptoParameters(wanted);
        return sign(digest, data, { key: privateKey, ...options });
      },
    },
    validity,
  );
  return parseCertificate(der);
}

/** As what a token would unlock a store with. */
export function unlockingKey({ privateKey, certificate }: Person): DecryptionKey {
  const key = new SoftwareKeys().decryptionKey({ label: 'unlock', privateKey, certificate, chain: [] });
  if (key === null) throw new Error('a key that opens nothing');
  return key;
}

/** What tells two private keys apart. */
export function fingerprint(key: KeyObject): string {
  return hash('sha256', key.export({ type: 'pkcs8', format: 'der' }));
}

/** Folders that go at the end. */
export class Folders {
  readonly #made: string[] = [];

  /** A path in a folder of its own; nothing is there. */
  fresh(): string {
    const parent = mkdtempSync(join(tmpdir(), 'sealgate-store-'));
    this.#made.push(parent);
    return join(parent, 'keys');
  }

  remove(): void {
    for (const folder of this.#made) rmSync(folder, { recursive: true, force: true });
  }
}
