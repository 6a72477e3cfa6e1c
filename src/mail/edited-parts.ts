import { limits } from '../limits.ts';
import { bufferSource, sliceOf } from '../octets/buffer-source.ts';
import { collect } from '../octets/collect.ts';
import { joinedSource } from '../octets/joined-source.ts';
import type { OctetSource } from '../octets/source.ts';
import type { Entity, Range } from './entity.ts';

/** What becomes of a part; its ranges count in `octets`, which are of the part alone. null: it stays as it is. */
export type PartEdit = (octets: Buffer, part: Entity) => Buffer | null;

/**
 * An entity of any size in which some parts are others. One part at a time is in memory, and again each time the result is read;
 * parts of more than limits.mail.legacyDisplayOctets stay as they are.
 *
 * @param parts in their order, none inside another
 * @param which whether the edit gives the whole part or its body
 * @returns the same source where nothing is to do
 */
export async function withEditedParts(
  entity: OctetSource,
  parts: readonly Entity[],
  which: 'range' | 'body',
  edit: PartEdit,
): Promise<OctetSource> {
  const pieces: OctetSource[] = [];
  let at = 0;
  for (const part of parts) {
    if (part.range.end - part.range.start > limits.mail.legacyDisplayOctets) continue;
    const edited = await editedPart(entity, part, edit);
    if (edited === null) continue;
    pieces.push(sliceOf(entity, at, part[which].start), edited);
    at = part[which].end;
  }
  return pieces.length === 0 ? entity : joinedSource([...pieces, sliceOf(entity, at, entity.length)]);
}

async function editedPart(entity: OctetSource, part: Entity, edit: PartEdit): Promise<OctetSource | null> {
  const { start, end } = part.range;
  const alone = moved(part, -start);
  const make = async (): Promise<Buffer | null> => edit(await collect(entity.read(start, end)), alone);
  const first = await make();
  if (first === null) return null;
  const { length } = first;
  return {
    length,
    async *read(from = 0, to = length) {
      yield* bufferSource((await make()) ?? Buffer.alloc(0)).read(from, to);
    },
  };
}

function moved(entity: Entity, by: number): Entity {
  const move = ({ start, end }: Range): Range => ({ start: start + by, end: end + by });
  return {
    ...entity,
    range: move(entity.range),
    header: move(entity.header),
    body: move(entity.body),
    fields: entity.fields.map((field) => ({ ...field, range: move(field.range) })),
    parts: entity.parts.map((part) => moved(part, by)),
  };
}
