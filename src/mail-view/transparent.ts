import type { Entity } from '../mail/entity.ts';
import { boundaryOf } from '../mail/entity-tree.ts';
import { fieldsNamed, readHeader } from '../mail/header.ts';
import { bufferSource, sliceOf } from '../octets/buffer-source.ts';
import { collectFrom } from '../octets/collect.ts';
import type { OctetSource } from '../octets/source.ts';
import type { CanonicalEntity } from './canonical-entity.ts';
import { canonicalField } from './protected-fields.ts';

/** What was found in a message as the body of its view, without a multipart of ours around it. */
export type TransparentBody = {
  /** MIME-Version and the entity's own Content-* fields. */
  fields: readonly string[];
  /** It ends with a line end; what follows is epilogue. */
  body: readonly OctetSource[];
};

/**
 * null: it cannot be shown so. Only a multipart has an epilogue, where padding is nobody's content (RFC 2046 §5.1.1), and only one
 * that was closed: behind one that was not, padding would be part of its last part.
 *
 * @param alsoWithoutPadding nothing follows it: what is in no multipart can be shown so too
 */
export async function transparentBody(
  { octets, root }: CanonicalEntity,
  alsoWithoutPadding = false,
): Promise<TransparentBody | null> {
  if (!(alsoWithoutPadding ? isUnambiguous(root) : await mayBePadded(octets, root))) return null;
  const header = await collectFrom(octets, 0, root.header.end);
  const content = readHeader(header, 0, header.length)
    .fields.filter(({ name }) => name.toLowerCase().startsWith('content-'))
    .map(({ range }) => canonicalField(header.toString('latin1', range.start, range.end)));
  const body = sliceOf(octets, root.body.start, octets.length);
  const end = await collectFrom(octets, Math.max(0, octets.length - 2), octets.length);
  const ended = end.toString('latin1') === CRLF;
  return {
    fields: [`MIME-Version: 1.0${CRLF}`, ...content],
    body: ended ? [body] : [body, bufferSource(Buffer.from(CRLF))],
  };
}

const CRLF = '\r\n';

async function mayBePadded(octets: OctetSource, root: Entity): Promise<boolean> {
  const boundary = boundaryOf(root.mediaType);
  return boundary !== null && root.declared && (await isClosed(octets, root, boundary));
}

/** Whether readers agree on what it is (RFC 2045 §5.2: text where nothing is said). */
function isUnambiguous({ declared, fields }: Entity): boolean {
  return declared || fieldsNamed(fields, 'content-type').length === 0;
}

/** Whether the close delimiter follows the last part. Lines are clean. */
async function isClosed(octets: OctetSource, { parts }: Entity, boundary: string): Promise<boolean> {
  const last = parts.at(-1);
  if (last === undefined) return false;
  const close = `${CRLF}--${boundary}--`;
  const start = last.range.end;
  const found = await collectFrom(octets, start, Math.min(octets.length, start + close.length));
  return found.toString('latin1') === close;
}
