import * as der from '../asn1/writer.ts';
import type { Certificate } from '../pki/certificate.ts';
import { issuerAndSerial } from './identifiers.ts';
import { agreeOnKey, canAgree, unsupportedRecipient } from './key-agreement.ts';
import { canEncapsulate, encapsulateKey } from './key-encapsulation.ts';
import { canTransportKeys, type KeyTransportName, transportKey } from './key-transport.ts';
import { keyWrapAlgorithm, keyWrapFor, wrapKey } from './key-wrap.ts';
import { otherRecipientTypes } from './oids.ts';
import { passwordRecipientInfo } from './password-recipient.ts';

/** Writes one RecipientInfo (RFC 5652 §6.2). */

export type RecipientRequest = {
  certificate: Certificate;
  /** For RSA keys; PKCS#1 v1.5 when absent, which everybody reads. */
  keyTransport?: KeyTransportName;
};

/** A recipient without a certificate. */
export type SecretRecipient =
  /** `key`: 16, 24 or 32 octets, for AES key wrap (RFC 3565 §2.3.2). */
  | { kind: 'shared-key'; identifier: Uint8Array; key: Uint8Array }
  | { kind: 'password'; password: Uint8Array };

export type WrittenInfo = {
  /** Which version of EnvelopedData it asks for by itself (RFC 5652 §6.1). */
  envelope: 0 | 2 | 3;
  octets: Buffer;
};

/**
 * @param postQuantum whether certificates with ML-KEM keys are served
 * @throws SealgateError `cms.unsupported-recipient`, `pki.unsupported-key`
 */
export async function certificateRecipientInfo(
  { certificate, keyTransport }: RecipientRequest,
  key: Buffer,
  postQuantum: boolean,
): Promise<WrittenInfo> {
  if (canTransportKeys(certificate)) {
    const { algorithm, encryptedKey } = transportKey(keyTransport ?? 'rsa-pkcs1', certificate, key);
    const octets = der.sequence(
      der.integer(0),
      issuerAndSerial(certificate),
      algorithm,
      der.octetString(encryptedKey),
    );
    return { envelope: 0, octets };
  }
  if (canEncapsulate(certificate) && postQuantum) {
    const components = await encapsulateKey(certificate, key);
    const info = der.sequence(der.integer(0), issuerAndSerial(certificate), ...components);
    const other = der.implicitConstructed(4, der.oid(otherRecipientTypes.kem), info);
    return { envelope: 3, octets: other };
  }
  if (!canAgree(certificate)) throw unsupportedRecipient(`key algorithm ${certificate.keyAlgorithm}`);
  const agreed = await agreeOnKey(certificate, key);
  const originatorKey = der.sequence(agreed.originatorAlgorithm, der.bitString(agreed.originatorPublicKey));
  const encryptedKey = der.sequence(issuerAndSerial(certificate), der.octetString(agreed.encryptedKey));
  const body = der.sequence(
    der.integer(3),
    der.explicit(0, der.implicit(1, originatorKey)),
    agreed.algorithm,
    der.sequence(encryptedKey),
  );
  return { envelope: 2, octets: der.implicit(1, body) };
}

/** @throws SealgateError `cms.unsupported-recipient` for a shared key of another length than AES has */
export async function secretRecipientInfo(recipient: SecretRecipient, key: Buffer): Promise<WrittenInfo> {
  if (recipient.kind === 'password') {
    const info = await passwordRecipientInfo(recipient.password, key);
    return { envelope: 3, octets: der.implicit(3, info) };
  }
  const { identifier, key: sharedKey } = recipient;
  if (![16, 24, 32].includes(sharedKey.length)) throw unsupportedRecipient('a shared key of another length');
  const wrap = keyWrapFor(sharedKey.length);
  const info = der.sequence(
    der.integer(4),
    der.sequence(der.octetString(identifier)),
    keyWrapAlgorithm(wrap),
    der.octetString(wrapKey(wrap, sharedKey, key)),
  );
  return { envelope: 2, octets: der.implicit(2, info) };
}
