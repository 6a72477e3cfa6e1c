import { once } from 'node:events';
import type { Socket } from 'node:net';
import { LdapMessages, ldapAnswer } from './messages.ts';

/**
 * StartTLS (RFC 4511 §4.14), said on a connection on which nothing else was said. What comes behind the answer in the clear would be
 * taken for what the server says under TLS, so it is an error.
 */
export async function startTls(socket: Socket, signal: AbortSignal): Promise<void> {
  const messages = new LdapMessages({ messageOctets: 4_096, octets: 8_192, messages: 1 });
  const answer = Promise.withResolvers<Buffer>();
  const data = (piece: Buffer) => {
    try {
      const [message, ...others] = messages.push(piece);
      if (message === undefined) return;
      if (others.length > 0 || !messages.isAtStart) throw ldapAnswer('more came than the answer to StartTLS');
      answer.resolve(message);
    } catch (error) {
      answer.reject(error);
    }
  };
  const closed = () => answer.reject(ldapAnswer('it closed the connection'));
  socket.on('data', data);
  socket.once('close', closed);
  try {
    socket.write(REQUEST);
    const aborted = once(signal, 'abort').then(() => {
      throw ldapAnswer('no answer in time');
    });
    // Whether it is aborted later is nobody's any more.
    aborted.catch(() => undefined);
    if (signal.aborted) throw ldapAnswer('no answer in time');
    const message = await Promise.race([answer.promise, aborted]);
    if (!isAgreed(message)) throw ldapAnswer('it does not do StartTLS');
  } finally {
    socket.off('data', data);
    socket.off('close', closed);
    socket.pause();
  }
}

/** RFC 4511 §4.14.1. */
const NAME = Buffer.from('1.3.6.1.4.1.1466.20037', 'latin1');
/** LDAPMessage { messageID 1, extendedReq [APPLICATION 23] { requestName [0] } } */
const REQUEST = Buffer.concat([
  Buffer.from([0x30, NAME.length + 7, 0x02, 0x01, 0x01, 0x77, NAME.length + 2, 0x80, NAME.length]),
  NAME,
]);

/** messageID 1, extendedResp [APPLICATION 24], resultCode success. Lengths may be written in longer forms. */
function isAgreed(message: Buffer): boolean {
  const response = inside(message, 0x30);
  if (response === null || !response.subarray(0, 3).equals(Buffer.from([0x02, 0x01, 0x01]))) return false;
  const result = inside(response.subarray(3), 0x78);
  return result?.subarray(0, 3).equals(Buffer.from([0x0a, 0x01, 0x00])) ?? false;
}

function inside(octets: Buffer, identifier: number): Buffer | null {
  const [first, length = 0] = octets;
  if (first !== identifier) return null;
  return octets.subarray(length < 0x80 ? 2 : 2 + (length & 0x7f));
}
