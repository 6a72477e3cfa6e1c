import { universal } from '../asn1/element.ts';
import { readWhole } from '../asn1/reader.ts';
import { SequenceReader, sequenceOf } from '../asn1/sequence-reader.ts';
import { objectIdentifier } from '../asn1/values.ts';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import { malformed } from './malformed.ts';
import { readPem } from './pem.ts';

const oidSignedData = '1.2.840.113549.1.7.2';
const SEQUENCE_IDENTIFIER = 0x30;

/** RFC 7468 §5: X509 is an old spelling; TRUSTED CERTIFICATE of OpenSSL holds more than a certificate and is refused. */
const CERTIFICATE_LABELS: ReadonlySet<string> = new Set([
  'CERTIFICATE',
  'X509 CERTIFICATE',
  'X.509 CERTIFICATE',
]);
/** RFC 7468 §8 and §9. */
const BUNDLE_LABELS: ReadonlySet<string> = new Set(['PKCS7', 'CMS']);

/**
 * The certificates of a file, in their order: one in DER, a certs-only PKCS #7 bundle in DER, or PEM with any number
 * of both. Private keys, requests and CRLs between them are passed over; a file without any certificate is refused.
 *
 * @throws SealgateError `asn1.malformed`, `pki.malformed`, `pki.no-certificate`
 */
export function readCertificates(octets: Buffer): Certificate[] {
  if (octets.length > limits.pki.bundleOctets) throw malformed('a file of certificates that is too long');
  const found = octets[0] === SEQUENCE_IDENTIFIER ? readDer(octets) : readPemCertificates(octets);
  if (found.length === 0) {
    throw new SealgateError({
      code: 'pki.no-certificate',
      publicText:
        'There is no certificate in the file; it must hold certificates as PEM, DER or PKCS #7 (.p7b).',
      duration: 'permanent',
    });
  }
  return found;
}

function readPemCertificates(octets: Buffer): Certificate[] {
  return readPem(octets.toString('latin1')).flatMap(({ label, der }) => {
    // Windows' certificate services put a bundle between these lines, too.
    if (CERTIFICATE_LABELS.has(label)) return readDer(der);
    return BUNDLE_LABELS.has(label) ? readBundle(der) : [];
  });
}

function readDer(octets: Buffer): Certificate[] {
  // Certificate begins with a SEQUENCE, ContentInfo with an OBJECT IDENTIFIER.
  const first = sequenceOf(readWhole(octets, 'BER'), 'BER').peek();
  const isContentInfo = first?.tagClass === 'universal' && first.tag === universal.objectIdentifier;
  return isContentInfo ? readBundle(octets) : [parseCertificate(octets)];
}

/**
 * The certificates of SignedData (RFC 5652 §5.1), read with the rules of BER. Nothing here is signed or believed: this
 * is a container and no more. Certificates of other forms than X.509 are passed over.
 */
function readBundle(octets: Buffer): Certificate[] {
  const info = sequenceOf(readWhole(octets, 'BER'), 'BER', 'ContentInfo');
  if (objectIdentifier(info.next('contentType')) !== oidSignedData) {
    throw malformed('a PKCS #7 object that is not SignedData');
  }
  const content = info.optionalExplicit(0);
  if (content === null) throw malformed('a SignedData without content');
  info.end();
  const signed = sequenceOf(content, 'BER', 'SignedData');
  signed.universal(universal.integer, 'version');
  signed.universal(universal.set, 'digestAlgorithms');
  signed.universal(universal.sequence, 'encapContentInfo');
  const certificates = signed.optionalContext(0);
  if (certificates === null) return [];
  const list = new SequenceReader(certificates, 'BER');
  const found: Certificate[] = [];
  while (!list.atEnd) {
    const choice = list.next();
    if (choice.tagClass !== 'universal') continue;
    if (found.length >= limits.pki.bundleCertificates) throw malformed('too many certificates in a file');
    found.push(parseCertificate(choice.raw));
  }
  return found;
}
