import type { KeyFile, Row } from './specification.ts';

function file(
  name: string,
  key: KeyFile['key'],
  protection: KeyFile['protection'],
  neverWritten?: string,
): Row {
  return {
    group: 'PKCS#12 files',
    name,
    message: { kind: 'key-file', key, protection },
    ...(neverWritten === undefined ? {} : { neverWritten }),
  };
}

const OWN = 'we write AES-256, or Triple DES for old programs';

export const KEY_FILE_ROWS: readonly Row[] = [
  file('RSA, as the program writes by itself', 'rsa', { kind: 'default' }),
  file('P-256, as the program writes by itself', 'P-256', { kind: 'default' }),
  file('brainpoolP256r1, as the program writes by itself', 'brainpoolP256r1', { kind: 'default' }),
  file('Ed25519, as the program writes by itself', 'ed25519', { kind: 'default' }),
  file('X25519, as the program writes by itself', 'x25519', { kind: 'default' }),
  file('RSA, for old programs', 'rsa', { kind: 'legacy' }),
  file('P-256, for old programs', 'P-256', { kind: 'legacy' }),
  file('RSA, PBMAC1 (RFC 9579)', 'rsa', { kind: 'pbmac1' }),
  file('Triple DES for both', 'rsa', { kind: 'pbes1', key: '3des', certificates: '3des' }, OWN),
  file('Triple DES, certificates RC2-40', 'rsa', { kind: 'pbes1', key: '3des', certificates: 'rc2-40' }, OWN),
  file(
    'Triple DES, certificates RC2-128',
    'rsa',
    { kind: 'pbes1', key: '3des', certificates: 'rc2-128' },
    OWN,
  ),
  file('RC2-40 for both', 'rsa', { kind: 'pbes1', key: 'rc2-40', certificates: 'rc2-40' }, OWN),
  file(
    'Two-key Triple DES, certificates in the clear',
    'rsa',
    { kind: 'pbes1', key: '2des', certificates: 'none' },
    OWN,
  ),
  file(
    'AES-128, PBKDF2 SHA-256, MAC SHA-256',
    'rsa',
    { kind: 'pbes2', cipher: 'aes128', prf: 'sha256', mac: 'sha256' },
    OWN,
  ),
  file(
    'AES-192, PBKDF2 SHA-256, MAC SHA-1',
    'rsa',
    { kind: 'pbes2', cipher: 'aes192', prf: 'sha256', mac: 'sha1' },
    OWN,
  ),
  file(
    'AES-256, PBKDF2 SHA-256, MAC SHA-512',
    'rsa',
    { kind: 'pbes2', cipher: 'aes256', prf: 'sha256', mac: 'sha512' },
    OWN,
  ),
  file(
    'AES-256, PBKDF2 SHA-1, MAC SHA-1',
    'rsa',
    { kind: 'pbes2', cipher: 'aes256', prf: 'sha1', mac: 'sha1' },
    OWN,
  ),
  file(
    'AES-256, PBKDF2 SHA-512, MAC SHA-512',
    'rsa',
    { kind: 'pbes2', cipher: 'aes256', prf: 'sha512', mac: 'sha512' },
    OWN,
  ),
];
