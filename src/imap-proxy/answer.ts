import type { Range } from '../mail/entity.ts';
import type { MessageView } from '../mail-view/message-view.ts';
import type { OctetStream } from '../octets/source.ts';

/** A range of a view, with every octet of which there is one already. */
export type ViewRange = { view: MessageView; range: Range };

/**
 * One whole response to the client. What it takes from a view is read when it is written, so the view is held until then.
 * Must never happen: a literal whose octets are not all there when its length is said.
 */
export type Answer = {
  readonly pieces: readonly (Buffer | ViewRange)[];
  /** Lets the view go; may be called again. */
  release(): void;
};

/** @throws SealgateError `spool.…` in the middle of it, where the disk fails */
export async function* octetsOf({ pieces }: Answer): OctetStream {
  for (const piece of pieces) {
    if (Buffer.isBuffer(piece)) yield piece;
    else yield* piece.view.read(piece.range);
  }
}
