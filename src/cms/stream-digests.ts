import type { OctetStream, SizedOctets } from '../octets/source.ts';
import type { ContentDigestName } from './digests.ts';

/** Digests of octets that pass once. Empty names: the octets are read and nothing comes of it. */
export function digestStream(
  _octets: OctetStream,
  _names: Iterable<ContentDigestName>,
): Promise<Map<ContentDigestName, Buffer>> {
  throw new Error('not there yet');
}

/** Octets that are hashed once for each digest, and only for those that somebody asks for. */
export class DigestedOctets {
  readonly octets: SizedOctets;
  readonly #digests: Map<ContentDigestName, Buffer>;

  /** @param known digests that were computed while the octets came by */
  constructor(octets: SizedOctets, known: ReadonlyMap<ContentDigestName, Buffer> = new Map()) {
    this.octets = octets;
    this.#digests = new Map(known);
  }

  /** The digests known so far, `name` among them. */
  async withDigest(name: ContentDigestName): Promise<ReadonlyMap<ContentDigestName, Buffer>> {
    if (!this.#digests.has(name)) {
      for (const [found, digest] of await digestStream(this.octets.read(), [name]))
        this.#digests.set(found, digest);
    }
    return this.#digests;
  }
}
