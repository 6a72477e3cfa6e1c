import { authenticates, type ContentEncryptionName } from '../cms/content-encryption.ts';
import type { RecipientRequest } from '../cms/encrypt.ts';
import { encryptStream } from '../cms/encrypt-stream.ts';
import { Base64Encoder, base64Length } from '../mail/base64.ts';
import { joinMessage } from '../mail/compose.ts';
import { splitSafely } from '../mail/compose-source.ts';
import { borrowed } from '../octets/scan.ts';
import type { OctetSource, OctetStream } from '../octets/source.ts';
import { transformed } from '../octets/transform.ts';
import type { EncryptMessageOptions } from './encrypt.ts';
import { pkcs7Header } from './pkcs7-part.ts';

/** A message of known length that can be read once: a second reading throws, since a nonce must not meet two texts. */
export type EncryptedMessage = { readonly length: number; readonly octets: OctetStream };

/**
 * `encryptMessage` for a message of any size. All recipients are served before this resolves.
 *
 * @param message has to last until the result was read: it is encrypted while that is read, and waits nowhere in the clear
 * @throws as `encryptMessage`; the source's own; while the result is read `cms.content-changed`
 */
export async function encryptMessageStream(
  message: OctetSource,
  recipients: readonly RecipientRequest[],
  algorithm: ContentEncryptionName,
  options: EncryptMessageOptions = {},
): Promise<EncryptedMessage> {
  const { headerProtection = null, ...cmsOptions } = options;
  const { outer, content } = await splitSafely(message, headerProtection);
  return encryptEntityStream(outer, content, recipients, algorithm, cmsOptions);
}

/**
 * Encrypts an entity as it is, octet by octet: line ends and octets beyond ASCII stay, for readers that want nothing else back.
 *
 * @param outer header fields that stay outside, CRLF, without the empty line and without MIME-Version and Content-*
 * @param entity as `message` above
 * @throws as `encryptMessageStream`
 */
export async function encryptEntityStream(
  outer: Buffer,
  entity: OctetSource,
  recipients: readonly RecipientRequest[],
  algorithm: ContentEncryptionName,
  options: Omit<EncryptMessageOptions, 'headerProtection'> = {},
): Promise<EncryptedMessage> {
  const cms = await encryptStream({
    // A chunk is encrypted before the next one is asked for.
    content: borrowed(entity),
    contentOctets: entity.length,
    recipients,
    algorithm,
    ...options,
  });
  const type = authenticates(algorithm) ? 'authEnveloped-data' : 'enveloped-data';
  const head = joinMessage(outer, pkcs7Header(type));
  return {
    length: head.length + base64Length(cms.length),
    octets: afterHead(head, transformed(cms.octets, new Base64Encoder())),
  };
}

function afterHead(head: Buffer, body: OctetStream): OctetStream {
  let begun = false;
  return {
    [Symbol.asyncIterator]() {
      if (begun) throw new Error('an encrypted message was read twice');
      begun = true;
      return joined(head, body)[Symbol.asyncIterator]();
    },
  };
}

async function* joined(head: Buffer, body: OctetStream): OctetStream {
  yield head;
  yield* body;
}
