import type { KeyObject } from 'node:crypto';

/** One attribute of a distinguished name. */
export type NameAttribute = { type: string; value: string };

export type DistinguishedName = {
  /** The Name as encoded; comparison by RFC 5280 §7.1 is in name.ts. */
  der: Buffer;
  attributes: readonly NameAttribute[];
  /** RFC 4514 string for people. */
  text: string;
};

export type KeyUsage =
  | 'digitalSignature'
  | 'nonRepudiation'
  | 'keyEncipherment'
  | 'dataEncipherment'
  | 'keyAgreement'
  | 'keyCertSign'
  | 'cRLSign'
  | 'encipherOnly'
  | 'decipherOnly';

export type Extension = { oid: string; critical: boolean; value: Buffer };

/** A parsed X.509 v3 certificate (RFC 5280 §4.1). Parsed once, immutable, kept. */
export interface Certificate {
  readonly der: Buffer;
  readonly tbs: Buffer;
  /** Content octets of the INTEGER, as encoded. */
  readonly serialNumber: Buffer;
  readonly issuer: DistinguishedName;
  readonly subject: DistinguishedName;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** DER of SubjectPublicKeyInfo. */
  readonly subjectPublicKeyInfo: Buffer;
  /** OID of the key's algorithm, e.g. 1.2.840.113549.1.1.1. */
  readonly keyAlgorithm: string;
  /** For node:crypto; made once on first use. Throws SealgateError `pki.unsupported-key`. */
  readonly publicKey: KeyObject;
  readonly signatureAlgorithm: Buffer;
  readonly signature: Buffer;
  readonly extensions: readonly Extension[];
  /** null: the extension is absent. */
  readonly keyUsage: ReadonlySet<KeyUsage> | null;
  /** OIDs; null: absent. */
  readonly extendedKeyUsage: readonly string[] | null;
  readonly basicConstraints: { cA: boolean; pathLength: number | null } | null;
  readonly subjectKeyIdentifier: Buffer | null;
  readonly authorityKeyIdentifier: Buffer | null;
  /** rfc822Name and SmtpUTF8Mailbox (RFC 9598) of subjectAltName, as written. */
  readonly mailboxes: readonly string[];
  /** emailAddress attributes of the subject: evidence only where a rule allows it. */
  readonly subjectMailboxes: readonly string[];
  /** SHA-256 over `der`, lower-case hex. */
  readonly fingerprint: string;
}
