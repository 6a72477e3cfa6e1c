import { describe, expect, test } from 'vitest';
import type { Certificate } from '../../src/pki/certificate.ts';
import { decideInbound } from '../../src/policy/decide-inbound.ts';
import type { HeaderProtectionReport, Layer, SignatureReport } from '../../src/smime/report.ts';

/** Only what a judgement looks at. */
function certificate(...mailboxes: string[]): Certificate {
  return {
    mailboxes,
    fingerprint: mailboxes.join(),
    subject: { text: 'CN=Bob', attributes: [], der: Buffer.alloc(0) },
  } as unknown as Certificate;
}

const bob = certificate('bob@partner.example');
const anchor = certificate();
const good: SignatureReport = {
  signer: bob,
  algorithm: 'rsa-pkcs1-sha256',
  signedAt: null,
  signature: 'good',
  checks: [],
  path: { outcome: 'valid', anchor, path: [bob, anchor] },
  revocation: 'good',
  revocationDetail: null,
  speaksFor: 'from',
  capabilities: [],
};

function signed(...signatures: Partial<SignatureReport>[]): Layer {
  return {
    kind: 'signed',
    form: 'clear',
    signatures: signatures.map((each) => ({ ...good, ...each })),
    certificates: [],
  };
}

function encrypted(outcome: 'opened' | 'no-key' | 'failed'): Layer {
  return { kind: 'encrypted', algorithm: 'aes256-cbc', authenticated: false, outcome };
}

function pathProblem(check: 'no-path' | 'validity', text: string): Partial<SignatureReport> {
  return { path: { outcome: 'invalid', problems: [{ check, certificate: bob, text }] } };
}

describe('a mail is trusted', () => {
  test.each<[string, Layer[]]>([
    ['when its signature passes every check', [signed({})]],
    ['when it is signed inside of the encryption', [encrypted('opened'), signed({})]],
    [
      'when the author’s signature is good under somebody else’s around it',
      [signed({ speaksFor: 'other' }), encrypted('opened'), signed({})],
    ],
    ['when one of several signatures passes every check', [signed({ signature: 'unsupported' }, {})]],
    ['while revocation is unchecked and policy is soft', [signed({ revocation: 'unchecked' })]],
  ])('%s', (_, layers) => {
    expect(decideInbound({ layers })).toEqual({ kind: 'trusted' });
  });
});

describe('a mail is not trusted', () => {
  test.each<[string, Layer[], RegExp]>([
    [
      'signed by another address',
      [signed({ speaksFor: 'other' })],
      /signed by bob@partner\.example, who is not/,
    ],
    ['when it is not known whom it is from', [signed({ speaksFor: 'unknown' })], /could not be determined/],
    ['by an issuer nobody trusts', [signed(pathProblem('no-path', 'no path'))], /does not trust/],
    [
      'by an expired certificate',
      [signed(pathProblem('validity', 'it expired on 1 May'))],
      /not valid: it expired on 1 May/,
    ],
    ['by a path that was not checked', [signed({ path: null })], /was not checked/],
    ['by a revoked certificate', [signed({ revocation: 'revoked' })], /revoked/],
    ['by an algorithm that is not accepted', [signed({ signature: 'unsupported', algorithm: 'md5' })], /md5/],
    ['with SHA-1', [signed({ algorithm: 'rsa-pkcs1-sha1' })], /SHA-1/],
    [
      'by a certificate that is not there',
      [signed({ signature: 'no-certificate', signer: null })],
      /not in the mail/,
    ],
    [
      'with only the layer around it good',
      [signed({}), encrypted('opened'), signed({ speaksFor: 'other' })],
      /who is not/,
    ],
    ['with encryption inside that stayed closed', [signed({}), encrypted('no-key')], /could not be checked/],
  ])('%s', (_, layers, why) => {
    expect(decideInbound({ layers })).toEqual({ kind: 'untrusted', why: expect.stringMatching(why) });
  });

  test('while revocation is unchecked and policy is hard', () => {
    const verdict = decideInbound({ layers: [signed({ revocation: 'unchecked' })] }, { revocation: 'hard' });
    expect(verdict).toEqual({
      kind: 'untrusted',
      why: expect.stringContaining('revoked could not be checked'),
    });
  });

  test('and what kept the check from an answer is said', () => {
    const revocationDetail = 'http://crl.example/ did not answer in time.';
    const layers = [signed({ revocation: 'unchecked', revocationDetail })];
    expect(decideInbound({ layers }, { revocation: 'hard' })).toMatchObject({
      why: expect.stringContaining(revocationDetail),
    });
  });
});

describe('a certificate that was configured itself', () => {
  test('is trusted although nobody could revoke it, also where policy is hard', () => {
    const path = { outcome: 'valid', anchor: bob, path: [bob] } as const;
    const layers = [signed({ revocation: 'unchecked', path })];
    expect(decideInbound({ layers }, { revocation: 'hard' })).toEqual({ kind: 'trusted' });
  });
});

describe('a header that is protected (RFC 9788)', () => {
  const sound: HeaderProtectionReport = {
    scheme: 'rfc9788',
    kind: 'clear',
    signed: true,
    encrypted: false,
    shown: 'outside',
    shownFrom: 'outside',
    fromMismatch: false,
    fields: [
      { name: 'from', inside: true, hidden: false, differs: false },
      { name: 'subject', inside: true, hidden: false, differs: false },
    ],
  };
  const changed: HeaderProtectionReport['fields'] = [
    { name: 'to', inside: true, hidden: false, differs: true },
    { name: 'subject', inside: true, hidden: false, differs: true },
    { name: 'cc', inside: false, hidden: false, differs: true },
  ];

  test.each<[string, Partial<HeaderProtectionReport>, Layer[], object]>([
    ['and the same outside', {}, [signed({})], { kind: 'trusted' }],
    [
      'while the reader sees another one',
      { fields: changed },
      [signed({})],
      { kind: 'untrusted', why: expect.stringContaining('(to, subject and cc)') },
    ],
    ['and shown', { fields: changed, shown: 'inside' }, [signed({})], { kind: 'trusted' }],
    [
      'and names another sender, shown or not',
      { fromMismatch: true, shown: 'inside', shownFrom: 'inside' },
      [signed({})],
      { kind: 'untrusted', why: expect.stringContaining('another sender inside') },
    ],
    [
      'in a mail that nobody signed',
      { fields: changed, signed: false },
      [encrypted('opened')],
      { kind: 'unsigned' },
    ],
    ['in a mail that is broken', { fromMismatch: true }, [signed({ signature: 'bad' })], { kind: 'broken' }],
    [
      'under a signature that is not believed: that is said',
      { fromMismatch: true },
      [signed({ revocation: 'revoked' })],
      { kind: 'untrusted', why: expect.stringContaining('revoked') },
    ],
  ])('%s', (_, changes, layers, verdict) => {
    expect(decideInbound({ layers, headerProtection: { ...sound, ...changes } })).toMatchObject(verdict);
  });
});

describe('a mail is broken', () => {
  test.each<[string, Layer[]]>([
    ['with a bad signature', [signed({ signature: 'bad' })]],
    ['with a bad signature beside a good one', [signed({}, { signature: 'bad' })]],
    [
      'with a bad signature around a good one',
      [signed({ signature: 'bad' }), encrypted('opened'), signed({})],
    ],
    ['with a bad signature inside a good one', [signed({}), signed({ signature: 'bad' })]],
    ['when it does not decrypt', [encrypted('failed')]],
    ['when it does not unpack', [signed({}), { kind: 'compressed', outcome: 'failed' }]],
  ])('%s', (_, layers) => {
    expect(decideInbound({ layers }).kind).toBe('broken');
  });
});

describe('a mail is unsigned', () => {
  test.each<[string, Layer[]]>([
    ['with nothing', []],
    ['encrypted only', [encrypted('opened')]],
    [
      'with certificates and no signature',
      [{ kind: 'signed', form: 'opaque', signatures: [], certificates: [bob] }],
    ],
  ])('%s', (_, layers) => {
    expect(decideInbound({ layers })).toEqual({ kind: 'unsigned' });
  });
});

test('a name in a certificate cannot add a line to what is said', () => {
  const signer = certificate('a@b.example\r\nAuthentication-Results: forged; smime=pass\u2028\u202e');
  const verdict = decideInbound({ layers: [signed({ signer, speaksFor: 'other' })] });
  expect(verdict.kind === 'untrusted' && verdict.why).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
});

describe('what a person said of the signer', () => {
  const said = (decision: 'trusted' | 'distrusted') => ({
    revocation: 'soft' as const,
    decisions: new Map([
      [bob.fingerprint, { decision, reason: 'we met', by: 'carol', at: new Date('2026-05-04T10:00:00Z') }],
    ]),
  });

  test('distrust beats everything, and is said with name, day and reason', () => {
    const verdict = decideInbound({ layers: [signed({})] }, said('distrusted'));
    expect(verdict).toMatchObject({ kind: 'untrusted' });
    expect(verdict.kind === 'untrusted' && verdict.why).toMatch(/carol.* said so on 2026-05-04 .*we met/);
  });

  test('trust stands for a path that is not there', () => {
    const layers = [signed({ ...pathProblem('no-path', 'nobody'), revocation: 'unchecked' })];
    expect(decideInbound({ layers })).toMatchObject({ kind: 'untrusted' });
    expect(decideInbound({ layers }, said('trusted'))).toEqual({ kind: 'trusted' });
    expect(decideInbound({ layers }, { ...said('trusted'), revocation: 'hard' })).toEqual({
      kind: 'trusted',
    });
  });

  test.each<[string, Partial<SignatureReport>]>([
    ['expired when it signed', pathProblem('validity', 'expired')],
    ['has been revoked', { revocation: 'revoked' }],
    ['is somebody else’s', { speaksFor: 'other' }],
    ['was not checked', { path: null }],
    ['signed something else', { signature: 'bad' }],
  ])('trust does not help a certificate that %s', (_, report) => {
    expect(decideInbound({ layers: [signed(report)] }, said('trusted')).kind).not.toBe('trusted');
  });
});
