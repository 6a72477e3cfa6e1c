import { CHUNK_OCTETS, type OctetStream } from './source.ts';

/**
 * Turns octets into others as they come, chunk by chunk. A transform has a memory, so it serves one stream.
 * Holds: what comes out does not depend on where the chunks end.
 */
export interface OctetTransform {
  /** What can be said of the octets so far; may be empty. */
  update(octets: Buffer): Buffer;
  /** The rest. Nothing happens after it. */
  finish(): Buffer;
}

/** What became of the octets before `consumed`; those from there on need to be seen together with what follows. */
export type Converted = { output: Buffer; consumed: number };

const NOTHING = Buffer.alloc(0);

/** A transform that looks ahead: what it cannot decide yet is put before the next octets. */
export abstract class CarryingTransform implements OctetTransform {
  #carry: Buffer = NOTHING;

  update(octets: Buffer): Buffer {
    const block = this.#carry.length === 0 ? octets : Buffer.concat([this.#carry, octets]);
    const { output, consumed } = this.convert(block, false);
    this.#carry = block.subarray(consumed);
    return output;
  }

  finish(): Buffer {
    const { output } = this.convert(this.#carry, true);
    this.#carry = NOTHING;
    return output;
  }

  /** @param last whether nothing follows `octets`, so that all of them have to be consumed */
  abstract convert(octets: Buffer, last: boolean): Converted;
}

/** The transform of a stream, in chunks of at most CHUNK_OCTETS. */
export async function* transformed(stream: OctetStream, transform: OctetTransform): OctetStream {
  for await (const chunk of stream) yield* inChunks(transform.update(chunk));
  yield* inChunks(transform.finish());
}

function* inChunks(octets: Buffer): Iterable<Buffer> {
  if (octets.length <= CHUNK_OCTETS) {
    if (octets.length > 0) yield octets;
    return;
  }
  for (let at = 0; at < octets.length; at += CHUNK_OCTETS) yield octets.subarray(at, at + CHUNK_OCTETS);
}

/** Transforms one after another, as one. */
export class ChainedTransform implements OctetTransform {
  readonly #links: readonly OctetTransform[];

  constructor(...links: readonly OctetTransform[]) {
    this.#links = links;
  }

  update(octets: Buffer): Buffer {
    return this.#links.reduce<Buffer>((given, link) => link.update(given), octets);
  }

  finish(): Buffer {
    return this.#links.reduce<Buffer>((rest, link) => lastOf(link, rest), NOTHING);
  }
}

/** The transform of octets that are all there. `transform` is used up. */
export function transformWhole(octets: Buffer, transform: OctetTransform): Buffer {
  return transform instanceof CarryingTransform
    ? transform.convert(octets, true).output
    : lastOf(transform, octets);
}

function lastOf(transform: OctetTransform, octets: Buffer): Buffer {
  const given = octets.length === 0 ? NOTHING : transform.update(octets);
  const rest = transform.finish();
  if (rest.length === 0) return given;
  return given.length === 0 ? rest : Buffer.concat([given, rest]);
}
