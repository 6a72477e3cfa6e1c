import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SealgateError } from '../../src/errors.ts';
import { sevenBitSafe } from '../../src/mail/seven-bit-safe.ts';
import { sevenBitSafeFrom } from '../../src/mail/seven-bit-safe-source.ts';
import { collect, inChunks, mailOctets } from './support/streams.ts';

describe('making an entity of any size safe to sign', () => {
  it('gives the octets that it gives in memory, each time, and says how many, wherever the chunks end', async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(mailOctets, sizes, async (octets, chunks) => {
        let whole: Buffer;
        try {
          whole = sevenBitSafe(octets);
        } catch (error) {
          if (!(error instanceof SealgateError)) throw error;
          await expect(sevenBitSafeFrom(inChunks(octets, chunks))).rejects.toMatchObject({
            code: error.code,
          });
          return;
        }
        const safe = await sevenBitSafeFrom(inChunks(octets, chunks));
        expect((await collect(safe.read())).toString('latin1')).toBe(whole.toString('latin1'));
        expect(safe.length).toBe(whole.length);
        const from = Math.floor(whole.length / 3);
        const to = Math.floor(whole.length / 2);
        expect(await collect(safe.read(from, to))).toEqual(whole.subarray(from, to));
      }),
      { numRuns: 1_500 },
    );
  });

  it('says that a source has changed, and does not sign one text and send another', async () => {
    let octets = Buffer.from('Content-Type: text/plain\r\n\r\ngrün\n'.repeat(20));
    const safe = await sevenBitSafeFrom({
      length: octets.length,
      read: (a, b) => inChunks(octets, [50]).read(a, b),
    });
    octets = Buffer.alloc(octets.length, 'x');
    await expect(collect(safe.read())).rejects.toThrow('another number of octets');
  });
});
