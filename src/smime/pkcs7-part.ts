import { base64Length, writeBase64 } from '../mail/base64.ts';
import { joinMessage } from '../mail/compose.ts';

/** The entity that carries a CMS object (RFC 8551 §3.2): its Content-* fields and base64 body. */

export type Pkcs7Type = 'signed-data' | 'enveloped-data' | 'authEnveloped-data';

/** A whole message around a CMS object; its octets are written once, in their place. */
export function pkcs7Message(outer: Uint8Array, type: Pkcs7Type, cms: Uint8Array): Buffer {
  const head = joinMessage(outer, pkcs7Header(type));
  const message = Buffer.allocUnsafe(head.length + base64Length(cms.length));
  head.copy(message);
  writeBase64(message, head.length, cms);
  return message;
}

/** Content-* fields of an entity whose body is base64. */
export function pkcs7Header(type: Pkcs7Type): string {
  return (
    `Content-Type: application/pkcs7-mime; smime-type=${type};\r\n name="smime.p7m"\r\n` +
    'Content-Transfer-Encoding: base64\r\n' +
    'Content-Disposition: attachment; filename="smime.p7m"\r\n'
  );
}
