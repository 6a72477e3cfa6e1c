import type { KeyObject } from 'node:crypto';

/** PKCS#10 certificate requests (RFC 2986), and certificates that a key issues for itself. */

/** How the request is signed; the members of SignatureScheme in cms/keys.ts. */
export type RequestScheme =
  | { kind: 'rsa-pkcs1'; digest: 'sha256' | 'sha384' | 'sha512' }
  | { kind: 'rsa-pss'; digest: 'sha256' | 'sha384' | 'sha512'; saltOctets: number }
  | { kind: 'ecdsa'; digest: 'sha256' | 'sha384' | 'sha512' }
  | { kind: 'eddsa'; curve: 'Ed25519' | 'Ed448' }
  | { kind: 'ml-dsa'; parameterSet: 'ML-DSA-44' | 'ML-DSA-65' | 'ML-DSA-87' };

/** A private key, wherever it is. ECDSA signatures as DER Ecdsa-Sig-Value. */
export type RequestSigner = {
  publicKey: KeyObject;
  scheme: RequestScheme;
  sign(scheme: RequestScheme, data: Uint8Array): Promise<Buffer>;
};

export type RequestedSubject = {
  /** `CN`; the only attribute that is needed. */
  commonName: string;
  organization?: string;
  organizationalUnit?: string;
  /** Two letters. */
  country?: string;
  /** One at least: rfc822Name, or SmtpUTF8Mailbox (RFC 9598) where the local part is not ASCII. */
  addresses: readonly string[];
  /** Which bits of keyUsage; those of them that the kind of key has. */
  use: 'sign-and-decrypt' | 'sign' | 'decrypt';
};

/** @returns DER of CertificationRequest @throws SealgateError `pki.request-unusable` */
export async function certificateRequest(subject: RequestedSubject, signer: RequestSigner): Promise<Buffer> {
  throw new Error(`${subject.commonName} ${signer.scheme.kind}`);
}

/**
 * For places that need a certificate to begin with; nobody else trusts it.
 *
 * @param validity `days` from `from` on
 * @returns DER of Certificate
 * @throws SealgateError `pki.request-unusable`
 */
export async function selfSignedCertificate(
  subject: RequestedSubject,
  signer: RequestSigner,
  validity: { days: number; from: Date },
): Promise<Buffer> {
  throw new Error(`${subject.commonName} ${signer.scheme.kind} ${validity.days}`);
}
