import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Certificate, parseCertificate } from '../../src/pki/certificate.ts';
import { readCertificates } from '../../src/pki/certificate-file.ts';

const root = resolve(
  process.env.SEALGATE_CORPORA ?? resolve(import.meta.dirname, '..', '..', '..', 'shared', 'corpora'),
);

/** A path in the corpora; fails with a sentence that says what to do when the folder is absent. */
export function corpus(...parts: string[]): string {
  const path = join(root, ...parts);
  if (!existsSync(path)) {
    throw new Error(
      `Test data is missing: ${path}. Set SEALGATE_CORPORA to the folder with pkits, rfc9216 and kim.`,
    );
  }
  return path;
}

/** The one certificate of a file in PEM or DER. */
export function corpusCertificate(...parts: string[]): Certificate {
  const [certificate] = readCertificates(readFileSync(corpus(...parts)));
  if (certificate === undefined) throw new Error(`no certificate in ${parts.join('/')}`);
  return certificate;
}

/** PKITS certificates are in DER; some of them are broken on purpose. */
export function pkitsCertificate(name: string): Certificate {
  return parseCertificate(readFileSync(corpus('pkits', 'certs', `${name}.crt`)));
}

/** RFC 9216 §3 and §6. */
export const rfc9216At = new Date('2026-11-01T00:00:00Z');
