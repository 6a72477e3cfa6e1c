import type { Digest, KeyName, Row, Signer } from './specification.ts';

const NEVER_SIGNED = 'we sign with SHA-256, SHA-384, SHA-512';

export const RSA: Signer = { key: 'rsa', algorithm: { kind: 'rsa-pkcs1', digest: 'sha256' } };
export const ECDSA: Signer = { key: 'P-256', algorithm: { kind: 'ecdsa', digest: 'sha256' } };
export const ED25519: Signer = { key: 'ed25519', algorithm: { kind: 'of-the-key' } };

const isSigned = (digest: Digest): boolean => ['sha256', 'sha384', 'sha512'].includes(digest);

function plain(
  kind: 'rsa-pkcs1' | 'ecdsa' | 'dsa',
  key: KeyName,
  digest: Digest,
  more: Partial<Row> = {},
): Row {
  const names = { 'rsa-pkcs1': 'RSA PKCS#1 v1.5', ecdsa: `ECDSA ${key}`, dsa: 'DSA' };
  return {
    group: 'Signatures',
    name: `${names[kind]}, ${digest.toUpperCase().replace(/^SHA(?=\d)(?!3-)/, 'SHA-')}`,
    message: { kind: 'signed', signers: [{ key, algorithm: { kind, digest } }] },
    ...(isSigned(digest) && kind !== 'dsa' ? {} : { neverWritten: NEVER_SIGNED }),
    ...more,
  };
}

function pss(digest: Digest, maskDigest: Digest, saltOctets: number, key: 'rsa' | 'rsa-pss' = 'rsa'): Row {
  const usual = { sha256: 32, sha384: 48, sha512: 64 }[digest as string];
  const written = maskDigest === digest && saltOctets === usual;
  const upper = (name: string): string => name.toUpperCase().replace(/^SHA(?=\d)(?!3-)/, 'SHA-');
  const mask = maskDigest === digest ? '' : `, MGF1 ${upper(maskDigest)}`;
  return {
    group: 'Signatures',
    name: `RSA-PSS, ${upper(digest)}${mask}, salt ${saltOctets}${key === 'rsa-pss' ? ', RSASSA-PSS key' : ''}`,
    message: {
      kind: 'signed',
      signers: [{ key, algorithm: { kind: 'rsa-pss', digest, maskDigest, saltOctets } }],
    },
    ...(written ? {} : { neverWritten: 'we salt with as many octets as the digest has' }),
  };
}

function ofTheKey(key: KeyName, name: string): Row {
  const signers: Signer[] = [{ key, algorithm: { kind: 'of-the-key' } }];
  return { group: 'Signatures', name, message: { kind: 'signed', signers } };
}

const REFUSED = { neverRead: 'refused: broken since 2004 (RFC 6151)', neverWritten: NEVER_SIGNED };

const UNUSED = { neverRead: 'no mail program uses it', neverWritten: 'no mail program uses it' };

export const SIGNATURE_ROWS: readonly Row[] = [
  plain('rsa-pkcs1', 'rsa', 'md5', REFUSED),
  plain('rsa-pkcs1', 'rsa', 'ripemd160', UNUSED),
  ...(['sha1', 'sha224', 'sha256', 'sha384', 'sha512', 'sha3-256', 'sha3-512'] as const).map((digest) =>
    plain('rsa-pkcs1', 'rsa', digest),
  ),
  pss('sha1', 'sha1', 20),
  pss('sha224', 'sha224', 28),
  pss('sha256', 'sha256', 32),
  pss('sha384', 'sha384', 48),
  pss('sha512', 'sha512', 64),
  pss('sha256', 'sha256', 0),
  pss('sha256', 'sha256', 20),
  pss('sha512', 'sha512', 32),
  pss('sha256', 'sha256', 222),
  pss('sha256', 'sha1', 32),
  pss('sha512', 'sha256', 64),
  pss('sha3-256', 'sha3-256', 32),
  pss('sha256', 'sha256', 32, 'rsa-pss'),
  ...(['sha1', 'sha224', 'sha256', 'sha384', 'sha512', 'sha3-256'] as const).map((digest) =>
    plain('ecdsa', 'P-256', digest),
  ),
  plain('ecdsa', 'P-384', 'sha384'),
  plain('ecdsa', 'P-384', 'sha3-384'),
  plain('ecdsa', 'P-521', 'sha512'),
  plain('ecdsa', 'P-521', 'sha3-512'),
  plain('ecdsa', 'brainpoolP256r1', 'sha256'),
  plain('ecdsa', 'brainpoolP384r1', 'sha384'),
  plain('ecdsa', 'brainpoolP512r1', 'sha512'),
  plain('ecdsa', 'secp256k1', 'sha256', { neverWritten: 'no mail program uses it' }),
  ofTheKey('ed25519', 'Ed25519'),
  ofTheKey('ed448', 'Ed448'),
  ...(['sha1', 'sha224', 'sha256'] as const).map((digest) => plain('dsa', 'dsa', digest)),
  ofTheKey('ml-dsa-44', 'ML-DSA-44'),
  ofTheKey('ml-dsa-65', 'ML-DSA-65'),
  ofTheKey('ml-dsa-87', 'ML-DSA-87'),
];

const ALWAYS_ATTRIBUTES = 'we never sign without signed attributes';
const OWN_IDENTIFIER = 'we name issuer and serial number';
const ALWAYS_DER = 'signatures are written in DER';

function structure(
  name: string,
  message: Omit<Extract<Row['message'], { kind: 'signed' }>, 'kind'>,
  more: Partial<Row> = {},
): Row {
  return { group: 'Forms of signed messages', name, message: { kind: 'signed', ...message }, ...more };
}

function certificates(name: string, withAuthority: boolean): Row {
  return { group: 'Forms of signed messages', name, message: { kind: 'certificates-only', withAuthority } };
}

export const SIGNED_FORM_ROWS: readonly Row[] = [
  structure('Detached, RSA', { signers: [RSA], detached: true }),
  structure('Detached, ECDSA', { signers: [ECDSA], detached: true }),
  structure('Detached, Ed25519', { signers: [ED25519], detached: true }),
  structure('Two signers: RSA and ECDSA', { signers: [RSA, ECDSA] }),
  structure('Three signers, detached', {
    signers: [RSA, ECDSA, { key: 'P-521', algorithm: { kind: 'ecdsa', digest: 'sha256' } }],
    detached: true,
  }),
  structure(
    'Without signed attributes, RSA',
    { signers: [RSA], bare: true },
    { neverWritten: ALWAYS_ATTRIBUTES },
  ),
  structure(
    'Without signed attributes, ECDSA, detached',
    { signers: [ECDSA], bare: true, detached: true },
    { neverWritten: ALWAYS_ATTRIBUTES },
  ),
  structure(
    'Without signed attributes, Ed25519',
    { signers: [ED25519], bare: true },
    { neverWritten: ALWAYS_ATTRIBUTES },
  ),
  structure(
    'Signer by key identifier',
    { signers: [RSA], byKeyIdentifier: true },
    { neverWritten: OWN_IDENTIFIER },
  ),
  structure('Streamed, indefinite lengths', { signers: [RSA], stream: true }, { neverWritten: ALWAYS_DER }),
  structure('Streamed, ECDSA', { signers: [ECDSA], stream: true }, { neverWritten: ALWAYS_DER }),
  structure(
    'Countersigned',
    { signers: [RSA], countersigner: ECDSA },
    { neverWritten: 'we do not countersign' },
  ),
  structure(
    'With a receipt request',
    { signers: [RSA], attribute: 'receipt-request' },
    { neverWritten: 'we ask for no receipts' },
  ),
  structure('signingCertificateV2 counter-checked', { signers: [RSA], attribute: 'signing-certificate-v2' }),
  structure(
    'signingCertificate (SHA-1) counter-checked',
    {
      signers: [{ key: 'rsa', algorithm: { kind: 'rsa-pkcs1', digest: 'sha1' } }],
      attribute: 'signing-certificate',
    },
    { neverWritten: NEVER_SIGNED },
  ),
  structure('CMSAlgorithmProtection counter-checked', { signers: [RSA], attribute: 'algorithm-protection' }),
  certificates('Certificates only: one person', false),
  certificates('Certificates only: a person and the authority', true),
];
