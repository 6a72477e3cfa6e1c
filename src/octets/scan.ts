import type { OctetSource, OctetStream } from './source.ts';

/** Looks at octets that are only there during the call. `stop`: what follows is not wanted. */
export type Look = (octets: Buffer) => 'stop' | undefined;

/**
 * A source that can be looked through without making a chunk for each octet: the same Buffer comes again and again. Only for
 * looks that keep nothing of it.
 */
export interface ScannableSource extends OctetSource {
  /** In the order of the octets, in pieces of any size. Resolves to `stop` if that was said. */
  scan(look: Look, start: number, end: number): Promise<'stop' | undefined>;
  /** `read` for those who are done with a chunk before they ask for the next one. */
  borrow(start: number, end: number): OctetStream;
}

/** The octets in chunks that are only there until the next one is asked for, if the source has it so; else as `read` does. */
export function borrowed(source: OctetSource, start = 0, end = source.length): OctetStream {
  return isScannable(source) ? source.borrow(start, end) : source.read(start, end);
}

/** Looks through the octets from `start` to before `end`, in the cheapest way that the source has. */
export async function scan(
  source: OctetSource,
  look: Look,
  start = 0,
  end = source.length,
): Promise<'stop' | undefined> {
  if (isScannable(source)) return source.scan(look, start, end);
  for await (const chunk of source.read(start, end)) {
    if (look(chunk) === 'stop') return 'stop';
  }
  return undefined;
}

function isScannable(source: OctetSource): source is ScannableSource {
  return 'scan' in source;
}
