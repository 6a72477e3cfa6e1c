import { limits } from '../limits.ts';
import type { HeaderField } from '../mail/entity.ts';
import { field, readHeader } from '../mail/header.ts';
import { readMediaType } from '../mail/media-type.ts';
import { HeaderEnd } from './header-end.ts';

/**
 * What a stored message is, judged by its root Content-Type alone: a listing that asks for that one field and a
 * client that fetches the whole message must come to the same answer, or a message would change under its UID.
 */
export type MessageClass =
  | 'none'
  /** Encrypted: enveloped or authenticated-enveloped data, or pkcs7-mime that does not say what it is. */
  | 'encrypted'
  /** signed-data inside pkcs7-mime (RFC 8551 §3.5.2): no client without S/MIME can read it. */
  | 'opaque-signed'
  /** multipart/signed (RFC 8551 §3.5.3). */
  | 'clear-signed'
  | 'compressed'
  | 'certificates';

/**
 * `shell`: the client sees the decrypted view; `overlay`: the octets as they are stored, but for a status in the header
 * (clear-signed-overlay.ts); `identity`: the octets as they are stored.
 */
export type ViewKind = 'shell' | 'overlay' | 'identity';

/**
 * Without any key of the reader an encrypted message stays what it is, so that a client with a key of its own can
 * still read it. Opaque signatures need no key.
 */
export function viewKind(messageClass: MessageClass, readerHasKeys: boolean): ViewKind {
  switch (messageClass) {
    case 'encrypted':
      return readerHasKeys ? 'shell' : 'identity';
    case 'opaque-signed':
      return 'shell';
    case 'none':
    case 'clear-signed':
    case 'compressed':
    case 'certificates':
      return 'identity';
  }
}

/**
 * Classifies by header octets: the whole header, or any part of it that holds every Content-Type field.
 * A Content-Type said twice, or not in the grammar, makes `none`: readers disagree on such a message.
 */
export function classifyHeader(header: Buffer): MessageClass {
  // Of a thousand messages nearly all end here; no class but `none` does without one of these words.
  if (!/application\/|multipart\/signed/i.test(header.toString('latin1'))) return 'none';
  const contentTypes = contentTypesOf(header);
  // One that is larger than any header that is read is in no grammar.
  if (contentTypes.length > limits.mail.headerOctets) return 'none';
  return classifyFields(readHeader(contentTypes, 0, contentTypes.length).fields);
}

/** What a server has for `HEADER.FIELDS (CONTENT-TYPE)`. */
function contentTypesOf(octets: Buffer): Buffer {
  const end = new HeaderEnd().in(octets);
  const header = octets.toString('latin1', 0, end === -1 ? octets.length : end);
  const found = header.match(/(?<=^|\n)content-type:[^\n]*(?:\n|$)(?:[ \t][^\n]*(?:\n|$))*/gi) ?? [];
  return Buffer.from(found.join(''), 'latin1');
}

export function classifyFields(fields: readonly HeaderField[]): MessageClass {
  const found = field(fields, 'content-type');
  if (found.kind !== 'one') return 'none';
  const mediaType = readMediaType(found.field.value);
  if (mediaType === null) return 'none';
  const parameter = (name: string): string => mediaType.parameters.get(name)?.toLowerCase() ?? '';
  switch (`${mediaType.type}/${mediaType.subtype}`) {
    case 'application/pkcs7-mime':
    case 'application/x-pkcs7-mime':
      return ofSmimeType(parameter('smime-type'), parameter('name'));
    case 'application/octet-stream':
      return parameter('name').endsWith('.p7m') ? 'encrypted' : 'none';
    case 'multipart/signed':
      return /^application\/(x-)?pkcs7-signature$/.test(parameter('protocol')) ? 'clear-signed' : 'none';
    default:
      return 'none';
  }
}

// RFC 8551 §3.2.2
function ofSmimeType(smimeType: string, name: string): MessageClass {
  switch (smimeType) {
    case 'signed-data':
      return 'opaque-signed';
    case 'compressed-data':
      return 'compressed';
    case 'certs-only':
      return 'certificates';
    default:
      return smimeType === '' && name.endsWith('.p7c') ? 'certificates' : 'encrypted';
  }
}
