import { authenticates, type ContentEncryptionName } from '../cms/content-encryption.ts';
import { type EncryptRequest, encrypt, type RecipientRequest } from '../cms/encrypt.ts';
import { readMessage } from '../mail/entity-tree.ts';
import type { HeaderProtection } from '../mail/header-protection.ts';
import { protectedContent } from '../mail/protected-content.ts';
import { pkcs7Message } from './pkcs7-part.ts';

export type EncryptMessageOptions = Pick<EncryptRequest, 'postQuantum' | 'boundKey'> & {
  headerProtection?: HeaderProtection | null;
};

/**
 * Encrypts a message for all recipients or for none (RFC 8551 §3.3, §3.4).
 *
 * Holds: the body and every Content-* field are inside, and copies of the header fields where those are protected (RFC
 * 9788). Outside, and readable by everybody on the way, stay the header fields that are not hidden.
 *
 * @param recipients certificates, the sender's own among them; everybody who reads the message can read this list
 * @param options as `cms/encrypt.ts` has them. `headerProtection` absent or null: not here; where the message is signed, that
 *   signature has to have done it, since only the innermost payload counts
 * @returns the whole message, CRLF
 * @throws SealgateError `cms.unsupported-recipient`, `mail.*`
 */
export async function encryptMessage(
  octets: Uint8Array,
  recipients: readonly RecipientRequest[],
  algorithm: ContentEncryptionName,
  options: EncryptMessageOptions = {},
): Promise<Buffer> {
  const { headerProtection = null, ...cmsOptions } = options;
  // Readers that hand the content on need not be able to carry 8bit (RFC 8551 §3.1.2).
  const { outer, content } = protectedContent(readMessage(octets), headerProtection);
  const cms = await encrypt({
    content,
    recipients,
    algorithm,
    ...cmsOptions,
  });
  return pkcs7Message(outer, authenticates(algorithm) ? 'authEnveloped-data' : 'enveloped-data', cms);
}
