import type { WrittenDigestName } from '../cms/digests.ts';
import { encodeBase64 } from '../mail/transfer-encoding.ts';

/** multipart/signed as it is written (RFC 8551 §3.5.3), without what is signed. */
export type MultipartSigned = {
  /** Content-Type of the whole. */
  header: string;
  /** Before and after what is signed. */
  before: Buffer;
  after: Buffer;
};

/**
 * @param digests of what is signed, that the signers used
 * @param cms the signatures, DER
 */
export function multipartSigned(
  boundary: string,
  digests: readonly WrittenDigestName[],
  cms: Uint8Array,
): MultipartSigned {
  return {
    header:
      'Content-Type: multipart/signed; protocol="application/pkcs7-signature";\r\n' +
      ` micalg=${micalg(digests)}; boundary="${boundary}"\r\n`,
    before: Buffer.from(`--${boundary}\r\n`, 'latin1'),
    after: Buffer.concat([
      Buffer.from(`\r\n--${boundary}\r\n${SIGNATURE_HEADER}`, 'latin1'),
      encodeBase64(cms),
      Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1'),
    ]),
  };
}

/** One name as a token, several as a list in quotes (RFC 8551 §3.5.3.2). */
function micalg(digests: readonly WrittenDigestName[]): string {
  const names = digests.map((digest) => MICALG[digest]);
  return names.length === 1 ? names.join('') : `"${names.join(',')}"`;
}

const MICALG: Record<WrittenDigestName, string> = {
  sha1: 'sha-1',
  sha224: 'sha-224',
  sha256: 'sha-256',
  sha384: 'sha-384',
  sha512: 'sha-512',
  shake256: 'unknown',
};

const SIGNATURE_HEADER =
  'Content-Type: application/pkcs7-signature; name="smime.p7s"\r\n' +
  'Content-Transfer-Encoding: base64\r\n' +
  'Content-Disposition: attachment; filename="smime.p7s"\r\n\r\n';
