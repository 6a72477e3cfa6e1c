import { execFileSync, spawnSync } from 'node:child_process';
import { createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { cryptoParameters } from '../../src/hsm/verify-signature.ts';
import { parseCertificate } from '../../src/pki/certificate.ts';
import {
  certificateRequest,
  type RequestedSubject,
  type RequestSigner,
  requestSchemeFor,
  selfSignedCertificate,
} from '../../src/pki/certificate-request.ts';
import { mayCertificateEncrypt, mayCertificateSign } from '../../src/pki/key-purpose.ts';
import { writePem } from '../../src/pki/pem.ts';
import { certificateSignatureScheme } from '../../src/pki/signature-algorithm.ts';
import { speaksFor } from '../../src/pki/speaks-for.ts';

const folder = mkdtempSync(join(tmpdir(), 'sealgate-request-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
const ed25519 = generateKeyPairSync('ed25519').privateKey;

const KEYS: Record<string, KeyObject> = {
  'rsa-2048': generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
  'rsa-pss': generateKeyPairSync('rsa-pss', { modulusLength: 2048 }).privateKey,
  'p-256': p256,
  'p-384': generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey,
  'p-521': generateKeyPairSync('ec', { namedCurve: 'P-521' }).privateKey,
  'brainpool-p512r1': generateKeyPairSync('ec', { namedCurve: 'brainpoolP512r1' }).privateKey,
  ed25519,
  ed448: generateKeyPairSync('ed448').privateKey,
};

const alice: RequestedSubject = {
  commonName: 'Alice Ångström',
  organization: 'Example & Söhne',
  organizationalUnit: 'Mail',
  country: 'DE',
  addresses: ['alice@example.org', 'Alice@bücher.example'],
  use: 'sign-and-decrypt',
};

function signerFor(privateKey: KeyObject): RequestSigner {
  const publicKey = createPublicKey(privateKey);
  const scheme = requestSchemeFor(publicKey);
  if (scheme === null) throw new Error('a key that signs nothing');
  return {
    publicKey,
    scheme,
    async sign(wanted, data) {
      const { digest, options } = cryptoParameters(wanted);
      return sign(digest, data, { key: privateKey, ...options });
    },
  };
}

function openssl(args: readonly string[], input: Buffer | string): string {
  return execFileSync('openssl', args, { input, stdio: ['pipe', 'pipe', 'pipe'] }).toString();
}

describe('RFC 2986: requests that OpenSSL verifies and reads', () => {
  test.each(Object.entries(KEYS))('%s', async (name, key) => {
    const request = await certificateRequest(alice, signerFor(key));
    const pem = writePem('CERTIFICATE REQUEST', request);
    const text = openssl(['req', '-verify', '-noout', '-text', '-nameopt', 'utf8,sep_comma_plus'], pem);
    expect(text).toContain('Subject: C=DE,O=Example & Söhne,OU=Mail,CN=Alice Ångström');
    expect(text).toMatch(/Key Usage: critical\s+Digital Signature/);
    expect(text).toContain('E-mail Protection');
    expect(text).toContain('email:alice@example.org, email:Alice@xn--bcher-kva.example');
    expect(text.includes('Key Encipherment')).toBe(name === 'rsa-2048');
    expect(text.includes('Key Agreement')).toBe(/^p-|^brainpool/.test(name));
  });

  test('a request that was changed does not verify', async () => {
    const request = await certificateRequest(alice, signerFor(p256));
    const changed = Buffer.from(request);
    const at = changed.indexOf('alice@example.org');
    changed[at] = 'm'.charCodeAt(0);
    // Old versions end well and only say it.
    const said = spawnSync('openssl', ['req', '-verify', '-noout', '-inform', 'DER'], { input: changed });
    expect(said.stderr.toString()).toMatch(/verif\w* fail/i);
  });

  test('a CA of OpenSSL issues what was asked for', async () => {
    const at = (name: string): string => join(folder, name);
    openssl(
      [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-keyout',
        at('ca.key'),
        '-out',
        at('ca.crt'),
        '-subj',
        '/CN=CA',
        '-days',
        '5',
      ],
      '',
    );
    writeFileSync(
      at('a.csr'),
      writePem(
        'CERTIFICATE REQUEST',
        await certificateRequest(alice, signerFor(KEYS['rsa-2048'] as KeyObject)),
      ),
    );
    const issued = execFileSync(
      'openssl',
      [
        'x509',
        '-req',
        '-in',
        at('a.csr'),
        '-CA',
        at('ca.crt'),
        '-CAkey',
        at('ca.key'),
        '-copy_extensions',
        'copyall',
        '-days',
        '5',
        '-outform',
        'DER',
      ],
      { stdio: 'pipe' },
    );
    const certificate = parseCertificate(issued);
    expect(speaksFor(certificate, 'alice@example.org')).toBe(true);
    expect(speaksFor(certificate, 'Alice@bücher.example')).toBe(true);
    expect(mayCertificateSign(certificate, new Date()).kind).toBe('may');
  });
});

describe('RFC 9598: an address that is not ASCII', () => {
  test('is asked for as SmtpUTF8Mailbox with its domain in A-labels', async () => {
    const subject = { ...alice, addresses: ['ångström@bücher.example', 'plain@example.org'] };
    const der = await selfSignedCertificate(subject, signerFor(p256), {
      days: 3,
      from: new Date(),
    });
    const certificate = parseCertificate(der);
    expect(certificate.subjectAltName).toEqual([
      { kind: 'smtpUtf8Mailbox', text: 'ångström@xn--bcher-kva.example' },
      { kind: 'rfc822Name', text: 'plain@example.org' },
    ]);
    expect(speaksFor(certificate, 'ångström@bücher.example')).toBe(true);
  });
});

describe('a certificate that a key issues for itself', () => {
  test.each(Object.entries(KEYS))(
    '%s: OpenSSL verifies it, and mail may be signed with it',
    async (_, key) => {
      const from = new Date(Date.now() - 60_000);
      const signer = signerFor(key);
      const der = await selfSignedCertificate(alice, signer, { days: 30, from });
      const file = join(folder, 'self.crt');
      writeFileSync(file, writePem('CERTIFICATE', der));
      expect(
        openssl(['verify', '-check_ss_sig', '-purpose', 'smimesign', '-CAfile', file, file], ''),
      ).toContain('OK');
      const certificate = parseCertificate(der);
      expect(certificate.serialNumber).toHaveLength(16);
      expect(certificate.notAfter.getTime() - certificate.notBefore.getTime()).toBe(30 * 86_400_000);
      expect(mayCertificateSign(certificate, new Date()).kind).toBe('may');
      const { digest, options } = cryptoParameters(signer.scheme);
      expect(
        verify(digest, certificate.tbs, { key: signer.publicKey, ...options }, certificate.signature),
      ).toBe(true);
    },
  );

  // Not by OpenSSL: the versions of today's systems do not know the algorithm.
  test('RFC 9881: ml-dsa-65', async () => {
    const signer = signerFor(generateKeyPairSync('ml-dsa-65').privateKey);
    const der = await selfSignedCertificate(alice, signer, { days: 30, from: new Date() });
    const certificate = parseCertificate(der);
    expect(verify(null, certificate.tbs, signer.publicKey, certificate.signature)).toBe(true);
    expect(certificateSignatureScheme(certificate.signatureAlgorithm)).toEqual({
      kind: 'pure',
      keyType: 'ml-dsa-65',
    });
  });

  test.each([
    ['sign', 'may', 'may-not'],
    ['decrypt', 'may-not', 'may'],
  ] as const)('for use %s it has that bit of keyUsage alone', async (use, signs, encrypts) => {
    const der = await selfSignedCertificate({ ...alice, use }, signerFor(KEYS['rsa-2048'] as KeyObject), {
      days: 3,
      from: new Date(Date.now() - 60_000),
    });
    const certificate = parseCertificate(der);
    expect(mayCertificateSign(certificate, new Date()).kind === 'may' ? 'may' : 'may-not').toBe(signs);
    expect(mayCertificateEncrypt(certificate, new Date()).kind === 'may' ? 'may' : 'may-not').toBe(encrypts);
  });
});

describe('what no certificate is asked for with', () => {
  const long = 'x'.repeat(65);
  test.each<[string, Partial<RequestedSubject>]>([
    ['no address', { addresses: [] }],
    ['two addresses in one text', { addresses: ['a@example.org,b@example.org'] }],
    ['an address with a NUL', { addresses: ['a@example.org\0.example.com'] }],
    ['too many addresses', { addresses: Array.from({ length: 51 }, (_, i) => `a${i}@example.org`) }],
    ['no name', { commonName: '' }],
    ['a name that is too long', { commonName: long }],
    ['a name with a line end', { commonName: 'Alice\nBob' }],
    ['a name whose letters run backwards', { commonName: 'Alice \u{202E}boB' }],
    ['a blank organization', { organization: ' ' }],
    ['a country of three letters', { country: 'DEU' }],
  ])('%s', async (_, change) => {
    const asked = certificateRequest({ ...alice, ...change }, signerFor(ed25519));
    const error = await asked.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(SealgateError);
    expect((error as SealgateError).code).toBe('pki.request-unusable');
  });

  test('an Ed25519 key for decryption', async () => {
    const asked = certificateRequest({ ...alice, use: 'decrypt' }, signerFor(ed25519));
    await expect(asked).rejects.toMatchObject({ code: 'pki.request-unusable' });
  });

  test('a key that signs nothing', () => {
    expect(requestSchemeFor(generateKeyPairSync('x25519').publicKey)).toBeNull();
  });
});
