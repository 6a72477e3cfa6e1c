import { describe, expect, it } from 'vitest';
import { CertificateSet } from '../../src/pki/certificate-set.ts';
import type { CertificateRevocationList } from '../../src/pki/crl.ts';
import { validatePath } from '../../src/pki/path.ts';
import { checkRevocation } from '../../src/pki/revocation.ts';
import { unrevokedPath } from '../../src/pki/unrevoked-path.ts';
import {
  basicConstraints,
  ecKey,
  extendedKeyUsage,
  keyUsage,
  makeCa,
  makeCertificate,
  makeEnd,
  now,
} from './make-certificate.ts';
import { later, makeCrl } from './make-crl.ts';
import { makeOcsp } from './make-ocsp.ts';

const root = makeCa('Root');
const ca = (serial: number) =>
  makeCertificate({
    ...{ subject: 'CA', issuer: 'Root', key: ecKey('CA'), issuerKey: ecKey('Root'), serial },
    extensions: [basicConstraints(true), keyUsage(5, 6)],
  });
const [old, renewed] = [ca(11), ca(12)];
const end = makeEnd('End', 'CA');
const caCrl = makeCrl({ issuer: 'CA', key: ecKey('CA') });
const rootCrl = (...serials: number[]) =>
  makeCrl({ issuer: 'Root', key: ecKey('Root'), entries: serials.map((serial) => ({ serial, reason: 4 })) });

function judge(crls: CertificateRevocationList[]) {
  const pool = new CertificateSet([old, renewed]);
  return unrevokedPath(
    (without) => validatePath({ certificate: end, pool: pool.without(without), anchors: [root], at: now }),
    async (path) => checkRevocation({ path, crls, ocspResponses: [], pool, at: now }),
  );
}

describe('a CA whose certificate was replaced', () => {
  it('is good by its new certificate, although the old one is revoked', async () => {
    const { path, revocation } = await judge([caCrl, rootCrl(11)]);
    expect(revocation?.verdict).toBe('good');
    expect(path.outcome === 'valid' && path.path[1]).toBe(renewed);
  });

  it('is revoked where both are', async () => {
    expect((await judge([caCrl, rootCrl(11, 12)])).revocation?.verdict).toBe('revoked');
  });

  it('does not help an end entity that is revoked itself', async () => {
    const entries = [{ serial: end.serialNumber }];
    const { revocation } = await judge([makeCrl({ issuer: 'CA', key: ecKey('CA'), entries }), rootCrl(11)]);
    expect(revocation?.verdict).toBe('revoked');
  });
});

describe('evidence that proves nothing', () => {
  it('is a CRL without a certificate that has expired; one with it does', () => {
    const expired = makeCertificate({
      ...{ subject: 'Expired', issuer: 'Root', key: ecKey('Expired'), issuerKey: ecKey('Root'), serial: 77 },
      notAfter: later(-1000),
    });
    const status = (crl: CertificateRevocationList) =>
      checkRevocation({ path: [expired, root], crls: [crl], ocspResponses: [], pool: [], at: now })
        .certificates[0]?.revocation;
    expect(status(rootCrl())).toMatchObject({ status: 'undetermined', problems: [{ check: 'expired' }] });
    expect(status(rootCrl(77))).toMatchObject({ status: 'revoked' });
  });

  it('is a CRL of a CA whose certificate has no key usage (RFC 10007), unless it is the anchor', () => {
    const extensions = [basicConstraints(true)];
    const plain = (issuer: string) =>
      makeCertificate({ subject: 'CA', issuer, key: ecKey('CA'), issuerKey: ecKey(issuer), extensions });
    const status = (path: Parameters<typeof checkRevocation>[0]['path']) =>
      checkRevocation({ path, crls: [caCrl, rootCrl()], ocspResponses: [], pool: [], at: now })
        .certificates[0]?.revocation;
    expect(status([end, plain('Root'), root])).toMatchObject({ problems: [{ check: 'signer' }] });
    expect(status([end, plain('CA')])).toMatchObject({ status: 'good' });
  });
});

describe('an OCSP response that names its responder by key and brings no certificate', () => {
  it('is verified with the certificate that is known', () => {
    const responder = makeEnd('Responder', 'CA', [extendedKeyUsage(false, '1.3.6.1.5.5.7.3.9')]);
    const response = makeOcsp({
      certificate: end,
      issuer: renewed,
      key: ecKey('Responder'),
      responder,
      status: 'revoked',
    });
    const status = (pool: Parameters<typeof checkRevocation>[0]['pool']) =>
      checkRevocation({
        ...{ path: [end, renewed, root], crls: [], pool, at: now },
        ocspResponses: [{ response, nonce: null }],
      }).certificates[0]?.revocation.status;
    expect(status([responder])).toBe('revoked');
    expect(status([])).toBe('undetermined');
  });
});
