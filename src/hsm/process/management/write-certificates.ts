import pkcs11 from 'pkcs11js';
import { SealgateError } from '../../../errors.ts';
import { printable } from '../../../log/printable.ts';
import { type Certificate, parseCertificate } from '../../../pki/certificate.ts';
import type { ManagementAnswer, ManagementRequest } from '../../management-messages.ts';
import type { TokenSelector } from '../../source-kinds.ts';
import { certificateTemplate } from './certificate-object.ts';
import type { ManagedModule } from './managed-module.ts';
import { attribute, objectsOf } from './managed-objects.ts';
import type { Person } from './person.ts';
import { logIn, openSession } from './token-login.ts';
import { privateKeyFor } from './token-private-keys.ts';

/**
 * Writes certificates to the token, each next to the key it was issued for. All of them are matched before the first is written.
 *
 * @throws SealgateError `key.no-private-key`, those of logging in
 */
export async function writeCertificates(
  module: ManagedModule,
  selector: TokenSelector,
  request: Extract<ManagementRequest, { kind: 'write-certificates' }>,
  person: Person,
): Promise<ManagementAnswer> {
  const slot = module.token(selector);
  const session = openSession(module, slot);
  await logIn(module, slot, session, request.login, person);
  const own = request.certificates.map((der) => {
    const certificate = parseCertificate(Buffer.from(der));
    const key = privateKeyFor(module, session, certificate.publicKey);
    if (key === null) throw withoutKey(slot.nameForPeople(), certificate);
    return { certificate, id: key.id, label: key.label };
  });
  const chain = request.chain.map((der) => {
    const certificate = parseCertificate(Buffer.from(der));
    return { certificate, id: null, label: certificate.subject.text.slice(0, 64) };
  });
  person.working('writing to the token');
  const present = presentCertificates(module, session);
  const missing = [...own, ...chain].filter(({ certificate }) => !present.has(certificate.fingerprint));
  for (const { certificate, id, label } of missing) {
    module.pkcs11.C_CreateObject(session, certificateTemplate(certificate.der, { id, label }));
  }
  const all = own.length + chain.length;
  return { kind: 'write-certificates', written: missing.length, alreadyThere: all - missing.length };
}

/** Fingerprints. What cannot be read is not the same as anything. */
export function presentCertificates(module: ManagedModule, session: Buffer): ReadonlySet<string> {
  const fingerprints = objectsOf(module, session, pkcs11.CKO_CERTIFICATE).flatMap((object) => {
    const der = attribute(module, session, object, pkcs11.CKA_VALUE);
    if (der === null) return [];
    try {
      return [parseCertificate(der).fingerprint];
    } catch (error) {
      if (error instanceof SealgateError) return [];
      throw error;
    }
  });
  return new Set(fingerprints);
}

function withoutKey(token: string, certificate: Certificate): SealgateError {
  return new SealgateError({
    code: 'key.no-private-key',
    duration: 'permanent',
    publicText: `The certificate of ${printable(certificate.subject.text)} belongs to no key on the token ${token}; write it to the token its key was generated on.`,
  });
}
