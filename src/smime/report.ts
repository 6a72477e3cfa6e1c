import type { SignatureCheck } from '../cms/verify.ts';
import type { FieldComparison } from '../mail/header-protection-reading.ts';
import type { Certificate } from '../pki/certificate.ts';
import type { PathReport } from '../pki/path-report.ts';

/**
 * What opening a message found, check by check. A report never judges: src/policy/decide-inbound.ts does.
 * Layers are in the order in which they were met, outermost first.
 */
export type SecurityReport = {
  layers: readonly Layer[];
  /** Absent: no header field is protected. */
  headerProtection?: HeaderProtectionReport;
};

/** Header fields that are protected together with the content (RFC 9788), and what became of those outside. */
export type HeaderProtectionReport = {
  /** `wrapped`: the older form of RFC 8551 §3.1. */
  scheme: 'rfc9788' | 'wrapped';
  /** What the author says: only signed, or meant to be hidden; null: says nothing. */
  kind: 'clear' | 'cipher' | null;
  /** A good signature, whoever made it, covers the fields. */
  signed: boolean;
  /** They were under an encryption. */
  encrypted: boolean;
  /** Which header the reader sees; a clear-signed message stays as it is stored. */
  shown: 'inside' | 'outside';
  /** Whose From the reader sees. With a mismatch that inside needs a valid signature by its address (RFC 9788 §4.4.3). */
  shownFrom: 'inside' | 'outside';
  /** The From inside names another address than the one outside (RFC 9788 §4.4.1.1). */
  fromMismatch: boolean;
  /** The fields that an author writes, by lower-case name, in a fixed order; no values. */
  fields: readonly FieldComparison[];
};

export type Layer = EncryptedLayer | SignedLayer | CompressedLayer;

export type EncryptedLayer = {
  kind: 'encrypted';
  /** Content-encryption algorithm by its usual name: `aes256-cbc`, `aes256-gcm`. */
  algorithm: string;
  /** Whether the algorithm authenticates the content (AEAD). */
  authenticated: boolean;
  outcome: 'opened' | 'no-key' | 'failed';
};

export type CompressedLayer = { kind: 'compressed'; outcome: 'opened' | 'failed' };

export type SignedLayer = {
  kind: 'signed';
  form: 'clear' | 'opaque';
  signatures: readonly SignatureReport[];
  /** certs-only messages have none. */
  certificates: readonly Certificate[];
};

export type SignatureReport = {
  /** null: the certificate is not in the message and not in the pool. */
  signer: Certificate | null;
  algorithm: string;
  /** signingTime attribute; a claim of the signer. */
  signedAt: Date | null;
  /** Over the octets and the signed attributes. */
  signature: 'good' | 'bad' | 'unsupported' | 'no-certificate';
  /** What that rests on, check by check; empty where none could be made. */
  checks: readonly SignatureCheck[];
  path: PathReport | null;
  revocation: 'good' | 'revoked' | 'unchecked';
  /** For people: which certificate was revoked, when and why, or what kept the check from an answer; null: nothing to add. */
  revocationDetail: string | null;
  /** One From address and it is an rfc822Name/SmtpUTF8Mailbox of the signer. */
  speaksFor: 'from' | 'other' | 'unknown';
  /** sMIMECapabilities (RFC 8551 §2.5.2), preferred first, as cms/capabilities.ts writes them; empty when absent. */
  capabilities: readonly string[];
};
