import { readBeginningOf } from '../asn1/read-octets.ts';
import { peekedRecipients } from '../cms/enveloped-data.ts';
import { identifies } from '../cms/identifiers.ts';
import { isUnreadable } from '../cms/malformed.ts';
import { Base64Decoder } from '../mail/base64.ts';
import { readRootFrom } from '../mail/entity-source.ts';
import { QuotedPrintableDecoder } from '../mail/quoted-printable.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import type { Certificate } from '../pki/certificate.ts';
import { isMailError } from './mail-error.ts';

/** The first octets of an encrypted message. */
export type MessageBeginning = {
  /** Header fields, Content-Transfer-Encoding among them, CRLF, with the empty line. */
  header: Buffer;
  /** The body as it is stored, from its first octet on. */
  body: Buffer;
  /** Whether that is all of it. */
  whole: boolean;
};

/**
 * Whether a message is encrypted to one of these certificates, as far as its beginning says (RFC 5652 §6.1). `unknown`: its
 * recipients end behind what is there, or it is something else. No key is used.
 */
export async function recipientsAmong(
  { header, body, whole }: MessageBeginning,
  certificates: readonly Certificate[],
): Promise<'named' | 'not-named' | 'unknown'> {
  try {
    const { transferEncoding } = await readRootFrom(bufferSource(header));
    const octets = decodedBeginning(transferEncoding, body, whole);
    const read = octets === null ? null : readBeginningOf(octets, whole, peekedRecipients);
    if (read === null) return 'unknown';
    const named = read.value.some((recipient) =>
      certificates.some((certificate) => identifies(recipient, certificate)),
    );
    return named ? 'named' : 'not-named';
  } catch (error) {
    if (isUnreadable(error) || isMailError(error)) return 'unknown';
    throw error;
  }
}

/** null: in an encoding that is none. */
function decodedBeginning(transferEncoding: string, body: Buffer, whole: boolean): Buffer | null {
  switch (transferEncoding) {
    case '7bit':
    case '8bit':
    case 'binary':
      return body;
    case 'base64':
      return new Base64Decoder().decode(body, whole);
    case 'quoted-printable':
      return new QuotedPrintableDecoder().convert(body, whole).output;
    default:
      return null;
  }
}
