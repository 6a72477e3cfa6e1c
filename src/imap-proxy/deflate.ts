import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { constants, createDeflateRaw, createInflateRaw, type InflateRaw } from 'node:zlib';
import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { FramerSide } from './framer.ts';

/** A connection with DEFLATE on it (RFC 4978 §2, RFC 1951): what is written to `sink` goes out deflated, `source` gives what came inflated. */
export type Deflated = { source: Readable; sink: Writable };

/**
 * Small: a connection needs 105 KB for both directions, where zlib's own choice takes 268 KB; listings become an eighth, mail three
 * quarters. The window of what arrives is the peer's choice (32 KiB).
 */
const OUTGOING = { windowBits: 12, memLevel: 5, level: 6, chunkSize: 8_192 };
const INCOMING = { chunkSize: 8_192 };

/**
 * Puts DEFLATE on a connection. Each write can be read by the peer as soon as it arrives (a sync flush, RFC 1979 §2.1).
 *
 * Must never happen: that a client makes much out of little. What is inflated waits in no more than a few chunks until it is consumed,
 * and what goes beyond `limits.imap.inflatedOctets` may be only so many times what arrived; else `source` fails. A mail server is not
 * bounded: whoever sends a mail of nothing but blanks would end the sessions that read it.
 *
 * @param peer whose connection it is
 * @param rest what has arrived and was not consumed; it is deflated, too
 */
export function deflated(socket: Socket, peer: FramerSide, rest: Buffer): Deflated {
  const sink = createDeflateRaw({ ...OUTGOING, flush: constants.Z_SYNC_FLUSH });
  const source = createInflateRaw({ ...INCOMING, finishFlush: constants.Z_SYNC_FLUSH });
  if (peer === 'client') bound(source);
  if (rest.length > 0) socket.unshift(rest);
  socket.pipe(source);
  sink.pipe(socket);
  // zlib's memory goes with the connection; but what came before its orderly end is still given out.
  socket.once('close', () => {
    if (!socket.readableEnded) source.destroy();
    sink.destroy();
  });
  return { source, sink };
}

function bound(source: InflateRaw): void {
  let inflated = 0;
  source.on('data', (chunk: Buffer) => {
    inflated += chunk.length;
    const most = limits.imap.inflatedOctets + limits.imap.inflation * source.bytesWritten;
    if (inflated > most) source.destroy(bomb());
  });
  source.pause();
}

function bomb(): SealgateError {
  return new SealgateError({
    code: 'imap.inflation',
    publicText: 'The connection is compressed more than mail ever is. Connect again.',
    duration: 'permanent',
    reason: 'more was inflated than is allowed',
  });
}
