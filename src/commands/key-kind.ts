import { SealgateError } from '../errors.ts';
import type { Certificate } from '../pki/certificate.ts';

/** `RSA 3072`, `EC P-256`, `ed25519`. */
export function kindOf(certificate: Pick<Certificate, 'publicKey'> | null): string {
  try {
    const key = certificate?.publicKey;
    const { modulusLength, namedCurve } = key?.asymmetricKeyDetails ?? {};
    return [key?.asymmetricKeyType ?? 'unknown', modulusLength ?? namedCurve].filter(Boolean).join(' ');
  } catch (error) {
    if (error instanceof SealgateError) return 'unknown';
    throw error;
  }
}
