import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { SignedData } from '../../src/cms/signed-data.ts';
import { limits } from '../../src/limits.ts';
import { carriedCrls } from '../../src/smime/carried-crls.ts';
import { openMessage } from '../../src/smime/open.ts';
import { corpus, corpusCertificate } from '../pki/corpora.ts';
import { ecKey } from '../pki/make-certificate.ts';
import { makeCrlDer } from '../pki/make-crl.ts';
import { signaturesOf } from './support/people.ts';

type Row = { test: string; mail: string; valid: boolean };

const all = JSON.parse(readFileSync(corpus('pkits', 'expected.json'), 'utf8')) as Row[];
// Where policies are asked for, another verdict than ours is expected: mail has no policy inputs.
const rows = all.filter((row) => !Object.keys(row).some((key) => key.startsWith('initial')));
const anchor = corpusCertificate('pkits', 'certs', 'TrustAnchorRootCertificate.crt');

async function judge(mail: string, at: Date) {
  const octets = readFileSync(corpus('pkits', 'smime', mail));
  const [signature] = signaturesOf(await openMessage(octets, [], { at, anchors: [anchor], pool: [] }));
  return { path: signature?.path?.outcome ?? null, revocation: signature?.revocation ?? null };
}

function carrying(crls: Buffer[]): SignedData {
  return { contentType: '', content: null, certificates: [], crls, signerInfos: [] };
}

const crl = (number: number) => makeCrlDer({ issuer: 'CA', key: ecKey('CA'), number });

describe('the CRLs that a mail carries', () => {
  it('settle the revocation of its signer: NIST PKITS mails', async () => {
    const seen = new Map<string, number>();
    for (const { test, mail, valid } of rows) {
      const { path, revocation } = await judge(mail, new Date('2026-11-01T00:00:00Z'));
      if (path !== 'valid') {
        expect(revocation, test).not.toBe('good');
        continue;
      }
      expect(revocation === 'good', `${test} ${mail}`).toBe(valid);
      seen.set(`${revocation}`, (seen.get(`${revocation}`) ?? 0) + 1);
    }
    // The 46 rows of PKITS that only CRLs refuse.
    expect(Object.fromEntries(seen)).toEqual({ good: 91, revoked: 22, unchecked: 24 });
  });

  it('must be new when the mail is read, whatever time the signer claims', async () => {
    const mail = 'SignedValidSignaturesTest1.eml';
    expect(await judge(mail, new Date('2026-11-01T00:00:00Z'))).toEqual({
      path: 'valid',
      revocation: 'good',
    });
    expect((await judge(mail, new Date('2031-06-01T00:00:00Z'))).revocation).toBe('unchecked');
  });

  it('are left out where they cannot be read; the others count', () => {
    expect(carriedCrls(carrying([Buffer.from('30030201', 'hex'), crl(1), Buffer.alloc(0)])).size).toBe(1);
  });

  it('are few and small', () => {
    const many = Array.from({ length: limits.cms.crls + 5 }, (_, i) => crl(i));
    expect(carriedCrls(carrying(many)).size).toBe(limits.cms.crls);
    expect(carriedCrls(carrying([Buffer.alloc(limits.cms.crlOctets), crl(1)])).size).toBe(0);
  });
});
