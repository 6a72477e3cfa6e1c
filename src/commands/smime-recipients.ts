import { SealgateError } from '../errors.ts';
import type { Certificate } from '../pki/certificate.ts';
import { mayCertificateEncrypt } from '../pki/key-purpose.ts';
import { readCertificateFiles } from './smime-files.ts';

/**
 * Certificates to encrypt to. A file may bring its chain along: who issues certificates is no reader of the mail.
 *
 * @throws SealgateError `command.recipient` for a file with none that can be encrypted to now; as `readCertificateFiles`
 */
export async function readRecipientFiles(files: readonly string[], at: Date): Promise<Certificate[]> {
  const found = await Promise.all(files.map((file) => recipientsIn(file, at)));
  return found.flat();
}

async function recipientsIn(file: string, at: Date): Promise<Certificate[]> {
  const all = await readCertificateFiles([file]);
  const people = all.filter(({ basicConstraints }) => basicConstraints?.cA !== true);
  let why = 'It is that of a certificate authority.';
  // Who signs for himself alone is often a CA by the defaults of the program that made it.
  const usable = (all.length === 1 ? all : people).filter((certificate) => {
    const verdict = mayCertificateEncrypt(certificate, at, false);
    if (verdict.kind === 'may-not') why = verdict.text;
    return verdict.kind === 'may';
  });
  if (usable.length > 0) return usable;
  throw new SealgateError({
    code: 'command.recipient',
    duration: 'permanent',
    publicText: `${file} holds no certificate that can be encrypted to. ${why}`,
  });
}
