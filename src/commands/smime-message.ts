import { readRootFrom } from '../mail/entity-source.ts';
import { canonicalField, protectedFields, withProtectedFields } from '../mail-view/protected-fields.ts';
import { bufferSource, sliceOf } from '../octets/buffer-source.ts';
import { collect } from '../octets/collect.ts';
import { joinedSource } from '../octets/joined-source.ts';
import type { OctetSource } from '../octets/source.ts';
import type { StreamOpening } from '../smime/open-stream.ts';

/**
 * An opened message as a mail of its own: the fields that were outside, those that were protected in their places, and the
 * entity that was inside, of which only the Content-* fields count: others would pass for the mail's own. A message that had
 * nothing to take off stays as it is.
 */
export async function openedMessage(message: OctetSource, opening: StreamOpening): Promise<OctetSource> {
  const { entity } = opening;
  if (entity === message) return message;
  const outer = await fieldsOf(
    message,
    (name) => !isContentField(name) && name.toLowerCase() !== 'mime-version',
  );
  const shown = opening.header === null ? null : protectedFields(opening.header);
  const content = await fieldsOf(entity, isContentField);
  const head = [
    ...withProtectedFields(outer.fields, shown),
    'MIME-Version: 1.0\r\n',
    ...content.fields,
    '\r\n',
  ];
  const body = sliceOf(entity, content.bodyStart, entity.length);
  return joinedSource([bufferSource(Buffer.from(head.join(''), 'latin1')), body]);
}

async function fieldsOf(message: OctetSource, isWanted: (name: string) => boolean) {
  const { header, body, fields } = await readRootFrom(message);
  const octets = await collect(message.read(0, header.end));
  const wanted = fields
    .filter(({ name }) => name !== '' && isWanted(name))
    .map(({ range }) => canonicalField(octets.toString('latin1', range.start, range.end)));
  return { fields: wanted, bodyStart: body.start };
}

function isContentField(name: string): boolean {
  return /^content-/i.test(name);
}
