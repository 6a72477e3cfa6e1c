import { sign as signNow } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as der from '../../src/asn1/writer.ts';
import { algorithmIdentifier } from '../../src/cms/algorithm-identifier.ts';
import { attribute } from '../../src/cms/attributes.ts';
import { contentInfo } from '../../src/cms/content-info.ts';
import { digest, digestAlgorithm } from '../../src/cms/digests.ts';
import { issuerAndSerial } from '../../src/cms/identifiers.ts';
import { attributeTypes, contentTypes } from '../../src/cms/oids.ts';
import { signatureAlgorithm } from '../../src/cms/signatures.ts';
import {
  algorithmProtectionAttribute,
  signingCertificateAttribute,
} from '../../src/cms/signed-attributes.ts';
import { certificatesOf, readSignedData, signerCandidates } from '../../src/cms/signed-data.ts';
import { type VerificationReport, verifySignature } from '../../src/cms/verify.ts';
import { type Identity, IdentityFolder } from './support/identities.ts';

const content = Buffer.from('Content-Type: text/plain\r\n\r\nPay ten.\r\n');
const pkcs1 = signatureAlgorithm({ kind: 'rsa-pkcs1', digest: 'sha256' });
const sha256 = digestAlgorithm('sha256');

let at: IdentityFolder;
let alice: Identity;
let mallory: Identity;

beforeAll(() => {
  at = new IdentityFolder();
  alice = at.issue('alice', 'rsa');
  mallory = at.issue('mallory', 'rsa');
});
afterAll(() => at.remove());

const contentTypeAttribute = attribute(attributeTypes.contentType, der.oid(contentTypes.data));
const digestAttribute = (octets: Buffer): Buffer =>
  attribute(attributeTypes.messageDigest, der.octetString(digest('sha256', octets)));

type Craft = {
  /** Signed attributes in this order; null: none. */
  attributes: readonly Buffer[] | null;
  /** What the signature is computed over; by default as RFC 5652 §5.4 has it. */
  over?: Buffer;
  eContentType?: string;
  eContent?: Buffer;
  digestAlgorithm?: Buffer;
  signatureAlgorithm?: Buffer;
  digest?: string;
};

/** A SignedData with exactly these parts, signed by Alice. */
function craft(parts: Craft): Buffer {
  const { attributes, eContent = content } = parts;
  const over = parts.over ?? (attributes === null ? eContent : der.setOf(attributes));
  const signature = signNow(parts.digest ?? 'sha256', over, alice.privateKey);
  const signerInfo = der.sequence(
    der.integer(1),
    issuerAndSerial(alice.certificate),
    parts.digestAlgorithm ?? sha256,
    ...(attributes === null ? [] : [der.implicitConstructed(0, ...attributes)]),
    parts.signatureAlgorithm ?? pkcs1,
    der.octetString(signature),
  );
  const body = der.sequence(
    der.integer(1),
    der.setOf([sha256]),
    der.sequence(
      der.oid(parts.eContentType ?? contentTypes.data),
      der.explicit(0, der.octetString(eContent)),
    ),
    der.implicit(0, der.setOf([alice.certificate.der])),
    der.setOf([signerInfo]),
  );
  return contentInfo(contentTypes.signedData, body);
}

function verify(octets: Buffer, certificate = alice.certificate): VerificationReport {
  const signedData = readSignedData(octets);
  const [signerInfo] = signedData.signerInfos;
  if (signerInfo === undefined) throw new Error('no signer');
  return verifySignature(signedData, signerInfo, signedData.content ?? Buffer.alloc(0), certificate);
}

const outcomeOf = (report: VerificationReport, check: string): string | undefined =>
  report.checks.find((one) => one.check === check)?.outcome;

describe('signed attributes', () => {
  it('are good in any order, over DER or over the octets as sent', () => {
    const inOrder = [digestAttribute(content), contentTypeAttribute];
    const reversed = inOrder.toReversed();
    for (const attributes of [inOrder, reversed]) {
      expect(verify(craft({ attributes })).signature).toBe('good');
      const asSent = der.element(0x31, ...attributes);
      expect(verify(craft({ attributes, over: asSent })).signature).toBe('good');
    }
  });

  it('passed off as content are refused (signature over attributes, content made of them)', () => {
    const attributes = [contentTypeAttribute, digestAttribute(content)];
    const setOf = der.setOf(attributes);
    expect(verify(craft({ attributes })).signature).toBe('good');
    const report = verify(craft({ attributes: null, eContent: setOf }));
    expect(report.signature).toBe('bad');
    expect(outcomeOf(report, 'signed-attributes')).toBe('failed');
    expect(outcomeOf(report, 'signature-value')).toBe('passed');
  });

  it('are not looked for in content that only begins like them', () => {
    for (const text of ['1', '10', '1: a header\r\n\r\nbody', '']) {
      expect(verify(craft({ attributes: null, eContent: Buffer.from(text) })).signature).toBe('good');
    }
  });

  it('must be there for any content type but id-data (RFC 5652 §5.3)', () => {
    const report = verify(craft({ attributes: null, eContentType: contentTypes.envelopedData }));
    expect(report.signature).toBe('bad');
  });

  it('must name the content type that the message has', () => {
    const attributes = [contentTypeAttribute, digestAttribute(content)];
    const report = verify(craft({ attributes, eContentType: contentTypes.envelopedData }));
    expect(report.signature).toBe('bad');
    expect(outcomeOf(report, 'content-type')).toBe('failed');
  });

  it('must hold the digest of this content', () => {
    const attributes = [contentTypeAttribute, digestAttribute(Buffer.from('Pay a thousand.'))];
    const report = verify(craft({ attributes }));
    expect(report.signature).toBe('bad');
    expect(outcomeOf(report, 'message-digest')).toBe('failed');
  });

  it('with a digest of another length are refused, not compared in part', () => {
    for (const octets of [Buffer.alloc(0), digest('sha256', content).subarray(0, 16)]) {
      const cut = attribute(attributeTypes.messageDigest, der.octetString(octets));
      expect(verify(craft({ attributes: [contentTypeAttribute, cut] })).signature).toBe('bad');
    }
  });

  it.each([
    ['without content-type', () => [digestAttribute(content)]],
    ['without message-digest', () => [contentTypeAttribute]],
    ['with content-type twice', () => [contentTypeAttribute, contentTypeAttribute, digestAttribute(content)]],
    [
      'with two message-digests, one of them right',
      () => [contentTypeAttribute, digestAttribute(content), digestAttribute(Buffer.from('x'))],
    ],
    [
      'with two values in message-digest, one of them right',
      () => [
        contentTypeAttribute,
        der.sequence(
          der.oid(attributeTypes.messageDigest),
          der.setOf(['x', content].map((one) => der.octetString(digest('sha256', Buffer.from(one))))),
        ),
      ],
    ],
    [
      'with no value in content-type',
      () => [der.sequence(der.oid(attributeTypes.contentType), der.setOf([])), digestAttribute(content)],
    ],
    [
      'with a message-digest of another type',
      () => [contentTypeAttribute, attribute(attributeTypes.messageDigest, der.utf8String('x'))],
    ],
    [
      'with two signing times',
      () => [
        contentTypeAttribute,
        digestAttribute(content),
        attribute(attributeTypes.signingTime, der.utcTime(new Date('2026-01-01'))),
        attribute(attributeTypes.signingTime, der.utcTime(new Date('2020-01-01'))),
      ],
    ],
    [
      'with a signing time that is none',
      () => [
        contentTypeAttribute,
        digestAttribute(content),
        attribute(attributeTypes.signingTime, der.octetString(Buffer.from('today'))),
      ],
    ],
    [
      'with unreadable capabilities',
      () => [
        contentTypeAttribute,
        digestAttribute(content),
        attribute(attributeTypes.smimeCapabilities, der.integer(1)),
      ],
    ],
  ])('%s make the signature bad although its value is right', (_name, attributes) => {
    const report = verify(craft({ attributes: attributes() }));
    expect(report.signature).toBe('bad');
    expect(outcomeOf(report, 'signature-value')).toBe('passed');
    expect(report.capabilities).toEqual([]);
  });

  it('an empty set of them is refused', () => {
    expect(() => readSignedData(craft({ attributes: [] }))).toThrow(
      expect.objectContaining({ code: 'cms.malformed' }),
    );
  });
});

describe('counter-checks', () => {
  const base = () => [contentTypeAttribute, digestAttribute(content)];

  it('CMSAlgorithmProtection must repeat both algorithms (RFC 6211)', () => {
    const right = algorithmProtectionAttribute(sha256, pkcs1);
    expect(verify(craft({ attributes: [...base(), right] })).signature).toBe('good');
    const withNull = algorithmProtectionAttribute(
      algorithmIdentifier('2.16.840.1.101.3.4.2.1', der.nullValue()),
      pkcs1,
    );
    expect(verify(craft({ attributes: [...base(), withNull] })).signature).toBe('good');
    const wrong = [
      algorithmProtectionAttribute(digestAlgorithm('sha512'), pkcs1),
      algorithmProtectionAttribute(sha256, signatureAlgorithm({ kind: 'ecdsa', digest: 'sha256' })),
      attribute(attributeTypes.algorithmProtection, der.sequence(sha256)),
      attribute(attributeTypes.algorithmProtection, der.sequence(sha256, der.implicit(2, pkcs1))),
    ];
    for (const protection of wrong) {
      const report = verify(craft({ attributes: [...base(), protection] }));
      expect(report.signature).toBe('bad');
      expect(outcomeOf(report, 'algorithm-protection')).toBe('failed');
    }
  });

  it("signingCertificateV2 must name the signer's certificate (RFC 5035)", () => {
    const right = signingCertificateAttribute(alice.certificate);
    expect(verify(craft({ attributes: [...base(), right] })).signature).toBe('good');
    const wrong = signingCertificateAttribute(mallory.certificate);
    const report = verify(craft({ attributes: [...base(), wrong] }));
    expect(report.signature).toBe('bad');
    expect(outcomeOf(report, 'signing-certificate')).toBe('failed');
  });

  it('signingCertificate of RFC 2634 is checked with SHA-1', () => {
    const value = (hash: Buffer): Buffer => der.sequence(der.sequence(der.sequence(der.octetString(hash))));
    const first = (hash: Buffer): Buffer => attribute(attributeTypes.signingCertificate, value(hash));
    const right = first(digest('sha1', alice.certificate.der));
    expect(verify(craft({ attributes: [...base(), right] })).signature).toBe('good');
    const wrong = first(digest('sha1', mallory.certificate.der));
    expect(verify(craft({ attributes: [...base(), wrong] })).signature).toBe('bad');
  });

  it('a signature by another key under the same issuer and serial number is bad', () => {
    const attributes = base();
    expect(verify(craft({ attributes }), mallory.certificate).signature).toBe('bad');
  });

  it('every certificate that a SignerInfo may mean is a candidate', () => {
    const signedData = readSignedData(craft({ attributes: base() }));
    const [signerInfo] = signedData.signerInfos;
    if (signerInfo === undefined) throw new Error('no signer');
    const twin = {
      ...mallory.certificate,
      issuer: alice.certificate.issuer,
      serialNumber: alice.certificate.serialNumber,
    };
    const pool = [mallory.certificate, twin, ...certificatesOf(signedData)];
    expect(signerCandidates(signerInfo, pool)).toEqual([twin, pool[2]]);
  });
});

describe('algorithms', () => {
  const attributes = () => [contentTypeAttribute, digestAttribute(content)];

  it('MD5 is unsupported, whatever the value', () => {
    const md5 = algorithmIdentifier('1.2.840.113549.2.5', der.nullValue());
    const withMd5 = algorithmIdentifier('1.2.840.113549.1.1.4', der.nullValue());
    for (const signature of [pkcs1, withMd5]) {
      const octets = craft({
        attributes: null,
        digestAlgorithm: md5,
        signatureAlgorithm: signature,
        digest: 'md5',
      });
      expect(verify(octets).signature).toBe('unsupported');
    }
  });

  it('SHA-1 is verified and named', () => {
    const sha1 = digestAlgorithm('sha1');
    const octets = craft({ attributes: null, digestAlgorithm: sha1, digest: 'sha1' });
    expect(verify(octets)).toMatchObject({ signature: 'good', algorithm: 'rsa-pkcs1-sha1' });
  });

  it('a digest algorithm other than the one of the signature algorithm is refused', () => {
    const sha1WithRsa = algorithmIdentifier('1.2.840.113549.1.1.5', der.nullValue());
    const report = verify(
      craft({ attributes: attributes(), signatureAlgorithm: sha1WithRsa, digest: 'sha1' }),
    );
    expect(report.signature).toBe('bad');
    expect(outcomeOf(report, 'algorithms')).toBe('failed');
  });

  it("an algorithm of another key type than the certificate's is refused", () => {
    for (const scheme of [
      { kind: 'ecdsa', digest: 'sha256' },
      { kind: 'rsa-pss', digest: 'sha256', saltOctets: 32 },
      { kind: 'eddsa', curve: 'Ed25519' },
    ] as const) {
      const octets = craft({ attributes: attributes(), signatureAlgorithm: signatureAlgorithm(scheme) });
      expect(verify(octets).signature).toBe('bad');
    }
  });

  it('an unknown signature algorithm is unsupported, by its identifier', () => {
    const octets = craft({ attributes: attributes(), signatureAlgorithm: algorithmIdentifier('1.2.3.4') });
    expect(verify(octets)).toMatchObject({ signature: 'unsupported', algorithm: '1.2.3.4' });
  });

  it('PSS with unreadable or odd parameters is never good and never an exception', () => {
    const pss = '1.2.840.113549.1.1.10';
    const oddities = [
      [der.nullValue()],
      [der.sequence(der.explicit(3, der.integer(2)))],
      [der.sequence(der.explicit(2, der.integer(-1)))],
      [der.sequence(der.explicit(2, der.integer(2n ** 40n)))],
      [der.sequence(der.explicit(7, der.integer(2)))],
      [],
    ];
    for (const parameters of oddities) {
      const octets = craft({
        attributes: attributes(),
        signatureAlgorithm: algorithmIdentifier(pss, ...parameters),
      });
      expect(['bad', 'unsupported']).toContain(verify(octets).signature);
    }
  });
});

describe('structure', () => {
  it('trailing octets after the ContentInfo are refused', () => {
    const octets = craft({ attributes: null });
    expect(() => readSignedData(Buffer.concat([octets, Buffer.from([0])]))).toThrow(
      expect.objectContaining({ code: 'cms.malformed' }),
    );
  });

  it('a broken certificate does not hide the others', () => {
    const body = der.sequence(
      der.integer(1),
      der.setOf([]),
      der.sequence(der.oid(contentTypes.data)),
      der.implicitConstructed(
        0,
        der.sequence(der.nullValue()),
        alice.certificate.der,
        der.implicitConstructed(1),
      ),
      der.setOf([]),
    );
    const signedData = readSignedData(contentInfo(contentTypes.signedData, body));
    expect(signedData.certificates).toHaveLength(2);
    expect(certificatesOf(signedData).map(({ fingerprint }) => fingerprint)).toEqual([
      alice.certificate.fingerprint,
    ]);
  });

  it('more signers than the limit are refused before any is verified', () => {
    const body = der.sequence(
      der.integer(1),
      der.setOf([]),
      der.sequence(der.oid(contentTypes.data)),
      der.setOf(Array.from({ length: 33 }, (_, i) => der.sequence(der.integer(i)))),
    );
    expect(() => readSignedData(contentInfo(contentTypes.signedData, body))).toThrow(/too many signerInfos/);
  });
});
