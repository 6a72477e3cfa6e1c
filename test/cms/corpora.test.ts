import { createPrivateKey } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ownCapabilities } from '../../src/cms/capabilities.ts';
import { encrypt } from '../../src/cms/encrypt.ts';
import { peekRecipients } from '../../src/cms/enveloped-data.ts';
import type { SignatureScheme } from '../../src/cms/keys.ts';
import { contentTypes } from '../../src/cms/oids.ts';
import { signOpaque } from '../../src/cms/sign.ts';
import { certificatesOf, readSignedData, signerCandidates } from '../../src/cms/signed-data.ts';
import { verifySignature } from '../../src/cms/verify.ts';
import type { Certificate } from '../../src/pki/certificate.ts';
import { corpusCertificate, corpus as corpusPath } from '../pki/corpora.ts';
import { decrypt } from './support/both-ways.ts';
import { readContentInfo } from './support/read-content-info.ts';
import { decryptionKey, signingKey } from './support/software-keys.ts';

const corpus = (...parts: string[]): Buffer => readFileSync(corpusPath(...parts));

/** Verifies every signer with the certificates of the message; gives the outcomes. */
function verifyAll(octets: Buffer, content: Buffer | null, issuers: readonly Certificate[] = []) {
  const signedData = readSignedData(octets);
  const pool = certificatesOf(signedData);
  return signedData.signerInfos.map((signerInfo) => {
    const [signer] = signerCandidates(signerInfo, pool);
    if (signer === undefined) throw new Error('the signer sent no certificate');
    const signed = content ?? signedData.content ?? Buffer.alloc(0);
    return verifySignature(signedData, signerInfo, signed, signer, issuers);
  });
}

describe("gematik's KIM profile: PSS inside AES-256-GCM with OAEP-SHA256", () => {
  const recipient = corpusCertificate('kim', 'recipient-a', 'hci-enc-2-kim-bsp.pem');
  const key = decryptionKey(
    createPrivateKey(corpus('kim', 'recipient-a', 'hci-enc-2-kim-bsp.prv.pem')),
    recipient,
  );
  const encrypted = corpus('kim', 'inputEmail.txt.04.encryptedcms');

  it('opens, with unauthAttrs under [2], and gives the signed message', async () => {
    expect(peekRecipients(encrypted)).toHaveLength(2);
    const outcome = await decrypt(encrypted, [key]);
    expect(outcome).toMatchObject({ outcome: 'opened', algorithm: 'aes256-gcm', authenticated: true });
    if (outcome.outcome !== 'opened') throw new Error('not opened');
    const signedWrap = corpus('kim', 'inputEmail.txt.03.signedwrap');
    const blanks = /[\r\n]+/g;
    expect(outcome.content.toString('latin1').replace(blanks, '')).toBe(
      signedWrap.toString('latin1').replace(blanks, ''),
    );
  });

  it('is verified: RSASSA-PSS, signingCertificateV2', () => {
    const [report] = verifyAll(corpus('kim', 'inputEmail.txt.02.signedcms'), null);
    expect(report).toMatchObject({ signature: 'good', algorithm: 'rsa-pss-sha256' });
    expect(report?.checks).toContainEqual({ check: 'signing-certificate', outcome: 'passed' });
  });
});

describe('NIST PKITS: 224 signed mails', () => {
  /** Its signer's certificate is broken on purpose: the signature in it is not whole octets. */
  const UNREADABLE = 'SignedInvalidDSASignatureTest6.eml';
  /** Its signer's DSA key takes its parameters from the issuer's. */
  const INHERITED = 'SignedValidDSAParameterInheritanceTest5.eml';

  it('signatures over the octets are good', () => {
    const mails = readdirSync(corpusPath('pkits', 'smime')).filter((name) => name.endsWith('.eml'));
    expect(mails.length).toBe(224);
    for (const name of mails) {
      const text = corpus('pkits', 'smime', name).toString('latin1').replace(/\r?\n/g, '\r\n');
      const boundary = /boundary="([^"]+)"/.exec(text)?.[1];
      if (boundary === undefined) throw new Error(`${name} is not multipart/signed`);
      const [, signedPart = '', signature = ''] = text.split(`--${boundary}\r\n`);
      const content = Buffer.from(signedPart.slice(0, -2), 'latin1');
      const base64 = signature.slice(signature.indexOf('\r\n\r\n'), signature.indexOf(`--${boundary}--`));
      if (name === UNREADABLE) {
        expect(certificatesOf(readSignedData(Buffer.from(base64, 'base64')))).toHaveLength(1);
        continue;
      }
      const reports = verifyAll(Buffer.from(base64, 'base64'), content);
      if (name === INHERITED) {
        expect(reports.map((report) => report.signature)).toEqual(['unsupported']);
        const issuers = [
          corpusCertificate('pkits', 'certs', 'DSAParametersInheritedCACert.crt'),
          corpusCertificate('pkits', 'certs', 'DSACACert.crt'),
        ];
        const [report] = verifyAll(Buffer.from(base64, 'base64'), content, issuers);
        expect(report).toMatchObject({ signature: 'good', algorithm: 'dsa-sha1' });
        continue;
      }
      expect(reports.map((report) => [name, report.signature])).toEqual([[name, 'good']]);
      const [bad] = verifyAll(Buffer.from(base64, 'base64'), content.subarray(1));
      expect(bad?.signature).toBe('bad');
    }
  });
});

describe('RFC 9216: sample certificates and keys', () => {
  const content = Buffer.from('Content-Type: text/plain\r\n\r\nHello.\r\n');
  const rsa: SignatureScheme = { kind: 'rsa-pkcs1', digest: 'sha256' };
  const pss: SignatureScheme = { kind: 'rsa-pss', digest: 'sha512', saltOctets: 64 };
  const ed25519: SignatureScheme = { kind: 'eddsa', curve: 'Ed25519' };
  const people: readonly { name: string; schemes: readonly SignatureScheme[] }[] = [
    { name: 'alice', schemes: [rsa, pss] },
    { name: 'bob', schemes: [rsa, pss] },
    { name: 'carlos', schemes: [ed25519] },
    { name: 'dana', schemes: [ed25519] },
  ];

  it.each(people)('$name signs', async ({ name, schemes }) => {
    const own = corpusCertificate('rfc9216', `${name}.sign.crt`);
    const key = signingKey(createPrivateKey(corpus('rfc9216', `${name}.sign.key`)), own, schemes);
    for (const scheme of schemes) {
      const octets = await signOpaque({
        signer: key,
        scheme,
        signingTime: new Date('2026-01-01T00:00:00Z'),
        capabilities: ownCapabilities,
        encryptionCertificate: corpusCertificate('rfc9216', `${name}.encrypt.crt`),
        content,
      });
      expect(readContentInfo(octets).contentType).toBe(contentTypes.signedData);
      expect(verifyAll(octets, null)).toMatchObject([{ signature: 'good' }]);
    }
  });

  it('all four open one message: RSA and X25519', async () => {
    const certificates = people.map(({ name }) => corpusCertificate('rfc9216', `${name}.encrypt.crt`));
    for (const algorithm of ['aes256-gcm', 'aes128-cbc'] as const) {
      const octets = await encrypt({
        content,
        algorithm,
        recipients: certificates.map((one) => ({ certificate: one })),
      });
      for (const [i, { name }] of people.entries()) {
        const own = certificates[i];
        if (own === undefined) throw new Error('no certificate');
        const key = decryptionKey(createPrivateKey(corpus('rfc9216', `${name}.encrypt.key`)), own);
        expect(await decrypt(octets, [key])).toMatchObject({ outcome: 'opened', content, recipient: own });
      }
    }
  });
});
