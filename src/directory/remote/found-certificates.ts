import { limits } from '../../limits.ts';
import type { Certificate } from '../../pki/certificate.ts';
import { readCertificates } from '../../pki/certificate-file.ts';
import { mayCertificateEncrypt } from '../../pki/key-purpose.ts';
import { speaksFor } from '../../pki/speaks-for.ts';
import type { RemoteAnswer } from './remote-source.ts';

/** Reasons that a remark has at most. */
const SAID = 3;

/**
 * The certificates in values of attributes: DER (RFC 4523 §4.1), or SignedData with certificates (userSMIMECertificate, RFC 2798
 * §2.8), of which no signature is looked at: what is in a directory is believed because the directory is. Pure.
 *
 * Taken is only what speaks for the very address that was asked for, can be encrypted to and has not expired; certificates of
 * authorities beside them are their chain. What cannot be read is passed over.
 */
export function certificatesIn(
  values: readonly Buffer[],
  address: string,
  at: Date,
  postQuantum: boolean,
): RemoteAnswer {
  const found = new Map<string, Certificate>();
  const chain = new Map<string, Certificate>();
  const reasons = new Set<string>();
  let passedOver = Math.max(0, values.length - limits.directory.answerValues);
  for (const value of values.slice(0, limits.directory.answerValues)) {
    for (const certificate of readable(value)) {
      if (certificate === null) passedOver++;
      else if (certificate.basicConstraints?.cA === true) chain.set(certificate.fingerprint, certificate);
      else {
        const reason = uselessBecause(certificate, address, at, postQuantum);
        if (reason === null) found.set(certificate.fingerprint, certificate);
        else {
          reasons.add(reason);
          passedOver++;
        }
      }
    }
  }
  const newestFirst = [...found.values()].toSorted(
    (one, other) => other.notBefore.getTime() - one.notBefore.getTime(),
  );
  const most = limits.directory.answerCertificates;
  return {
    certificates: newestFirst.slice(0, most),
    chain: [...chain.values()].slice(0, most),
    passedOver: passedOver + Math.max(0, newestFirst.length - most),
    ...(found.size > 0 || reasons.size === 0 ? {} : { remark: [...reasons].slice(0, SAID).join(' ') }),
  };
}

function uselessBecause(
  certificate: Certificate,
  address: string,
  at: Date,
  postQuantum: boolean,
): string | null {
  if (!speaksFor(certificate, address)) return 'The certificate there does not name this address.';
  // One that becomes valid later is taken; it is used from then on.
  const from = certificate.notBefore > at ? certificate.notBefore : at;
  const verdict = mayCertificateEncrypt(certificate, from, postQuantum);
  return verdict.kind === 'may' ? null : verdict.text;
}

function readable(value: Buffer): readonly (Certificate | null)[] {
  try {
    return readCertificates(value).slice(0, limits.directory.answerCertificates);
  } catch {
    return [null];
  }
}
