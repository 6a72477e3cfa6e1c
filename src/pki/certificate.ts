import { createHash, type KeyObject } from 'node:crypto';
import { universal } from '../asn1/element.ts';
import { readWhole } from '../asn1/reader.ts';
import { type SequenceReader, sequenceOf } from '../asn1/sequence-reader.ts';
import { timeValue } from '../asn1/times.ts';
import { integerOctets, smallInteger, wholeBitString } from '../asn1/values.ts';
import { limits } from '../limits.ts';
import {
  type BasicConstraints,
  type Extension,
  type KeyUsage,
  parseAuthorityKeyIdentifier,
  parseBasicConstraints,
  parseExtendedKeyUsage,
  parseExtensions,
  parseKeyUsage,
  parseSubjectAltName,
  parseSubjectKeyIdentifier,
} from './certificate-extensions.ts';
import { type GeneralName, isMailbox } from './general-name.ts';
import { malformed } from './malformed.ts';
import { type DistinguishedName, isEmptyName, parseName } from './name.ts';
import { importPublicKey, parseSubjectPublicKeyInfo } from './public-key.ts';

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
  readonly basicConstraints: BasicConstraints | null;
  readonly subjectKeyIdentifier: Buffer | null;
  readonly authorityKeyIdentifier: Buffer | null;
  /** Empty: the extension is absent. */
  readonly subjectAltName: readonly GeneralName[];
  /** rfc822Name and SmtpUTF8Mailbox (RFC 9598) of subjectAltName, as written. */
  readonly mailboxes: readonly string[];
  /** emailAddress attributes of the subject: evidence only where a rule allows it. */
  readonly subjectMailboxes: readonly string[];
  /** SHA-256 over `der`, lower-case hex. */
  readonly fingerprint: string;
}

const oidEmailAddress = '1.2.840.113549.1.9.1';

/**
 * Reads one certificate in DER, strictly: trailing octets, unknown versions, an extension that stands there twice and
 * an outer signature algorithm that differs from the inner one are refused. Extensions of this interface are decoded at
 * once; those that only path validation reads (policies, name constraints) are decoded there, and a broken one fails
 * the path. The result keeps a copy of its own, so it never holds a whole message in memory.
 *
 * Certificates of version 1 (old roots) are read too; as they have no extensions they never pass as an intermediate.
 *
 * @param der octets of one Certificate (RFC 5280 §4.1)
 * @throws SealgateError `asn1.malformed`, `pki.malformed`
 */
export function parseCertificate(der: Buffer): Certificate {
  if (der.length > limits.pki.certificateOctets) throw malformed('a certificate that is too long');
  return new ParsedCertificate(Buffer.from(der));
}

class ParsedCertificate implements Certificate {
  readonly der: Buffer;
  readonly tbs: Buffer;
  readonly serialNumber: Buffer;
  readonly issuer: DistinguishedName;
  readonly subject: DistinguishedName;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly subjectPublicKeyInfo: Buffer;
  readonly keyAlgorithm: string;
  readonly signatureAlgorithm: Buffer;
  readonly signature: Buffer;
  readonly extensions: readonly Extension[];
  readonly keyUsage: ReadonlySet<KeyUsage> | null;
  readonly extendedKeyUsage: readonly string[] | null;
  readonly basicConstraints: BasicConstraints | null;
  readonly subjectKeyIdentifier: Buffer | null;
  readonly authorityKeyIdentifier: Buffer | null;
  readonly subjectAltName: readonly GeneralName[];
  readonly mailboxes: readonly string[];
  readonly subjectMailboxes: readonly string[];
  readonly fingerprint: string;
  #publicKey: KeyObject | null = null;

  constructor(der: Buffer) {
    const outer = sequenceOf(readWhole(der, 'DER'), 'DER', 'a Certificate');
    const toBeSigned = outer.universal(universal.sequence, 'tbsCertificate');
    const signatureAlgorithm = outer.universal(universal.sequence, 'signatureAlgorithm').raw;
    const signature = wholeBitString(outer.next('signatureValue'), 'DER');
    outer.end();

    const tbs = sequenceOf(toBeSigned, 'DER', 'tbsCertificate');
    const version = readVersion(tbs);
    const serialNumber = integerOctets(tbs.next('serialNumber'));
    // RFC 5280 §4.1.1.2: both must be the same, or the signature could be read as another algorithm's.
    if (!tbs.universal(universal.sequence, 'signature').raw.equals(signatureAlgorithm)) {
      throw malformed('signatureAlgorithm differs from tbsCertificate.signature');
    }
    const issuer = parseName(tbs.next('issuer'));
    // RFC 5280 §4.1.2.4.
    if (isEmptyName(issuer)) throw malformed('an empty issuer');
    const validity = tbs.sequence('validity');
    this.notBefore = timeValue(validity.next('notBefore'), 'DER');
    this.notAfter = timeValue(validity.next('notAfter'), 'DER');
    validity.end();
    this.subject = parseName(tbs.next('subject'));
    this.subjectPublicKeyInfo = tbs.universal(universal.sequence, 'subjectPublicKeyInfo').raw;
    // RFC 5280 §4.1.2.8: read over, they mean nothing to anybody.
    const uniqueIds = [tbs.optionalContext(1), tbs.optionalContext(2)];
    if (version === 1 && uniqueIds.some((id) => id !== null))
      throw malformed('unique identifiers in version 1');
    const list = tbs.optionalExplicit(3);
    if (list !== null && version !== 3)
      throw malformed('extensions in a certificate that is not of version 3');
    tbs.end();
    const extensions = list === null ? [] : parseExtensions(list);

    this.der = der;
    this.tbs = toBeSigned.raw;
    this.serialNumber = serialNumber;
    this.issuer = issuer;
    this.keyAlgorithm = parseSubjectPublicKeyInfo(this.subjectPublicKeyInfo).algorithm;
    this.signatureAlgorithm = signatureAlgorithm;
    this.signature = signature;
    this.extensions = extensions;
    this.keyUsage = parseKeyUsage(extensions);
    this.extendedKeyUsage = parseExtendedKeyUsage(extensions);
    this.basicConstraints = parseBasicConstraints(extensions);
    this.subjectKeyIdentifier = parseSubjectKeyIdentifier(extensions);
    this.authorityKeyIdentifier = parseAuthorityKeyIdentifier(extensions);
    this.subjectAltName = parseSubjectAltName(extensions);
    this.mailboxes = this.subjectAltName.filter(isMailbox).map(({ text }) => text);
    this.subjectMailboxes = this.subject.attributes.flatMap(({ type, value }) =>
      type === oidEmailAddress ? [value] : [],
    );
    this.fingerprint = createHash('sha256').update(der).digest('hex');
  }

  get publicKey(): KeyObject {
    this.#publicKey ??= importPublicKey(this.subjectPublicKeyInfo);
    return this.#publicKey;
  }
}

/** `version [0] EXPLICIT Version DEFAULT v1`: 1, 2 or 3. */
function readVersion(tbs: SequenceReader): 1 | 2 | 3 {
  const version = tbs.optionalExplicit(0);
  if (version === null) return 1;
  switch (smallInteger(version)) {
    case 1:
      return 2;
    case 2:
      return 3;
    default:
      // 0 would be the DEFAULT written out.
      throw malformed('a version that does not exist');
  }
}
