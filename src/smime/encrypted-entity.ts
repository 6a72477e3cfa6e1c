import { decryptStream, readEnvelopedStream } from '../cms/decrypt-stream.ts';
import { certificateRecipients } from '../cms/enveloped-data.ts';
import { identifies } from '../cms/identifiers.ts';
import type { DecryptionKey } from '../cms/keys.ts';
import { isUnreadable } from '../cms/malformed.ts';
import { contentTypes } from '../cms/oids.ts';
import { readRootFrom } from '../mail/entity-source.ts';
import { decodedBody } from '../mail/transfer-encoding.ts';
import { sliceOf } from '../octets/buffer-source.ts';
import type { OctetSource, RereadableOctets, Spool, SpooledOctets } from '../octets/source.ts';
import type { Certificate } from '../pki/certificate.ts';
import { isMailError } from './mail-error.ts';
import { recognise } from './recognise.ts';

/** What `encryptEntityStream` has made, octet by octet as it was; `open` of layers.ts interprets instead. */
export type EntityDecryption =
  /** The caller's to discard. */
  { outcome: 'opened'; entity: SpooledOctets } | { outcome: 'no-key' | 'failed' };

/**
 * Takes off the one layer of encryption that a message has at its root.
 *
 * @param message is read several times
 * @throws SealgateError `key.…` for keys that are away for now; the source's and the spool's own
 */
export async function decryptEntity(
  message: OctetSource,
  keys: readonly DecryptionKey[],
  spool: Spool,
): Promise<EntityDecryption> {
  try {
    const cms = await encryptedBody(message);
    if (cms === null) return { outcome: 'failed' };
    const opened = await decryptStream(cms, keys, spool);
    if (opened.outcome !== 'opened') return { outcome: opened.outcome };
    if (opened.contentType === contentTypes.data) return { outcome: 'opened', entity: opened.content };
    await opened.content.discard();
    return { outcome: 'failed' };
  } catch (error) {
    if (isUnreadable(error) || isMailError(error)) return { outcome: 'failed' };
    throw error;
  }
}

/**
 * Whether a message that says so is encrypted: a whole structure with recipients, around something. Nothing is decrypted.
 *
 * @throws the source's own
 */
export function isEncrypted(message: OctetSource): Promise<boolean> {
  return whether(message, ({ enveloped, shape }) => enveloped.recipientInfos.length > 0 && shape.octets > 0);
}

/**
 * Whether a message is encrypted to one of these certificates, as far as it says. No key is used.
 *
 * @throws the source's own
 */
export function isEncryptedTo(message: OctetSource, certificates: readonly Certificate[]): Promise<boolean> {
  return whether(message, ({ enveloped }) =>
    certificateRecipients(enveloped).some((recipient) =>
      certificates.some((certificate) => identifies(recipient, certificate)),
    ),
  );
}

async function whether(
  message: OctetSource,
  holds: (read: Awaited<ReturnType<typeof readEnvelopedStream>>) => boolean,
): Promise<boolean> {
  try {
    const cms = await encryptedBody(message);
    return cms !== null && holds(await readEnvelopedStream(cms));
  } catch (error) {
    if (isUnreadable(error) || isMailError(error)) return false;
    throw error;
  }
}

/** null: its header says something else. */
async function encryptedBody(message: OctetSource): Promise<RereadableOctets | null> {
  const root = await readRootFrom(message);
  const kind = recognise({ root });
  if (kind !== 'enveloped' && kind !== 'auth-enveloped') return null;
  return decodedBody(sliceOf(message, root.body.start, root.body.end), root.transferEncoding);
}
