import { createHash } from 'node:crypto';
import { type Element, implicitly, universal } from '../asn1/element.ts';
import { readWhole } from '../asn1/reader.ts';
import { explicitly, type SequenceReader, sequenceOf } from '../asn1/sequence-reader.ts';
import { timeValue } from '../asn1/times.ts';
import {
  enumerated,
  nullValue,
  objectIdentifier,
  octetString,
  smallInteger,
  wholeBitString,
} from '../asn1/values.ts';
import { limits } from '../limits.ts';
import { type Certificate, parseCertificate } from './certificate.ts';
import { type Extension, parseExtensions } from './certificate-extensions.ts';
import { malformed } from './malformed.ts';
import { type DistinguishedName, parseName } from './name.ts';
import { type CertId, parseCertId } from './ocsp-cert-id.ts';
import { oidOcspNonce } from './ocsp-request.ts';
import { parseReason, type RevocationReason } from './revocation-reason.ts';

/** OCSPResponseStatus besides `successful` (RFC 6960 §4.2.1): nothing was said, and nobody has signed it. */
export type OcspRefusal = 'malformedRequest' | 'internalError' | 'tryLater' | 'sigRequired' | 'unauthorized';

/** Whose key has signed: by subject, or by SHA-1 over subjectPublicKey. */
export type ResponderId = { kind: 'byName'; name: DistinguishedName } | { kind: 'byKey'; hash: Buffer };

export type CertStatus =
  | { kind: 'good' }
  | { kind: 'revoked'; revocationTime: Date; reason: RevocationReason }
  | { kind: 'unknown' };

export type SingleResponse = {
  certId: CertId;
  status: CertStatus;
  thisUpdate: Date;
  /** null: newer information is there at any time (RFC 6960 §4.2.2.1). */
  nextUpdate: Date | null;
  /** OIDs of critical singleExtensions; none is processed, so the answer proves nothing. */
  unknownCritical: readonly string[];
};

/** A parsed BasicOCSPResponse (RFC 6960 §4.2.1). Immutable; nothing of it is verified. */
export type BasicOcspResponse = {
  /** DER of ResponseData. */
  tbs: Buffer;
  signatureAlgorithm: Buffer;
  signature: Buffer;
  /** SHA-256 over the BasicOCSPResponse, lower-case hex. */
  fingerprint: string;
  responderId: ResponderId;
  producedAt: Date;
  responses: readonly SingleResponse[];
  /** null: absent. */
  nonce: Buffer | null;
  unknownCritical: readonly string[];
  /** What helps to verify it; nothing in it is believed. */
  certificates: readonly Certificate[];
};

export type OcspResponse =
  | { kind: 'successful'; basic: BasicOcspResponse }
  | { kind: 'refused'; status: OcspRefusal };

const REFUSALS: ReadonlyMap<number, OcspRefusal> = new Map<number, OcspRefusal>([
  [1, 'malformedRequest'],
  [2, 'internalError'],
  [3, 'tryLater'],
  [5, 'sigRequired'],
  [6, 'unauthorized'],
]);

const oidBasic = '1.3.6.1.5.5.7.48.1.1';

/**
 * Reads one OCSPResponse in DER, strictly. The result keeps a copy of its own.
 *
 * @throws SealgateError `asn1.malformed`, `pki.malformed`
 */
export function parseOcspResponse(der: Buffer): OcspResponse {
  if (der.length > limits.pki.ocspResponseOctets) throw malformed('an OCSP response that is too long');
  const response = sequenceOf(readWhole(Buffer.from(der), 'DER'), 'DER', 'an OCSPResponse');
  const status = enumerated(response.next('responseStatus'));
  const wrapped = response.optionalExplicit(0);
  response.end();
  if (status !== 0) {
    const refusal = REFUSALS.get(status);
    // RFC 6960 §4.2.1: where there is no success, there are no octets of a response either.
    if (refusal === undefined || wrapped !== null) throw malformed('an OCSP status that does not exist');
    return { kind: 'refused', status: refusal };
  }
  if (wrapped === null) throw malformed('a successful OCSP response without a response');
  const bytes = sequenceOf(wrapped, 'DER', 'responseBytes');
  const type = objectIdentifier(bytes.next('responseType'));
  const octets = octetString(bytes.next('response'), 'DER');
  bytes.end();
  if (type !== oidBasic) throw malformed('an OCSP response of unknown type');
  return { kind: 'successful', basic: parseBasic(octets) };
}

function parseBasic(der: Buffer): BasicOcspResponse {
  const basic = sequenceOf(readWhole(der, 'DER'), 'DER', 'a BasicOCSPResponse');
  const toBeSigned = basic.universal(universal.sequence, 'tbsResponseData');
  const signatureAlgorithm = basic.universal(universal.sequence, 'signatureAlgorithm').raw;
  const signature = wholeBitString(basic.next('signature'), 'DER');
  const certs = basic.optionalExplicit(0);
  basic.end();

  const data = sequenceOf(toBeSigned, 'DER', 'tbsResponseData');
  const version = data.optionalExplicit(0);
  // v1 is 0. Written out it is a DEFAULT against DER, and it means one thing only.
  if (version !== null && smallInteger(version) !== 0) throw malformed('an OCSP version that does not exist');
  const responderId = parseResponderId(data.next('responderID'));
  const producedAt = generalizedTime(data.next('producedAt'));
  const responses = parseResponses(data.sequence('responses'));
  const list = data.optionalExplicit(1);
  data.end();
  const extensions = list === null ? [] : parseExtensions(list);
  return {
    tbs: toBeSigned.raw,
    signatureAlgorithm,
    signature,
    fingerprint: createHash('sha256').update(der).digest('hex'),
    responderId,
    producedAt,
    responses,
    nonce: parseNonce(extensions),
    unknownCritical: criticalOids(extensions).filter((oid) => oid !== oidOcspNonce),
    certificates: certs === null ? [] : parseCerts(sequenceOf(certs, 'DER', 'certs')),
  };
}

/** `ResponderID ::= CHOICE { byName [1] Name, byKey [2] KeyHash }`, both explicit. */
function parseResponderId(element: Element): ResponderId {
  if (element.tagClass !== 'context') throw malformed('a ResponderID without its tag');
  switch (element.tag) {
    case 1:
      return { kind: 'byName', name: parseName(explicitly(element, 'DER')) };
    case 2:
      return { kind: 'byKey', hash: octetString(explicitly(element, 'DER'), 'DER') };
    default:
      throw malformed('a ResponderID of unknown form');
  }
}

function parseResponses(list: SequenceReader): SingleResponse[] {
  const found: SingleResponse[] = [];
  while (!list.atEnd) {
    if (found.length >= limits.pki.ocspSingleResponses)
      throw malformed('too many answers in one OCSP response');
    found.push(parseSingle(list.sequence('a SingleResponse')));
  }
  return found;
}

function parseSingle(single: SequenceReader): SingleResponse {
  const certId = parseCertId(single.sequence('certID'));
  const status = parseStatus(single.next('certStatus'));
  const thisUpdate = generalizedTime(single.next('thisUpdate'));
  const next = single.optionalExplicit(0);
  const list = single.optionalExplicit(1);
  single.end();
  return {
    certId,
    status,
    thisUpdate,
    nextUpdate: next === null ? null : generalizedTime(next),
    unknownCritical: list === null ? [] : criticalOids(parseExtensions(list)),
  };
}

/** `CertStatus ::= CHOICE { good [0] NULL, revoked [1] RevokedInfo, unknown [2] NULL }`, all implicit. */
function parseStatus(element: Element): CertStatus {
  if (element.tagClass !== 'context') throw malformed('a CertStatus without its tag');
  switch (element.tag) {
    case 0:
      emptyChoice(element);
      return { kind: 'good' };
    case 1: {
      const info = sequenceOf(implicitly(element, universal.sequence), 'DER', 'RevokedInfo');
      const revocationTime = generalizedTime(info.next('revocationTime'));
      const reason = info.optionalExplicit(0);
      info.end();
      return {
        kind: 'revoked',
        revocationTime,
        reason: reason === null ? 'unspecified' : parseReason(reason),
      };
    }
    case 2:
      emptyChoice(element);
      return { kind: 'unknown' };
    default:
      throw malformed('a CertStatus that does not exist');
  }
}

function emptyChoice(element: Element): void {
  if (element.constructed) throw malformed('a NULL with content');
  nullValue(implicitly(element, universal.nullValue));
}

function generalizedTime(element: Element): Date {
  if (element.tag !== universal.generalizedTime) throw malformed('an OCSP time that is no GeneralizedTime');
  return timeValue(element, 'DER');
}

/**
 * RFC 9654 §2.1: an OCTET STRING inside the value. Responders of old times put the octets there bare; such a nonce cannot
 * be told from a damaged one and is taken as it is, so it equals nothing that was asked with.
 */
function parseNonce(extensions: readonly Extension[]): Buffer | null {
  const extension = extensions.find(({ oid }) => oid === oidOcspNonce);
  return extension === undefined ? null : extension.value;
}

function criticalOids(extensions: readonly Extension[]): string[] {
  return extensions.flatMap(({ critical, oid }) => (critical ? [oid] : []));
}

function parseCerts(list: SequenceReader): Certificate[] {
  const found: Certificate[] = [];
  while (!list.atEnd) {
    if (found.length >= limits.pki.ocspCertificates)
      throw malformed('too many certificates in an OCSP response');
    found.push(parseCertificate(list.universal(universal.sequence, 'a Certificate').raw));
  }
  return found;
}
