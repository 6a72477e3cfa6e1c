import type { Cipher, Derivation, Digest, KeyName, Recipient, Row, Wrap } from './specification.ts';

const TRANSPORT: Recipient = { kind: 'transport', key: 'rsa' };

const upper = (name: string): string => name.toUpperCase().replace(/SHA(?=\d)/g, 'SHA-');

function content(
  cipher: Cipher,
  name: string,
  more: Partial<Row> & { authenticated?: boolean; stream?: boolean } = {},
): Row {
  const { authenticated, stream, ...rest } = more;
  return {
    group: 'Content encryption, for an RSA recipient',
    name,
    message: {
      kind: 'enveloped',
      cipher,
      recipients: [TRANSPORT],
      ...(authenticated === true ? { authenticated } : {}),
      ...(stream === true ? { stream, anyCipher: true } : {}),
    },
    ...rest,
  };
}

const OLD = 'read for old mail, never written';
const UNKNOWN = 'not among the algorithms of RFC 8551, nor used by mail programs';
const refused = { neverRead: UNKNOWN, neverWritten: UNKNOWN };

export const CONTENT_ROWS: readonly Row[] = [
  content('aes128-cbc', 'AES-128-CBC'),
  content('aes192-cbc', 'AES-192-CBC'),
  content('aes256-cbc', 'AES-256-CBC'),
  content('aes128-gcm', 'AES-128-GCM', { authenticated: true }),
  content('aes192-gcm', 'AES-192-GCM', { authenticated: true }),
  content('aes256-gcm', 'AES-256-GCM', { authenticated: true }),
  content('aes128-ccm', 'AES-128-CCM', { authenticated: true }),
  content('aes192-ccm', 'AES-192-CCM', { authenticated: true }),
  content('aes256-ccm', 'AES-256-CCM', { authenticated: true }),
  content('chacha20-poly1305', 'ChaCha20-Poly1305', { authenticated: true }),
  content('aes128-gcm', 'AES-128-GCM inside EnvelopedData', {
    neverWritten: 'GCM belongs into AuthEnvelopedData (RFC 5084)',
  }),
  content('aes256-gcm', 'AES-256-GCM inside EnvelopedData', {
    neverWritten: 'GCM belongs into AuthEnvelopedData (RFC 5084)',
  }),
  content('des-ede3-cbc', 'Triple DES', { neverWritten: OLD }),
  content('rc2-40-cbc', 'RC2, 40 bits', { neverWritten: OLD }),
  content('rc2-64-cbc', 'RC2, 64 bits', { neverWritten: OLD }),
  content('rc2-128-cbc', 'RC2, 128 bits', { neverWritten: OLD }),
  content('camellia128-cbc', 'Camellia-128-CBC', refused),
  content('camellia192-cbc', 'Camellia-192-CBC', refused),
  content('camellia256-cbc', 'Camellia-256-CBC', refused),
  content('seed-cbc', 'SEED', refused),
  content('idea-cbc', 'IDEA', refused),
  content('cast5-cbc', 'CAST5', refused),
  content('blowfish-cbc', 'Blowfish', refused),
  content('aria256-cbc', 'ARIA-256-CBC', refused),
  content('sm4-cbc', 'SM4', refused),
  content('des-cbc', 'DES', { neverRead: 'refused: 56 bits', neverWritten: 'refused: 56 bits' }),
  content('aes256-cbc', 'CBC, streamed in indefinite lengths', {
    stream: true,
    neverWritten: 'written in DER',
  }),
  content('aes256-gcm', 'GCM, streamed in indefinite lengths', {
    authenticated: true,
    stream: true,
    neverWritten: 'written in DER',
  }),
  {
    group: 'Content encryption, for an RSA recipient',
    name: 'AES-256-GCM, key bound to the algorithm (RFC 9709)',
    message: {
      kind: 'enveloped',
      cipher: 'aes256-gcm',
      authenticated: true,
      boundKey: true,
      recipients: [TRANSPORT],
    },
  },
  {
    group: 'Content encryption, for an RSA recipient',
    name: 'AES-256-CBC, key bound to the algorithm (RFC 9709)',
    message: { kind: 'enveloped', cipher: 'aes256-cbc', boundKey: true, recipients: [TRANSPORT] },
  },
  {
    group: 'Content encryption, for an RSA recipient',
    name: 'CompressedData, zlib',
    message: { kind: 'compressed' },
    neverWritten: 'we do not compress',
  },
];

function recipient(name: string, one: Recipient, more: Partial<Row> = {}): Row {
  const message = { kind: 'enveloped', cipher: 'aes256-cbc', recipients: [one], anyCipher: true } as const;
  return { group: 'Recipients', name, message, ...more };
}

function oaep(digest: Digest, maskDigest: Digest, label?: string): Row {
  const mask = maskDigest === digest ? '' : `, MGF1 ${upper(maskDigest)}`;
  const labelled = label === undefined ? {} : { label };
  return recipient(
    `RSA-OAEP, ${upper(digest)}${mask}${label === undefined ? '' : ', with a label'}`,
    { kind: 'oaep', key: 'rsa', digest, maskDigest, ...labelled },
    digest === 'sha256' && maskDigest === 'sha256' && label === undefined
      ? {}
      : { neverWritten: 'we write OAEP with SHA-256 twice and no label' },
  );
}

const USUAL: Partial<Record<KeyName, Derivation>> = {
  'P-256': { kind: 'x963', digest: 'sha256' },
  'P-384': { kind: 'x963', digest: 'sha384' },
  'P-521': { kind: 'x963', digest: 'sha512' },
  brainpoolP256r1: { kind: 'x963', digest: 'sha256' },
  brainpoolP384r1: { kind: 'x963', digest: 'sha384' },
  brainpoolP512r1: { kind: 'x963', digest: 'sha512' },
  x25519: { kind: 'hkdf', digest: 'sha256' },
  x448: { kind: 'hkdf', digest: 'sha512' },
};

type Agreement = Extract<Recipient, { kind: 'agreement' }>;

function agreement(key: KeyName, derivation: Derivation, options: Partial<Agreement> = {}): Row {
  const one: Agreement = { kind: 'agreement', key, derivation, wrap: 'aes256-wrap', ...options };
  const usual = USUAL[key];
  const written =
    usual !== undefined &&
    usual.kind === derivation.kind &&
    usual.digest === derivation.digest &&
    one.wrap === 'aes256-wrap' &&
    one.cofactor !== true &&
    one.ukm !== true;
  const kind = key.startsWith('x')
    ? key.toUpperCase()
    : `${one.cofactor === true ? 'Cofactor ECDH' : 'ECDH'} ${key}`;
  const how = `${derivation.kind === 'hkdf' ? 'HKDF' : 'X9.63'} ${upper(derivation.digest)}`;
  const wrap = one.wrap === 'aes256-wrap' || one.wrap === null ? '' : `, ${one.wrap}`;
  const more = `${one.ukm === true ? ', user keying material' : ''}${one.byKeyIdentifier === true ? ', by key identifier' : ''}`;
  const neverWritten =
    one.byKeyIdentifier === true
      ? 'we name issuer and serial number'
      : "we derive as the recipient's curve suggests";
  return recipient(
    `${kind}, ${how}${wrap}${more}`,
    one,
    written && one.byKeyIdentifier !== true ? {} : { neverWritten },
  );
}

const DIGESTS = ['sha1', 'sha224', 'sha256', 'sha384', 'sha512'] as const;
const WRAPS: readonly Wrap[] = ['aes128-wrap', 'aes192-wrap', 'des-ede3-wrap'];
const SHA256: Derivation = { kind: 'x963', digest: 'sha256' };
const BY_CURVE = Object.entries(USUAL) as [KeyName, Derivation][];

export const RECIPIENT_ROWS: readonly Row[] = [
  recipient('RSA PKCS#1 v1.5', TRANSPORT),
  recipient(
    'RSA PKCS#1 v1.5, by key identifier',
    { ...TRANSPORT, byKeyIdentifier: true },
    { neverWritten: 'we name issuer and serial number' },
  ),
  ...DIGESTS.map((digest) => oaep(digest, digest)),
  oaep('sha256', 'sha1'),
  oaep('sha512', 'sha256'),
  oaep('sha1', 'sha256'),
  oaep('sha256', 'sha256', 'label'),
  ...BY_CURVE.map(([key, derivation]) => agreement(key, derivation)),
  ...DIGESTS.filter((digest) => digest !== 'sha256').map((digest) =>
    agreement('P-256', { kind: 'x963', digest }),
  ),
  ...DIGESTS.map((digest) => agreement('P-256', { kind: 'x963', digest }, { cofactor: true })),
  agreement('P-521', { kind: 'x963', digest: 'sha512' }, { cofactor: true }),
  agreement('brainpoolP384r1', { kind: 'x963', digest: 'sha384' }, { cofactor: true }),
  ...WRAPS.map((wrap) => agreement('P-256', SHA256, { wrap })),
  agreement('P-256', SHA256, { ukm: true }),
  agreement('P-384', { kind: 'x963', digest: 'sha384' }, { ukm: true, cofactor: true }),
  agreement('P-256', SHA256, { byKeyIdentifier: true }),
  agreement('x25519', { kind: 'hkdf', digest: 'sha384' }),
  agreement('x25519', { kind: 'hkdf', digest: 'sha512' }),
  agreement('x25519', SHA256),
  agreement('x448', { kind: 'x963', digest: 'sha512' }),
  recipient(
    'ECMQV P-256, X9.63 SHA-256',
    { kind: 'agreement', key: 'P-256', derivation: SHA256, mqv: true, wrap: 'aes256-wrap' },
    { neverRead: 'RFC 8551 asks for ECDH only', neverWritten: 'RFC 8551 asks for ECDH only' },
  ),
  recipient(
    'Diffie-Hellman X9.42 (RFC 2631)',
    { kind: 'agreement', key: 'dh', derivation: { kind: 'x963', digest: 'sha1' }, wrap: 'aes256-wrap' },
    { neverRead: 'no mail program offers such keys', neverWritten: 'no mail program offers such keys' },
  ),
  ...([16, 24, 32] as const).map((octets) => {
    const ciphers = { 16: 'aes128-cbc', 24: 'aes192-cbc', 32: 'aes256-cbc' } as const;
    return {
      group: 'Recipients',
      name: `Shared key, AES-${octets * 8} key wrap`,
      message: { kind: 'enveloped', cipher: ciphers[octets], recipients: [{ kind: 'shared-key', octets }] },
    } satisfies Row;
  }),
  recipient('Password, PBKDF2 as the program likes', { kind: 'password', digest: null }),
  ...DIGESTS.map((digest) =>
    recipient(
      `Password, PBKDF2 ${upper(digest)}`,
      { kind: 'password', digest },
      digest === 'sha256' ? {} : { neverWritten: 'we write PBKDF2 with SHA-256' },
    ),
  ),
  ...(['ml-kem-512', 'ml-kem-768', 'ml-kem-1024'] as const).map((key) =>
    recipient(key.toUpperCase(), { kind: 'encapsulation', key }),
  ),
];

const EVERYBODY: readonly Recipient[] = [
  TRANSPORT,
  { kind: 'agreement', key: 'P-256', derivation: SHA256, wrap: 'aes256-wrap' },
  { kind: 'shared-key', octets: 32 },
  { kind: 'password', digest: null },
];

export const SEVERAL_ROWS: readonly Row[] = [
  ...EVERYBODY.map((one, reader): Row => {
    const names = {
      transport: 'RSA',
      agreement: 'ECDH',
      'shared-key': 'the shared key',
      password: 'the password',
      oaep: '',
      encapsulation: '',
    };
    return {
      group: 'Several recipients',
      name: `RSA, ECDH, shared key and password; opened by ${names[one.kind]}`,
      message: { kind: 'enveloped', cipher: 'aes256-cbc', anyCipher: true, recipients: EVERYBODY, reader },
    };
  }),
  ...[0, 1].map(
    (reader): Row => ({
      group: 'Several recipients',
      name: `RSA and ECDH, AES-256-GCM; opened by ${reader === 0 ? 'RSA' : 'ECDH'}`,
      message: {
        kind: 'enveloped',
        cipher: 'aes256-gcm',
        authenticated: true,
        recipients: EVERYBODY.slice(0, 2),
        reader,
      },
    }),
  ),
];
