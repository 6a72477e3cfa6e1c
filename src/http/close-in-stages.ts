import type { Socket } from 'node:net';

/**
 * Ends a connection whose answer has been written (RFC 9112 §9.6): says that nothing more comes, and takes for a moment what its client is
 * still sending. Closed at once, the connection would be reset by that, and the answer lost to a client that has not read it yet, such
 * as the sentence that a form is too long.
 *
 * @param lingerMs milliseconds for which the client may go on sending
 */
export function closeInStages(socket: Socket, lingerMs: number): void {
  if (socket.destroyed) return;
  // No further request is read. A listener of our own takes the octets from the parser, which is fed beneath the stream.
  socket.removeAllListeners('data');
  socket.on('data', () => undefined);
  socket.once('end', () => socket.destroy());
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.once('close', () => clearTimeout(timer));
  socket.end();
  socket.resume();
}
