import { limits } from '../limits.ts';
import type { Entity, HeaderField } from '../mail/entity.ts';
import { readEntityFrom } from '../mail/entity-source.ts';
import { mayHaveLegacyDisplay, strippedBody } from '../mail/header-protection-display.ts';
import { bufferSource, sliceOf } from '../octets/buffer-source.ts';
import { collect } from '../octets/collect.ts';
import { joinedSource } from '../octets/joined-source.ts';
import type { OctetSource } from '../octets/source.ts';
import { isMailError } from './open.ts';
import { type OpenedHeader, openHeader } from './protected-header.ts';
import type { Layer } from './report.ts';

/** The header of an opened message of any size: what protected-header.ts says of it, over sources. */

/** `openHeader`, of which no octet behind the header of a message in the payload is needed. null: nothing is protected. */
export async function openedHeaderOf(
  payload: OctetSource,
  root: Entity,
  outer: readonly HeaderField[],
  layers: readonly Layer[],
  replaces: boolean,
): Promise<OpenedHeader | null> {
  const enough = root.body.start + limits.mail.headerOctets + limits.mail.boundaryLineOctets;
  const octets = await collect(payload.read(0, Math.min(payload.length, enough)));
  try {
    const opened = openHeader({ octets, root }, outer, layers, replaces);
    // A payload beyond the bounds of what is read as mail has no header to be believed.
    if (opened !== null) await readEntityFrom(payload);
    return opened;
  } catch (error) {
    if (isMailError(error)) return null;
    throw error;
  }
}

/** What is left once the header is shown as one. A clear signature inside stays whole, where nothing has to go from in it. */
export async function streamToShow(
  header: OpenedHeader['header'],
  payload: OctetSource,
  shown: OctetSource,
): Promise<OctetSource> {
  const body = sliceOf(payload, header.body.start, header.body.end);
  const whole = joinedSource([bufferSource(header.contentHeader), body]);
  const content = header.kind === 'cipher' ? await withoutLegacyDisplay(whole) : whole;
  const repeats = header.scheme === 'wrapped' || content !== whole;
  return shown === payload || repeats ? content : shown;
}

/** The entity without its Legacy Display Elements (RFC 9788 §4.5.3); the same source where there are none. */
async function withoutLegacyDisplay(entity: OctetSource): Promise<OctetSource> {
  const pieces: OctetSource[] = [];
  let at = 0;
  for (const part of leaves(await readEntityFrom(entity))) {
    const body = await strippedFrom(entity, part);
    if (body === null) continue;
    pieces.push(sliceOf(entity, at, part.body.start), body);
    at = part.body.end;
  }
  return pieces.length === 0 ? entity : joinedSource([...pieces, sliceOf(entity, at, entity.length)]);
}

function leaves(entity: Entity): Entity[] {
  return entity.parts.length === 0 ? [entity] : entity.parts.flatMap(leaves);
}

/** The body without the element, made anew while it is read; null: as it is. */
async function strippedFrom(entity: OctetSource, part: Entity): Promise<OctetSource | null> {
  if (!mayHaveLegacyDisplay(part)) return null;
  const { start, end } = part.body;
  const strip = async (): Promise<Buffer | null> => {
    const octets = await collect(entity.read(start, end));
    return strippedBody(octets, { ...part, body: { start: 0, end: octets.length } });
  };
  const first = await orNull(strip);
  if (first === null) return null;
  const { length } = first;
  return {
    length,
    async *read(from = 0, to = length) {
      yield* bufferSource((await strip()) ?? Buffer.alloc(0)).read(from, to);
    },
  };
}

/** What cannot be decoded is shown as it is. */
async function orNull(strip: () => Promise<Buffer | null>): Promise<Buffer | null> {
  try {
    return await strip();
  } catch (error) {
    if (isMailError(error)) return null;
    throw error;
  }
}
