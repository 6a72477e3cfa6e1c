import { limits } from '../limits.ts';
import type { Entity, HeaderField } from '../mail/entity.ts';
import { readEntityFrom } from '../mail/entity-source.ts';
import { withoutLegacyDisplayFrom } from '../mail/header-protection-display.ts';
import { bufferSource, sliceOf } from '../octets/buffer-source.ts';
import { collect } from '../octets/collect.ts';
import { joinedSource } from '../octets/joined-source.ts';
import type { OctetSource } from '../octets/source.ts';
import { isMailError } from './mail-error.ts';
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
  const content = header.kind === 'cipher' ? await withoutLegacyDisplayFrom(whole) : whole;
  const repeats = header.scheme === 'wrapped' || content !== whole;
  return shown === payload || repeats ? content : shown;
}
