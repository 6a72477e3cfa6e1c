import { harvestFrom, type InboundParts, openOriginal, signedFrom } from './inbound.ts';
import type { HarvestStory } from './ports.ts';

/**
 * Learns correspondents' certificates from mail that a client has stored and nobody reads: what reading learns of it without a key.
 *
 * Must never happen: a key used or asked for; a login's own certificates taken for a correspondent's, since what it signs itself it
 * stores itself.
 */
export function harvestStory(parts: InboundParts): HarvestStory {
  return {
    async verify(principal, octets) {
      const at = parts.clock();
      const opening = await openOriginal(octets, [], parts, at);
      await opening.discard();
      const from = signedFrom(opening);
      if (from === null) return null;
      const own = parts.keyring.addressesOf(principal).map((address) => address.toLowerCase());
      if (own.includes(from.toLowerCase())) return null;
      return { harvest: () => harvestFrom(from, opening, parts, at) };
    },
  };
}
