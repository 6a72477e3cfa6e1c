import { setImmediate } from 'node:timers/promises';
import type { OctetStream } from '../octets/source.ts';
import { ofLength } from './announced-content.ts';
import { beginEnvelope, type EncryptRequest, type Envelope } from './encrypt.ts';

export type EncryptStreamRequest = Omit<EncryptRequest, 'content'> & {
  /** Exactly `contentOctets`; another number is an error while the result is read. */
  content: OctetStream;
  contentOctets: number;
};

/** DER ContentInfo of known length. It can be read once: a second reading throws, since a nonce must not meet two texts. */
export type EncryptedStream = { readonly length: number; readonly octets: OctetStream };

/**
 * `encrypt` for content of any size. All recipients are served before this resolves.
 *
 * @throws SealgateError as `encrypt`; while the result is read `cms.content-changed` for content of another length, and
 *   the content's own
 */
export async function encryptStream(request: EncryptStreamRequest): Promise<EncryptedStream> {
  const { content, contentOctets } = request;
  const envelope = await beginEnvelope(request, contentOctets);
  let begun = false;
  return {
    length: envelope.head.length + envelope.ciphertextOctets + envelope.tailOctets,
    octets: {
      [Symbol.asyncIterator]() {
        if (begun) throw new Error('an encrypted stream was read twice');
        begun = true;
        return encrypted(envelope, ofLength(content, contentOctets))[Symbol.asyncIterator]();
      },
    },
  };
}

/** Octets after which others get their turn, where a source never has to wait. */
const TURN_OCTETS = 256 * 1024;

async function* encrypted({ head, cipher, tailOf }: Envelope, content: OctetStream): OctetStream {
  yield head;
  let sinceTurn = 0;
  for await (const chunk of content) {
    const ciphertext = cipher.update(chunk);
    if (ciphertext.length > 0) yield ciphertext;
    sinceTurn += chunk.length;
    if (sinceTurn >= TURN_OCTETS) {
      sinceTurn = 0;
      await setImmediate();
    }
  }
  const { rest, mac } = cipher.finish();
  const end = Buffer.concat([rest, tailOf(mac)]);
  if (end.length > 0) yield end;
}
