import {
  bitString,
  element,
  enumerated,
  explicit,
  generalizedTime,
  implicitConstructed,
  implicitPrimitive,
  octetString,
  oid,
  sequence,
} from '../../src/asn1/writer.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { keyIdentifier } from '../../src/pki/key-identifier.ts';
import { type OcspResponse, parseOcspResponse } from '../../src/pki/ocsp.ts';
import { type CertIdDigest, writeCertId } from '../../src/pki/ocsp-cert-id.ts';
import { ALGORITHMS, type KeyPair, now, signWith } from './make-certificate.ts';
import { hour, later } from './make-crl.ts';

export type OcspRecipe = {
  certificate: Certificate;
  issuer: Certificate;
  key: KeyPair;
  /** Named as responder by its key; absent: the issuer. */
  responder?: Certificate;
  byName?: boolean;
  status?: 'good' | 'revoked' | 'unknown';
  digest?: CertIdDigest;
  thisUpdate?: Date;
  nextUpdate?: Date | null;
  producedAt?: Date;
  certificates?: Certificate[];
  singleExtensions?: Buffer[];
  extensions?: Buffer[];
};

function statusDer(status: OcspRecipe['status'] = 'good'): Buffer {
  switch (status) {
    case 'good':
      return implicitPrimitive(0, Buffer.alloc(0));
    case 'revoked':
      return implicitConstructed(1, generalizedTime(later(-48 * hour)), explicit(0, enumerated(1)));
    case 'unknown':
      return implicitPrimitive(2, Buffer.alloc(0));
  }
}

/** DER of an OCSPResponse made to order, good or bad. */
export function makeOcspDer(recipe: OcspRecipe): Buffer {
  const { certificate, issuer, key, responder = issuer, digest = 'sha1' } = recipe;
  const { nextUpdate = later(24 * hour), certificates = [], extensions = [], singleExtensions = [] } = recipe;
  const single = sequence(
    writeCertId(digest, certificate, issuer),
    statusDer(recipe.status),
    generalizedTime(recipe.thisUpdate ?? later(-hour)),
    ...(nextUpdate === null ? [] : [explicit(0, generalizedTime(nextUpdate))]),
    ...(singleExtensions.length === 0 ? [] : [explicit(1, sequence(...singleExtensions))]),
  );
  const tbs = sequence(
    recipe.byName === true
      ? explicit(1, responder.subject.der)
      : explicit(2, octetString(keyIdentifier(responder.subjectPublicKeyInfo))),
    generalizedTime(recipe.producedAt ?? now),
    sequence(single),
    ...(extensions.length === 0 ? [] : [explicit(1, sequence(...extensions))]),
  );
  const algorithm = 'ecdsa-sha256';
  const basic = sequence(
    tbs,
    ALGORITHMS[algorithm],
    bitString(signWith(algorithm, tbs, key.privateKey)),
    ...(certificates.length === 0 ? [] : [explicit(0, sequence(...certificates.map(({ der }) => der)))]),
  );
  return successful(basic);
}

export function successful(basic: Buffer): Buffer {
  const bytes = sequence(oid('1.3.6.1.5.5.7.48.1.1'), octetString(basic));
  return sequence(enumerated(0), explicit(0, bytes));
}

export function refusal(status: number, ...more: Buffer[]): Buffer {
  return sequence(element(10, Buffer.from([status])), ...more);
}

export function makeOcsp(recipe: OcspRecipe): OcspResponse {
  return parseOcspResponse(makeOcspDer(recipe));
}
