import type { OctetSource, Spool, SpooledOctets, SpoolWriter } from '../../../src/octets/source.ts';
import { holds } from '../target.ts';
import { chunksOf } from './chunks.ts';

/** Octets as a source that gives them in pieces of any length. */
export function inPieces(octets: Buffer): OctetSource {
  return {
    length: octets.length,
    async *read(start = 0, end = octets.length) {
      yield* chunksOf(octets.subarray(start, end));
    },
  };
}

/** A spool in memory that knows what was thrown away and what was not. */
export class WatchedSpool implements Spool {
  #open = 0;
  #held = 0;

  begin(): SpoolWriter {
    this.#open++;
    const pieces: Buffer[] = [];
    let done = false;
    const end = (): boolean => {
      if (done) return false;
      done = true;
      this.#open--;
      return true;
    };
    return {
      write: async (octets) => {
        holds(!done, 'nothing is written behind the end of a spool');
        pieces.push(Buffer.from(octets));
      },
      finish: async () => {
        holds(end(), 'a spool is finished once');
        return this.#spooled(Buffer.concat(pieces));
      },
      discard: async () => {
        end();
      },
    };
  }

  #spooled(octets: Buffer): SpooledOctets {
    this.#held++;
    let discarded = false;
    const source = inPieces(octets);
    return {
      length: octets.length,
      read: (start, end) => {
        holds(!discarded, 'nothing is read that was thrown away');
        return source.read(start, end);
      },
      discard: async () => {
        if (!discarded) this.#held--;
        discarded = true;
      },
    };
  }

  /** @param results that were handed out and are the caller's to throw away */
  checkLeft(results: number): void {
    holds(this.#open === 0, 'every spool is finished or thrown away');
    holds(this.#held === results, 'what is of no use is thrown away');
  }
}

export async function gathered(source: { read(): AsyncIterable<Buffer> }): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of source.read()) {
    holds(piece.length > 0, 'no chunk is empty');
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}
