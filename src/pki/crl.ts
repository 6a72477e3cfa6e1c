import { createHash } from 'node:crypto';
import { universal } from '../asn1/element.ts';
import { readWhole } from '../asn1/reader.ts';
import { sequenceOf } from '../asn1/sequence-reader.ts';
import { isTime, timeValue } from '../asn1/times.ts';
import { smallInteger, wholeBitString } from '../asn1/values.ts';
import { limits } from '../limits.ts';
import { parseExtensions } from './certificate-extensions.ts';
import { CrlEntryIndex } from './crl-entry-index.ts';
import { type CrlExtensions, readCrlExtensions } from './crl-extensions.ts';
import { directoryKey } from './distribution-point.ts';
import { malformed } from './malformed.ts';
import { type DistinguishedName, isEmptyName, parseName } from './name.ts';
import type { RevocationReason } from './revocation-reason.ts';

/** One revoked certificate (RFC 5280 §5.1.2.6). */
export type RevokedEntry = {
  revocationDate: Date;
  reason: RevocationReason;
  /** When the key was last known to be good, by the CA's word (RFC 5280 §5.3.2). */
  invalidityDate: Date | null;
};

/** A parsed CertificateList (RFC 5280 §5.1). Parsed once, immutable, kept; nothing of it is verified. */
export interface CertificateRevocationList extends CrlExtensions {
  readonly der: Buffer;
  readonly tbs: Buffer;
  readonly signatureAlgorithm: Buffer;
  readonly signature: Buffer;
  readonly issuer: DistinguishedName;
  readonly thisUpdate: Date;
  /** RFC 5280 §5.1.2.5 asks for it; null: absent. */
  readonly nextUpdate: Date | null;
  /** Number of entries. */
  readonly size: number;
  /** SHA-256 over `der`, lower-case hex. */
  readonly fingerprint: string;
  /**
   * The entry of one certificate; null: not listed. Where it is listed more than once, an entry that revokes comes
   * before one that takes a hold back.
   *
   * @param serialNumber content octets of the INTEGER
   * @param issuer of the certificate: entries of an indirect CRL belong to several (RFC 5280 §5.3.3)
   */
  find(serialNumber: Buffer, issuer: DistinguishedName): RevokedEntry | null;
}

/**
 * Reads one CRL in DER, strictly. Every entry is looked at once, so that a critical extension of any of them is known
 * (it makes the whole CRL unusable, RFC 5280 §5.3) and a look-up costs the same however long the CRL is.
 *
 * An empty list of entries, which §5.1.2.6 wants absent, is in use and is read. The result keeps a copy of its own.
 *
 * @throws SealgateError `asn1.malformed`, `pki.malformed`
 */
export function parseCrl(der: Buffer): CertificateRevocationList {
  if (der.length > limits.pki.crlOctets) throw malformed('a CRL that is too long');
  return new ParsedCrl(Buffer.from(der));
}

class ParsedCrl implements CertificateRevocationList {
  readonly der: Buffer;
  readonly tbs: Buffer;
  readonly signatureAlgorithm: Buffer;
  readonly signature: Buffer;
  readonly issuer: DistinguishedName;
  readonly thisUpdate: Date;
  readonly nextUpdate: Date | null;
  readonly fingerprint: string;
  readonly authorityKeyIdentifier: CrlExtensions['authorityKeyIdentifier'];
  readonly cRLNumber: CrlExtensions['cRLNumber'];
  readonly baseCRLNumber: CrlExtensions['baseCRLNumber'];
  readonly issuingDistributionPoint: CrlExtensions['issuingDistributionPoint'];
  readonly issuingDistributionPointValue: CrlExtensions['issuingDistributionPointValue'];
  readonly freshestPoints: CrlExtensions['freshestPoints'];
  readonly unknownCritical: readonly string[];
  readonly size: number;
  readonly #entries: CrlEntryIndex;

  constructor(der: Buffer) {
    const outer = sequenceOf(readWhole(der, 'DER'), 'DER', 'a CertificateList');
    const toBeSigned = outer.universal(universal.sequence, 'tbsCertList');
    this.signatureAlgorithm = outer.universal(universal.sequence, 'signatureAlgorithm').raw;
    this.signature = wholeBitString(outer.next('signatureValue'), 'DER');
    outer.end();

    const tbs = sequenceOf(toBeSigned, 'DER', 'tbsCertList');
    const version = tbs.optionalUniversal(universal.integer);
    // RFC 5280 §5.1.2.1: absent (version 1) or 1 (version 2).
    if (version !== null && smallInteger(version) !== 1) throw malformed('a CRL version that does not exist');
    if (!tbs.universal(universal.sequence, 'signature').raw.equals(this.signatureAlgorithm)) {
      throw malformed('signatureAlgorithm differs from tbsCertList.signature');
    }
    this.issuer = parseName(tbs.next('issuer'));
    if (isEmptyName(this.issuer)) throw malformed('a CRL with an empty issuer');
    this.thisUpdate = timeValue(tbs.next('thisUpdate'), 'DER');
    const next = tbs.peek();
    this.nextUpdate = next !== null && isTime(next) ? timeValue(tbs.next(), 'DER') : null;
    const entries = tbs.optionalUniversal(universal.sequence);
    const list = tbs.optionalExplicit(0);
    tbs.end();
    if (list !== null && version === null) throw malformed('extensions in a CRL of version 1');

    const own = readCrlExtensions(list === null ? [] : parseExtensions(list));
    this.authorityKeyIdentifier = own.authorityKeyIdentifier;
    this.cRLNumber = own.cRLNumber;
    this.baseCRLNumber = own.baseCRLNumber;
    this.issuingDistributionPoint = own.issuingDistributionPoint;
    this.issuingDistributionPointValue = own.issuingDistributionPointValue;
    this.freshestPoints = own.freshestPoints;
    const isIndirect = own.issuingDistributionPoint?.indirectCRL ?? false;
    this.#entries = new CrlEntryIndex(entries, this.issuer, {
      mayHaveExtensions: version !== null,
      isIndirect,
    });
    this.size = this.#entries.size;
    this.unknownCritical = [...new Set([...own.unknownCritical, ...this.#entries.unknownCritical])];
    this.der = der;
    this.tbs = toBeSigned.raw;
    this.fingerprint = createHash('sha256').update(der).digest('hex');
  }

  find(serialNumber: Buffer, issuer: DistinguishedName): RevokedEntry | null {
    const key = directoryKey(issuer);
    const mine = this.#entries.bySerial(serialNumber).filter(({ issuers }) => issuers.includes(key));
    const entry = mine.find(({ extensions }) => extensions.reason !== 'removeFromCRL') ?? mine[0];
    if (entry === undefined) return null;
    const { reason, invalidityDate } = entry.extensions;
    return { revocationDate: timeValue(entry.revocationDate, 'DER'), reason, invalidityDate };
  }
}
