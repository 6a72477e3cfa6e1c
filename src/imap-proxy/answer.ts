import type { Range } from '../mail/entity.ts';
import { borrowed } from '../octets/scan.ts';
import type { OctetSource, OctetStream } from '../octets/source.ts';

/** A range of octets that are all there already: of a view, or made of it. */
export type SourceRange = { source: OctetSource; range: Range };

/**
 * One whole response to the client. What it takes from a view is read when it is written, so the view is held until then.
 * Must never happen: a literal whose octets are not all there when its length is said.
 */
export type Answer = {
  readonly pieces: readonly (Buffer | SourceRange)[];
  /** Lets the view go; may be called again. */
  release(): void;
};

/** Each chunk is there until the next one is asked for. @throws SealgateError `spool.…` in the middle of it, where the disk fails */
export async function* octetsOf({ pieces }: Answer): OctetStream {
  for (const piece of pieces) {
    if (Buffer.isBuffer(piece)) yield piece;
    else yield* borrowed(piece.source, piece.range.start, piece.range.end);
  }
}
