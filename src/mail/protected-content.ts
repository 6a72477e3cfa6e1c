import { splitHeader, splitMessage, subjectToRepeat } from './compose.ts';
import type { HeaderProtection } from './header-protection.ts';
import type { Message } from './message.ts';
import { sevenBitSafe, sevenBitSafeUnder } from './seven-bit-safe.ts';

/**
 * A message taken apart for signing or encrypting: what stays outside, and the entity that is protected in its safe form,
 * protected header fields included. `compose-source.ts` does it for a message of any size.
 *
 * @throws as `splitMessage` and `sevenBitSafe`
 */
export function protectedContent(
  message: Message,
  protection: HeaderProtection | null,
): { outer: Buffer; content: Buffer } {
  const { octets, root } = message;
  if (subjectToRepeat(root.fields, protection) !== null) {
    const { outer, inner, entity } = splitMessage(message, protection);
    return { outer, content: Buffer.concat([inner, sevenBitSafe(entity)]) };
  }
  // The usual mail is read once and copied once.
  const body = () => octets.subarray(root.body.start, root.body.end);
  const { outer, inner, header } = splitHeader(octets, root.fields, body, protection);
  return { outer, content: sevenBitSafeUnder(header, message, inner) };
}
