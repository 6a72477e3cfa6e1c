import type { UserIdentity } from '../../../src/evaluation/throwaway-pki.ts';
import { crlf, encrypted, mailOf } from '../../attacks/support/openssl-mail.ts';
import { outerFields } from './message-classes.ts';

/** An encrypted mail of exactly `size` octets. Its text begins with `exact size`. */
export async function sealedOfSize(size: number, recipient: UserIdentity): Promise<Buffer> {
  const lines = 'An ordinary line of an ordinary text, about seventy characters long.\r\n';
  // Base64 in lines of 64: 66 octets for 48.
  const room = Math.floor(((size - 2_000) * 48) / 66);
  const words = `exact size\n${lines.repeat(Math.max(0, Math.floor(room / lines.length)))}`;
  const sealed = await encrypted(crlf(`Content-Type: text/plain\n\n${words}`), [recipient], {
    cipher: 'aes-256-gcm',
  });
  const bare = mailOf(outerFields(`size ${size}`), sealed).length;
  const fields = padding(size - bare);
  const mail = mailOf([...fields, ...outerFields(`size ${size}`)], sealed);
  if (mail.length !== size) throw new Error(`${mail.length} octets for ${size}`);
  return mail;
}

/** Header fields of so many octets together, line ends included; none is longer than a line may be. */
function padding(octets: number): string[] {
  const fields: string[] = [];
  let left = octets;
  while (left > 0) {
    // `X-Pad: ` and a line end are nine; what is left over has to be enough for another field.
    const length = left <= 900 ? left : 800;
    if (length < 10) throw new Error(`${length} octets are no field`);
    fields.push(`X-Pad: ${'x'.repeat(length - 9)}`);
    left -= length;
  }
  return fields;
}
