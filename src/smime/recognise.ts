import type { Entity, MediaType } from '../mail/entity.ts';
import { field } from '../mail/header.ts';
import { readParameterised } from '../mail/media-type.ts';

/**
 * What a message is by the header of its root entity (RFC 8551 §3.2.2, §3.5, §3.10): a hint that needs no octet of the
 * body. What the CMS inside really is, only open.ts finds out.
 *
 * Only the root counts: an encrypted part next to others is theirs who put the others there, and is not decrypted.
 */
export type SmimeKind =
  | 'none'
  /** Also where smime-type is absent: mostly encrypted mail, and never less than CMS. */
  | 'enveloped'
  | 'auth-enveloped'
  | 'signed-opaque'
  | 'signed-clear'
  | 'compressed'
  | 'certs-only';

export function recognise({ root }: { root: Entity }): SmimeKind {
  if (!root.declared) return 'none';
  const { type, subtype, parameters } = root.mediaType;
  switch (`${type}/${subtype}`) {
    case 'application/pkcs7-mime':
    case 'application/x-pkcs7-mime':
      return byType(parameters.get('smime-type')?.toLowerCase(), fileNames(root));
    case 'application/octet-stream':
      return fileNames(root).some((name) => name.endsWith('.p7m')) ? 'enveloped' : 'none';
    case 'multipart/signed':
      return isPkcs7Signature(parameters.get('protocol')) ? 'signed-clear' : 'none';
    default:
      return 'none';
  }
}

/** Whether the declared type alone says CMS, so that content which is not CMS is damage and not an accident of names. */
export function isDeclaredCms({ type, subtype }: MediaType): boolean {
  return type === 'application' && (subtype === 'pkcs7-mime' || subtype === 'x-pkcs7-mime');
}

/** Media type of a detached signature; `x-` was used before RFC 2633. */
export function isPkcs7Signature(mediaType: string | undefined): boolean {
  return /^application\/(?:x-)?pkcs7-signature$/i.test(mediaType?.trim() ?? '');
}

function byType(smimeType: string | undefined, names: readonly string[]): SmimeKind {
  switch (smimeType) {
    case 'enveloped-data':
      return 'enveloped';
    // RFC 8551 §3.4; the others are written by some senders.
    case 'authenveloped-data':
    case 'authenticated-enveloped-data':
    case 'auth-enveloped-data':
      return 'auth-enveloped';
    case 'signed-data':
    case 'signed-receipt':
      return 'signed-opaque';
    case 'certs-only':
      return 'certs-only';
    case 'compressed-data':
      return 'compressed';
    default:
      return names.some((name) => name.endsWith('.p7c')) ? 'certs-only' : 'enveloped';
  }
}

/** `name` of Content-Type and `filename` of Content-Disposition, lower case. */
function fileNames(root: Entity): readonly string[] {
  const disposition = field(root.fields, 'content-disposition');
  const filename =
    disposition.kind === 'one'
      ? readParameterised(disposition.field.value)?.parameters.get('filename')
      : undefined;
  return [root.mediaType.parameters.get('name'), filename]
    .filter((name) => name !== undefined)
    .map((name) => name.trim().toLowerCase());
}
