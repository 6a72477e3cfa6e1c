import { encryptedSpool } from '../../../src/octets/encrypted-spool.ts';
import type { Spool, SpooledOctets, SpoolWriter } from '../../../src/octets/source.ts';

/** The usual spool, which counts what lies in it, and in which things take as long as a test wants. */
export class CountedSpool implements Spool {
  /** Neither thrown away nor failed. */
  live = 0;
  finished = 0;
  #held: { which: number; asked: () => void; finishing: Promise<void> } | null = null;
  readonly #spool = encryptedSpool();

  /** What is the `which`-th to be whole, counted from 0, is not before `goOn` is called: a disk may be slow. `asked` resolves when it is to be. */
  hold(which: number): { asked: Promise<void>; goOn: () => void } {
    const finishing = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    this.#held = { which, asked: asked.resolve, finishing: finishing.promise };
    return { asked: asked.promise, goOn: finishing.resolve };
  }

  begin(): SpoolWriter {
    const writer = this.#spool.begin();
    this.live++;
    let isLive = true;
    const gone = (): void => {
      if (isLive) this.live--;
      isLive = false;
    };
    let isFinished = false;
    return {
      write: (octets) => writer.write(octets),
      finish: async () => {
        isFinished = true;
        const held = this.finished++ === this.#held?.which ? this.#held : null;
        held?.asked();
        await held?.finishing;
        return counted(await writer.finish(), gone);
      },
      discard: async () => {
        if (isFinished) return;
        gone();
        await writer.discard();
      },
    };
  }
}

function counted(octets: SpooledOctets, gone: () => void): SpooledOctets {
  return {
    length: octets.length,
    read: (start, end) => octets.read(start, end),
    discard: async () => {
      gone();
      await octets.discard();
    },
  };
}
