import { setImmediate } from 'node:timers/promises';
import { SealgateError } from '../errors.ts';
import type { OctetStream } from '../octets/source.ts';
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
        return encrypted(envelope, content, contentOctets)[Symbol.asyncIterator]();
      },
    },
  };
}

/** Octets after which others get their turn, where a source never has to wait. */
const TURN_OCTETS = 256 * 1024;

async function* encrypted(envelope: Envelope, content: OctetStream, contentOctets: number): OctetStream {
  const { cipher } = envelope;
  yield envelope.head;
  let left = contentOctets;
  let sinceTurn = 0;
  for await (const chunk of content) {
    left -= chunk.length;
    if (left < 0) throw contentChanged('more');
    const ciphertext = cipher.update(chunk);
    if (ciphertext.length > 0) yield ciphertext;
    sinceTurn += chunk.length;
    if (sinceTurn >= TURN_OCTETS) {
      sinceTurn = 0;
      await setImmediate();
    }
  }
  if (left > 0) throw contentChanged('less');
  const { rest, mac } = cipher.finish();
  const end = Buffer.concat([rest, envelope.tailOf(mac)]);
  if (end.length > 0) yield end;
}

function contentChanged(found: string): SealgateError {
  return new SealgateError({
    code: 'cms.content-changed',
    publicText: 'The message changed while it was being encrypted; send it again.',
    duration: 'temporary',
    reason: `${found} content than announced`,
  });
}
