import { expect } from 'vitest';
import { encryptedSpool } from '../../../src/octets/encrypted-spool.ts';
import type {
  OctetStream,
  SizedOctets,
  Spool,
  SpooledOctets,
  SpoolWriter,
} from '../../../src/octets/source.ts';

/** Octets in chunks of the given sizes, again and again from the first size. */
export function inChunks(octets: Buffer, sizes: readonly number[] = [64 * 1024]): SizedOctets {
  return {
    length: octets.length,
    async *read(): OctetStream {
      let at = 0;
      for (let i = 0; at < octets.length; i++) {
        const size = sizes[i % sizes.length] ?? 1;
        yield Buffer.from(octets.subarray(at, at + size));
        at += size;
      }
    },
  };
}

export async function collect(octets: OctetStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of octets) {
    expect(chunk.length).toBeGreaterThan(0);
    chunks.push(Buffer.from(chunk));
  }
  return Buffer.concat(chunks);
}

/** Reads what was spooled and throws it away. */
export async function drain(spooled: SpooledOctets): Promise<Buffer> {
  const octets = await collect(spooled.read());
  expect(octets.length).toBe(spooled.length);
  await spooled.discard();
  return octets;
}

/** A spool that knows how many contents wait in it or are being written: none when everybody has cleaned up. */
export class CountedSpool implements Spool {
  readonly #spool: Spool;
  open = 0;
  /** All that was ever written. */
  written = 0;

  constructor(memoryOctets?: number) {
    this.#spool = encryptedSpool(memoryOctets === undefined ? {} : { memoryOctets });
  }

  begin(): SpoolWriter {
    const writer = this.#spool.begin();
    this.open++;
    let ended = false;
    const end = (): void => {
      if (!ended) this.open--;
      ended = true;
    };
    return {
      write: (octets) => {
        this.written += octets.length;
        return writer.write(octets);
      },
      finish: async () => {
        const spooled = await writer.finish();
        return {
          length: spooled.length,
          read: (start, stop) => spooled.read(start, stop),
          discard: () => {
            end();
            return spooled.discard();
          },
        };
      },
      discard: () => {
        end();
        return writer.discard();
      },
    };
  }
}
