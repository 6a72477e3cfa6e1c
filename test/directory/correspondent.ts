import type { Harvest } from '../../src/pipeline/ports.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { ecKey, generalName, makeCertificate, subjectAltName } from '../pki/make-certificate.ts';

/** Certificates of correspondents, made to order. The same `key` name is the same key pair in one test file. */

export type Made = {
  issuer?: string;
  /** Whose key signs: a forger names an issuer whose key he does not have. */
  issuerKey?: string;
  key?: string;
  notBefore?: Date;
  notAfter?: Date;
  serial?: number;
  mailboxes?: readonly string[];
};

export const BOB = 'bob@partner.example';

export function correspondent(made: Made = {}): Certificate {
  const { issuer = 'Partner CA', issuerKey = issuer, key = 'bob', mailboxes = [BOB], ...rest } = made;
  return makeCertificate({
    subject: 'Bob',
    issuer,
    key: ecKey(key),
    issuerKey: ecKey(issuerKey),
    extensions: mailboxes.length === 0 ? [] : [subjectAltName(...mailboxes.map(generalName.mailbox))],
    ...rest,
  });
}

export function finding(certificate: Certificate, changed: Partial<Harvest> = {}): Harvest {
  return { address: BOB, certificate, trust: 'verified', capabilities: [], signedAt: null, ...changed };
}
