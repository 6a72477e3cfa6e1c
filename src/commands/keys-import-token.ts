import { resolve } from 'node:path';
import type { Config } from '../config/load.ts';
import { SealgateError } from '../errors.ts';
import { type Certificate, parseCertificate } from '../pki/certificate.ts';
import { checkCertificate, requireGood } from './certificate-checks.ts';
import type { KeyFileKind } from './key-file-kind.ts';
import { passwordSource } from './key-files.ts';
import { requireKeyName } from './key-subject.ts';
import type { Imported, ImportOptions } from './keys-import.ts';
import { ownCertificates } from './own-certificates.ts';
import { secretSource } from './secret-options.ts';
import { readCertificateFiles } from './smime-files.ts';
import { askToken, tokenPlace } from './token-options.ts';

/** Private keys are read in the token's process, never here. */
export async function importIntoToken(
  path: string,
  kind: KeyFileKind,
  options: ImportOptions,
  config: Config | null,
): Promise<Imported[]> {
  const place = await tokenPlace(options, config);
  const further = await readCertificateFiles(options.intermediate ?? []);
  const login = { pin: secretSource('pin', options, place.pin), useLastTry: options.useLastTry === true };
  const check = (certificate: Certificate, chain: readonly Certificate[]) =>
    checkCertificate(certificate, chain, options, config, new Date());
  if (kind === 'certificates') {
    const { own, chain } = ownCertificates(await readCertificateFiles([path]));
    const written: Imported[] = [];
    for (const certificate of own) {
      const checks = await check(certificate, [...chain, ...further]);
      requireGood(checks, options);
      const name = certificate.mailboxes[0] ?? certificate.subject.text;
      written.push({ name, certificate, checks, how: 'the certificate was put to its key' });
    }
    await askToken<'write-certificates'>(place, {
      kind: 'write-certificates',
      certificates: own.map(({ der }) => der),
      chain: [...chain, ...further].map(({ der }) => der),
      login,
    });
    return written;
  }
  const certificateFile = resolve(options.certificate ?? path);
  if (options.strict === true) {
    const { own, chain } = ownCertificates(await certificatesBefore(kind, certificateFile));
    for (const certificate of own) requireGood(await check(certificate, [...chain, ...further]), options);
  }
  const password = await passwordSource(path, kind, options);
  const { keys } = await askToken<'import-keys'>(place, {
    kind: 'import-keys',
    source:
      kind === 'pkcs12'
        ? { kind, file: path, password }
        : { kind: 'pem', key: path, certificate: certificateFile, passphrase: password },
    label: options.name === undefined ? null : requireKeyName(options.name),
    extractable: options.exportable === true,
    login,
  });
  const imported: Imported[] = [];
  for (const { label: name, certificate: der, chain, how } of keys) {
    const certificate = parseCertificate(Buffer.from(der));
    const issuers = chain.map((one) => parseCertificate(Buffer.from(one)));
    const checks = await check(certificate, [...issuers, ...further]);
    imported.push({ name, certificate, checks, how: HOW[how] });
  }
  return imported;
}

const HOW = {
  created: 'written to the token',
  unwrapped: 'written to the token, encrypted on the way',
  'already-there': 'the key is on the token already; its certificates were completed',
} as const;

/** What is in a PKCS#12 file for a token is seen in the token's process alone. @throws SealgateError `command.strict` */
async function certificatesBefore(
  kind: 'pkcs12' | 'private-key',
  certificateFile: string,
): Promise<readonly Certificate[]> {
  if (kind === 'private-key') return await readCertificateFiles([certificateFile]);
  throw new SealgateError({
    code: 'command.strict',
    duration: 'permanent',
    publicText:
      'What is in a PKCS#12 file for a token cannot be checked before it is written; import it without --strict, or give key and certificate as PEM files.',
  });
}
