import {
  type ContentEncryptionName,
  contentEncryptionByOid,
  contentEncryptionOid,
} from './content-encryption.ts';

/**
 * What we can read, strongest first, for the sMIMECapabilities of our own signatures (RFC 8551 §2.5.2): authenticated
 * ones before CBC, and among the authenticated ones those first that most can write. What we read only because old
 * mail has it (triple DES, RC2) is not announced: it would be used.
 */
export const ownCapabilities: readonly string[] = (
  [
    'aes256-gcm',
    'aes128-gcm',
    'chacha20-poly1305',
    'aes256-ccm',
    'aes128-ccm',
    'aes256-cbc',
    'aes192-cbc',
    'aes128-cbc',
  ] as const
).map(contentEncryptionOid);

/**
 * The content encryptions among a correspondent's capabilities, in the correspondent's order; what we never write is
 * left out.
 */
export function contentEncryptions(capabilities: readonly string[]): ContentEncryptionName[] {
  const names = capabilities.map(contentEncryptionByOid).filter((name) => name !== null);
  return [...new Set(names)];
}
