import type { OctetSource, Spool, SpooledOctets, SpoolWriter } from '../octets/source.ts';

/** A spool that remembers what is in it, so that nothing stays behind however a message ends. */
export class HeldSpools implements Spool {
  readonly #spool: Spool;
  readonly #held = new Set<SpooledOctets>();

  constructor(spool: Spool) {
    this.#spool = spool;
  }

  begin(): SpoolWriter {
    const writer = this.#spool.begin();
    return {
      write: (octets) => writer.write(octets),
      finish: async () => {
        const spooled = await writer.finish();
        this.#held.add(spooled);
        return spooled;
      },
      discard: () => writer.discard(),
    };
  }

  /** Throws away everything else. */
  async keepOnly(kept: OctetSource): Promise<void> {
    for (const spooled of this.#held) {
      if (spooled === kept) continue;
      this.#held.delete(spooled);
      await spooled.discard();
    }
  }

  async discard(): Promise<void> {
    for (const spooled of this.#held) {
      this.#held.delete(spooled);
      await spooled.discard();
    }
  }
}
