import { peekRecipients } from '../cms/enveloped-data.ts';
import { readSignedData } from '../cms/signed-data.ts';
import { SealgateError } from '../errors.ts';
import type { Entity } from '../mail/entity.ts';
import type { Message } from '../mail/message.ts';
import { decodeBody } from '../mail/transfer-encoding.ts';
import { isPkcs7Signature, type SmimeKind } from './recognise.ts';

export type PlausibleCms = 'encrypted' | 'signed' | 'neither';

/**
 * Whether a message that is S/MIME by its header is so by its content: a readable structure with recipients or signers.
 * Nothing is decrypted or verified: a sender's own key and signature are the sender's business, a pretence is not.
 */
export function isPlausibleCms({ octets, root }: Message, kind: SmimeKind): PlausibleCms {
  if (kind === 'signed-clear') {
    const signature = signatureAlone(root);
    return signature !== null && hasSigner(octets, signature) ? 'signed' : 'neither';
  }
  // The smime-type may be absent or wrong; the structure tells.
  if (hasRecipient(octets, root)) return 'encrypted';
  return hasSigner(octets, root) ? 'signed' : 'neither';
}

/** RFC 1847 §2.1: exactly two parts, the second the signature. null: something else. */
export function signatureAlone({ parts }: Entity): Entity | null {
  const [, signature] = parts;
  if (signature === undefined || parts.length !== 2) return null;
  const { type, subtype } = signature.mediaType;
  return isPkcs7Signature(`${type}/${subtype}`) ? signature : null;
}

function hasRecipient(octets: Buffer, entity: Entity): boolean {
  return readable(() => peekRecipients(decodeBody(octets, entity)).length > 0);
}

function hasSigner(octets: Buffer, entity: Entity): boolean {
  return readable(() => readSignedData(decodeBody(octets, entity)).signerInfos.length > 0);
}

function readable(question: () => boolean): boolean {
  try {
    return question();
  } catch (error) {
    // Unreadable is the answer, not a failure.
    if (error instanceof SealgateError) return false;
    throw error;
  }
}
