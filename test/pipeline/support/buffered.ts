import { collect } from '../../../src/octets/collect.ts';
import type { OpenOutcome } from '../../../src/pipeline/ports.ts';

/** What opening a mail led to, its content in memory. */
export type BufferedOutcome =
  | Exclude<OpenOutcome, { kind: 'opened' }>
  | (Omit<Extract<OpenOutcome, { kind: 'opened' }>, 'entity' | 'discard'> & { entity: Buffer });

/** Takes the content out of wherever it lies, and lets that go. */
export async function buffered(opening: Promise<OpenOutcome>): Promise<BufferedOutcome> {
  const outcome = await opening;
  if (outcome.kind !== 'opened') return outcome;
  const { discard, entity, ...rest } = outcome;
  const octets = await collect(entity.read());
  await discard?.();
  return { ...rest, entity: octets };
}
