import type { MutationContext } from './mutate.ts';
import { linesOf } from './mutate-lines.ts';
import { mutateTlv } from './mutate-tlv.ts';

const BASE64 = /^[A-Za-z0-9+/]{8,}={0,2}\r?\n?$/;

/** Changes the structure inside a base64 block (a CMS object in a mail, a PEM object) and wraps it again. */
export function mutateWrapped(octets: Buffer, context: MutationContext): Buffer {
  const lines = linesOf(octets);
  const blocks: { start: number; end: number }[] = [];
  for (let i = 0; i < lines.length; i++) {
    if (!BASE64.test(lines[i]?.toString('latin1') ?? '')) continue;
    const last = blocks.at(-1);
    if (last?.end === i) last.end = i + 1;
    else blocks.push({ start: i, end: i + 1 });
  }
  const block = context.random.pick(blocks);
  if (block === undefined) return mutateTlv(octets, context);
  const inner = Buffer.from(Buffer.concat(lines.slice(block.start, block.end)).toString('latin1'), 'base64');
  const changed = mutateTlv(inner, context)
    .toString('base64')
    .replace(/.{1,64}/g, '$&\r\n');
  lines.splice(block.start, block.end - block.start, Buffer.from(changed, 'latin1'));
  return Buffer.concat(lines);
}
