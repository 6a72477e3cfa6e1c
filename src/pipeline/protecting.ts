import type { SigningKey } from '../cms/keys.ts';
import { unreachable } from '../errors.ts';
import { splitSafely } from '../mail/compose-source.ts';
import { readMessage } from '../mail/entity-tree.ts';
import type { HeaderProtection } from '../mail/header-protection.ts';
import { protectedContent } from '../mail/protected-content.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import { collectFrom } from '../octets/collect.ts';
import type { OctetSource, Spool } from '../octets/source.ts';
import { spooled } from '../octets/spooled.ts';
import type { EncryptionChoice } from '../smime/algorithm-choice.ts';
import { encryptMessage } from '../smime/encrypt.ts';
import { encryptMessageStream } from '../smime/encrypt-stream.ts';
import { type SignOptions, signMessage } from '../smime/sign.ts';
import { signMessageStream } from '../smime/sign-stream.ts';
import type { OutgoingMessage } from './outgoing-message.ts';

/**
 * How one mail is signed and encrypted: in memory, or where it lies. The octets are the same in both, apart from what is random.
 *
 * Must never happen: plaintext that lies anywhere but in memory and encrypted spools.
 */

/** The whole signed message. Of one in a source: made anew while it is read, so the source has to last. */
export async function signOutgoing(
  message: OutgoingMessage,
  signer: SigningKey,
  options: SignOptions,
): Promise<OctetSource> {
  return message.kind === 'in-memory'
    ? bufferSource(await signMessage(message, signer, options))
    : signMessageStream(message.octets, signer, options);
}

/** Where encrypted messages are made. */
export type Workplace = { kind: 'in-memory' } | { kind: 'in-spool'; spool: Spool };

export type Encrypt = (octets: OctetSource, header: HeaderProtection | null) => Promise<OctetSource>;

/** @param postQuantum whether recipients may have such keys */
export function encryptionBy(choice: EncryptionChoice, postQuantum: boolean, where: Workplace): Encrypt {
  const { contentEncryption, boundKey } = choice;
  const recipients = choice.recipients.map(({ request }) => request);
  return async (octets, headerProtection) => {
    const options = { headerProtection, postQuantum, boundKey };
    switch (where.kind) {
      case 'in-memory': {
        const whole = await collectFrom(octets);
        return bufferSource(await encryptMessage(whole, recipients, contentEncryption, options));
      }
      case 'in-spool': {
        const encrypted = await encryptMessageStream(octets, recipients, contentEncryption, options);
        return spooled(encrypted.octets, where.spool);
      }
      default:
        return unreachable(where);
    }
  };
}

/** Throws now what encrypting this would throw later. */
export async function checkEncryptable(
  octets: OctetSource,
  header: HeaderProtection | null,
  where: Workplace['kind'],
): Promise<void> {
  if (where === 'in-spool') await splitSafely(octets, header);
  else protectedContent(readMessage(await collectFrom(octets)), header);
}
