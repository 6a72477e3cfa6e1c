import { contentEncryptions, ownCapabilities, ownCapabilitiesWithoutOaep } from '../cms/capabilities.ts';
import type { ContentEncryptionName } from '../cms/content-encryption.ts';

/** Which content encryption every recipient of one message can read (RFC 8551 §2.5.2, §2.7). */

export { ownCapabilities, ownCapabilitiesWithoutOaep };

/**
 * @param recipients sMIMECapabilities of each recipient as identifiers, empty where nothing is known
 *
 * GCM only if every recipient has said so: several clients that are widely used cannot read it. Else AES-256-CBC, which
 * every client of this century reads, but AES-128-CBC where a recipient lists that and not the other.
 */
export function chooseContentEncryption(recipients: readonly (readonly string[])[]): ContentEncryptionName {
  const known = recipients.map(contentEncryptions);
  for (const name of ['aes256-gcm', 'aes128-gcm'] as const) {
    if (known.length > 0 && known.every((names) => names.includes(name))) return name;
  }
  const only128 = (names: readonly ContentEncryptionName[]): boolean =>
    names.includes('aes128-cbc') && !names.includes('aes256-cbc');
  return known.some(only128) ? 'aes128-cbc' : 'aes256-cbc';
}
