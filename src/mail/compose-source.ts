import { isAscii, isUtf8 } from 'node:buffer';
import { bufferSource, sliceOf } from '../octets/buffer-source.ts';
import { collect } from '../octets/collect.ts';
import { joinedSource } from '../octets/joined-source.ts';
import type { OctetSource, OctetStream } from '../octets/source.ts';
import { splitHeader, subjectToRepeat } from './compose.ts';
import { readRootFrom } from './entity-source.ts';
import { fieldsNamed } from './header.ts';
import type { HeaderProtection } from './header-protection.ts';
import { withLegacyDisplayFrom } from './header-protection-legacy.ts';
import { sevenBitSafeFrom } from './seven-bit-safe-source.ts';

/**
 * A message of any size taken apart for signing or encrypting: what stays outside, and the entity that is protected in its safe
 * form, protected header fields included.
 *
 * @throws as `splitMessage` and `sevenBitSafe`; the source's own
 */
export async function splitSafely(
  message: OctetSource,
  protection: HeaderProtection | null,
): Promise<{ outer: Buffer; content: OctetSource }> {
  const root = await readRootFrom(message);
  const octets = await collect(message.read(0, root.header.end));
  const body = sliceOf(message, root.body.start, message.length);
  const undeclared = fieldsNamed(root.fields, 'content-type').length === 0;
  const sample = undeclared ? await charsetSample(body.read()) : NOTHING;
  const { outer, inner, header } = splitHeader(octets, root.fields, () => sample, protection);
  const entity = joinedSource([bufferSource(header), body]);
  const subject = subjectToRepeat(root.fields, protection);
  const safe = await sevenBitSafeFrom(
    subject === null ? entity : await withLegacyDisplayFrom(entity, subject),
  );
  return { outer, content: inner.length === 0 ? safe : joinedSource([bufferSource(inner), safe]) };
}

const NOTHING = Buffer.alloc(0);

/** A few octets that are ASCII, UTF-8 or neither as the whole text is. NUL is no text of ASCII. */
async function charsetSample(text: OctetStream): Promise<Buffer> {
  let ascii = true;
  let carry: Buffer = NOTHING;
  for await (const chunk of text) {
    ascii &&= isAscii(chunk) && !chunk.includes(0);
    const block = carry.length === 0 ? chunk : Buffer.concat([carry, chunk]);
    const end = wholeCharacters(block);
    if (!isUtf8(block.subarray(0, end))) return NEITHER;
    carry = block.subarray(end);
  }
  if (carry.length > 0) return NEITHER;
  return ascii ? NOTHING : UTF8;
}

const UTF8 = Buffer.from('é');
const NEITHER = Buffer.of(0xff);

/** Where a character begins at the end of `octets` that needs more octets than are there. */
function wholeCharacters(octets: Buffer): number {
  for (let back = 1; back <= Math.min(3, octets.length); back++) {
    const octet = octets[octets.length - back] ?? 0;
    if (octet < 0x80) return octets.length;
    if (octet >= 0xc0) {
      const wanted = octet >= 0xf0 ? 4 : octet >= 0xe0 ? 3 : 2;
      return wanted > back ? octets.length - back : octets.length;
    }
  }
  return octets.length;
}
