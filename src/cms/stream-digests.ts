import { createHash, type Hash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { limits } from '../limits.ts';
import type { OctetStream, SizedOctets } from '../octets/source.ts';
import { type ContentDigestName, digestOctets } from './digests.ts';

/** Digests of octets that come by. */
export class RunningDigests {
  readonly #hashes = new Map<ContentDigestName, Hash>();

  constructor(names: Iterable<ContentDigestName>) {
    for (const name of names) {
      const options = name === 'shake256' ? { outputLength: digestOctets(name) } : {};
      this.#hashes.set(name, createHash(name, options));
    }
  }

  update(octets: Uint8Array): void {
    for (const hash of this.#hashes.values()) hash.update(octets);
  }

  /** Once. */
  finish(): Map<ContentDigestName, Buffer> {
    return new Map([...this.#hashes].map(([name, hash]) => [name, hash.digest()]));
  }
}

/** Octets after which others get their turn, where a source never has to wait. */
const TURN_OCTETS = 1024 * 1024;

/** Digests of octets that pass once. */
export async function digestStream(
  octets: OctetStream,
  names: Iterable<ContentDigestName>,
): Promise<Map<ContentDigestName, Buffer>> {
  const digests = new RunningDigests(names);
  let sinceTurn = 0;
  for await (const chunk of octets) {
    digests.update(chunk);
    sinceTurn += chunk.length;
    if (sinceTurn >= TURN_OCTETS) {
      sinceTurn = 0;
      await setImmediate();
    }
  }
  return digests.finish();
}

/** Octets that are hashed once for each digest, and only for those that somebody asks for. */
export class DigestedOctets {
  readonly octets: SizedOctets;
  readonly #digests: Map<ContentDigestName, Buffer>;
  #readForSignatures = 0;

  /** @param known digests that were computed while the octets came by */
  constructor(octets: SizedOctets, known: ReadonlyMap<ContentDigestName, Buffer> = new Map()) {
    this.octets = octets;
    this.#digests = new Map(known);
  }

  /** The digests known so far, `names` among them. */
  async withDigests(names: Iterable<ContentDigestName>): Promise<ReadonlyMap<ContentDigestName, Buffer>> {
    const missing = [...names].filter((name) => !this.#digests.has(name));
    if (missing.length > 0) {
      for (const [name, digest] of await digestStream(this.octets.read(), missing)) {
        this.#digests.set(name, digest);
      }
    }
    return this.#digests;
  }

  /**
   * The octets for a signature over themselves. null: they were read often enough; whoever puts many such signatures and
   * certificates into a message wants them read once for each pair.
   */
  forSignature(): SizedOctets | null {
    const read = this.#readForSignatures + this.octets.length;
    if (this.#readForSignatures > 0 && read > limits.cms.bareReadOctets) return null;
    this.#readForSignatures = read;
    return this.octets;
  }
}
