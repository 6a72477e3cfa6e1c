import { isUtf8 } from 'node:buffer';
import { SealgateError } from '../errors.ts';
import { canonicalLines, hazardsIn } from './canonical.ts';
import type { HeaderField } from './entity.ts';
import { fieldsNamed, malformedLines } from './header.ts';
import type { Message } from './message.ts';

/**
 * Taking a message apart into what stays outside (who, to whom, when, about what) and the MIME entity that is signed or
 * encrypted (RFC 8551 §3.1: the Content-* fields go with the entity), and putting a message together again.
 */

export type SplitMessage = {
  /** Fields that stay outside, in their order, CRLF, without the empty line. */
  outer: Buffer;
  /** Content-* fields, empty line, body: an entity with a declared Content-Type. */
  entity: Buffer;
};

/**
 * Throws SealgateError `mail.malformed-header` where a line is no field, and where two Content-Type or
 * Content-Transfer-Encoding fields leave it open what would be signed.
 */
export function splitMessage({ octets, root }: Message): SplitMessage {
  if (malformedLines(root.fields).length > 0)
    throw malformedHeader('a line is neither a field nor a continuation');
  for (const name of ['content-type', 'content-transfer-encoding']) {
    if (fieldsNamed(root.fields, name).length > 1)
      throw malformedHeader(`${name} stands there more than once`);
  }
  const slice = (field: HeaderField): Buffer => octets.subarray(field.range.start, field.range.end);
  const stays = root.fields.filter(
    (field) => !isContentField(field) && field.name.toLowerCase() !== 'mime-version',
  );
  const moves = root.fields.filter(isContentField);
  const body = octets.subarray(root.body.start, root.body.end);
  const declared = fieldsNamed(moves, 'content-type').length > 0;
  const header = [...(declared ? [] : [Buffer.from(defaultContentType(body))]), ...moves.map(slice)];
  return {
    outer: headerLines(stays.map(slice)),
    entity: Buffer.concat([headerLines(header), Buffer.from('\r\n'), body]),
  };
}

/**
 * `contentHeader`: Content-* fields of the new root entity, each with CRLF. MIME-Version is written once, before them.
 * The body comes in pieces, so that the octets of a mail are copied once.
 */
export function joinMessage(
  outer: Uint8Array,
  contentHeader: string,
  ...body: readonly Uint8Array[]
): Buffer {
  return Buffer.concat([outer, Buffer.from(`MIME-Version: 1.0\r\n${contentHeader}\r\n`, 'latin1'), ...body]);
}

function isContentField(field: HeaderField): boolean {
  return /^content-/i.test(field.name);
}

function headerLines(fields: readonly Buffer[]): Buffer {
  const lines = canonicalLines(Buffer.concat(fields));
  return lines.length === 0 || lines.at(-1) === 0x0a ? lines : Buffer.concat([lines, Buffer.from('\r\n')]);
}

/** A message without MIME fields is US-ASCII (RFC 2045 §5.2); where it is not, its charset is told as far as it is known. */
function defaultContentType(body: Buffer): string {
  const charset = !hazardsIn(body).eightBit ? 'us-ascii' : isUtf8(body) ? 'utf-8' : 'unknown-8bit';
  return `Content-Type: text/plain; charset=${charset}\r\n`;
}

function malformedHeader(reason: string): SealgateError {
  return new SealgateError({
    code: 'mail.malformed-header',
    publicText: `The header of this message is not written as RFC 5322 and RFC 2045 ask for: ${reason}.`,
    duration: 'permanent',
  });
}
