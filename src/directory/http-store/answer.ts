import { SealgateError } from '../../errors.ts';
import { limits } from '../../limits.ts';
import type { Entity } from '../../mail/entity.ts';
import { readMessage } from '../../mail/entity-tree.ts';
import { decodeBody } from '../../mail/transfer-encoding.ts';
import { readCertificates } from '../../pki/certificate-file.ts';

/**
 * The values in which certificates are, of what an HTTP certificate store gives (RFC 4387 §2): one certificate, several in the parts of a
 * multipart/mixed, or SignedData with certificates, as stores give that are older than that. What the octets are counts; of the media type
 * only whether there are parts. Pure.
 *
 * @throws SealgateError `directory.http-answer` (temporary): nothing in it is a certificate, so it is something else than an answer
 */
export function storeValues(contentType: string, octets: Buffer): readonly Buffer[] {
  const values = partsOf(contentType, octets);
  if (values.length === 0 || !values.some(isReadable)) {
    throw httpAnswer('what it gives has no certificate in it');
  }
  return values;
}

function partsOf(contentType: string, octets: Buffer): readonly Buffer[] {
  if (!/^\s*multipart\//i.test(contentType)) return [octets];
  // A header of HTTP has no line end in it.
  const head = Buffer.from(`Content-Type: ${contentType}\r\n\r\n`, 'latin1');
  try {
    const message = readMessage(Buffer.concat([head, octets]));
    return leaves(message.root).map((part) => decodeBody(message.octets, part));
  } catch (error) {
    throw httpAnswer(error instanceof SealgateError ? (error.reason ?? error.code) : String(error));
  }
}

function leaves(entity: Entity): readonly Entity[] {
  return entity.parts.flatMap((part) => (part.parts.length === 0 ? [part] : leaves(part)));
}

function isReadable(value: Buffer, index: number): boolean {
  if (index >= limits.directory.answerValues) return false;
  try {
    return readCertificates(value).length > 0;
  } catch {
    return false;
  }
}

/** What a store says is no answer. @param reason for the log */
export function httpAnswer(reason: string): SealgateError {
  return new SealgateError({
    code: 'directory.http-answer',
    publicText: 'The certificate store gave no answer that can be used.',
    duration: 'temporary',
    reason,
  });
}
