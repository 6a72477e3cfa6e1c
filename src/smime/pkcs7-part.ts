import { encodeBase64 } from '../mail/transfer-encoding.ts';

/** The entity that carries a CMS object (RFC 8551 §3.2): its Content-* fields and base64 body. */

export type Pkcs7Type = 'signed-data' | 'enveloped-data' | 'authEnveloped-data';

export type Pkcs7Part = { header: string; body: Buffer };

export function pkcs7Part(type: Pkcs7Type, cms: Uint8Array): Pkcs7Part {
  return { header: pkcs7Header(type), body: encodeBase64(cms) };
}

/** Content-* fields of an entity whose body is base64. */
export function pkcs7Header(type: Pkcs7Type): string {
  return (
    `Content-Type: application/pkcs7-mime; smime-type=${type};\r\n name="smime.p7m"\r\n` +
    'Content-Transfer-Encoding: base64\r\n' +
    'Content-Disposition: attachment; filename="smime.p7m"\r\n'
  );
}
