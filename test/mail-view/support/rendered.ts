import { type RenderedView, type RenderRequest, renderView } from '../../../src/mail-view/render.ts';
import { bufferSource } from '../../../src/octets/buffer-source.ts';
import { collect } from '../../../src/octets/collect.ts';
import { encryptedSpool } from '../../../src/octets/encrypted-spool.ts';

type Rendered = Omit<RenderedView, 'octets' | 'discard'> & { octets: Buffer };

/** `renderView` for an original in memory; the view is collected. */
export async function rendered(
  request: Omit<RenderRequest, 'original' | 'spool'> & { original: Buffer },
): Promise<Rendered> {
  const { original, ...rest } = request;
  const view = await renderView({ ...rest, original: bufferSource(original), spool: encryptedSpool() });
  const octets = await collect(view.octets.read());
  await view.discard();
  return { octets, overflow: view.overflow, annotation: view.annotation };
}
