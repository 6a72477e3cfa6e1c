import { authenticates, type ContentEncryptionName } from '../cms/content-encryption.ts';
import { type EncryptRequest, encrypt, type RecipientRequest } from '../cms/encrypt.ts';
import { joinMessage, splitMessage } from '../mail/compose.ts';
import { readMessage } from '../mail/entity-tree.ts';
import { sevenBitSafe } from '../mail/seven-bit-safe.ts';
import { pkcs7Part } from './pkcs7-part.ts';

/**
 * Encrypts a message for all recipients or for none (RFC 8551 §3.3, §3.4).
 *
 * Holds: the body and every Content-* field are inside. Outside, and readable by everybody on the way, stay the other
 * header fields, Subject among them.
 *
 * @param recipients certificates, the sender's own among them; everybody who reads the message can read this list
 * @param options as `cms/encrypt.ts` has them
 * @returns the whole message, CRLF
 * @throws SealgateError `cms.unsupported-recipient`, `mail.*`
 */
export async function encryptMessage(
  octets: Uint8Array,
  recipients: readonly RecipientRequest[],
  algorithm: ContentEncryptionName,
  options: Pick<EncryptRequest, 'postQuantum' | 'boundKey'> = {},
): Promise<Buffer> {
  const { outer, entity } = splitMessage(readMessage(octets));
  const cms = await encrypt({
    // Readers that hand the content on need not be able to carry 8bit (RFC 8551 §3.1.2).
    content: sevenBitSafe(entity),
    recipients,
    algorithm,
    ...options,
  });
  const part = pkcs7Part(authenticates(algorithm) ? 'authEnveloped-data' : 'enveloped-data', cms);
  return joinMessage(outer, part.header, part.body);
}
