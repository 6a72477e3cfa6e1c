import { deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as der from '../../src/asn1/writer.ts';
import { algorithmIdentifier } from '../../src/cms/algorithm-identifier.ts';
import { decompress, inflationBound } from '../../src/cms/compressed-data.ts';
import { decompressStream } from '../../src/cms/compressed-data-stream.ts';
import { contentInfo } from '../../src/cms/content-info.ts';
import { contentTypes } from '../../src/cms/oids.ts';
import { limits } from '../../src/limits.ts';
import { encryptedSpool } from '../../src/octets/encrypted-spool.ts';
import { inChunks } from '../mail/support/streams.ts';

const zlib = '1.2.840.113549.1.9.16.3.8';

function craft(compressed: Buffer, algorithm = zlib): Buffer {
  const info = der.sequence(der.oid(contentTypes.data), der.explicit(0, der.octetString(compressed)));
  const body = der.sequence(der.integer(0), algorithmIdentifier(algorithm), info);
  return contentInfo(contentTypes.compressedData, body);
}

describe('CompressedData (RFC 3274)', () => {
  const content = Buffer.from('Content-Type: text/plain\r\n\r\nGood morning.\r\n'.repeat(100));

  it('is inflated', async () => {
    const expected = { outcome: 'opened', contentType: contentTypes.data, content };
    expect(await decompress(craft(deflateSync(content)), content.length)).toEqual(expected);
  });

  it('may be a hundred times what was sent, or 4 MiB, and never more than a message', () => {
    expect(inflationBound(1)).toBe(4 * 1024 * 1024);
    expect(inflationBound(100_000)).toBe(10_000_000);
    expect(inflationBound(10_000_000)).toBe(limits.messageOctets);
  });

  it('a bomb fails at the bound and is not truncated', async () => {
    const bomb = craft(deflateSync(Buffer.alloc(64 * 1024 * 1024)));
    expect(bomb.length).toBeLessThan(100_000);
    expect(await decompress(bomb, 1024 * 1024)).toEqual({ outcome: 'failed' });
    expect(await decompress(craft(deflateSync(content)), content.length - 1)).toEqual({ outcome: 'failed' });
  });

  it('with octets behind what was compressed fails, in memory and as a stream, wherever the chunks end', async () => {
    for (const more of [1, 5, 1_000, 70_000]) {
      const octets = craft(Buffer.concat([deflateSync(content), Buffer.alloc(more, 7)]));
      expect(await decompress(octets, 1_000_000)).toEqual({ outcome: 'failed' });
      for (const size of [more < 100 ? 1 : 100, 1_000, 65_536]) {
        const opened = await decompressStream(inChunks(octets, [size]), encryptedSpool(), 1_000_000);
        expect(opened).toEqual({ outcome: 'failed' });
      }
    }
  });

  it('a source that fails is heard, whatever was unpacked before', async () => {
    const octets = craft(deflateSync(content));
    let readings = 0;
    const source = {
      async *read() {
        yield octets.subarray(0, 60);
        if (++readings > 1) throw new Error('the source is away');
        yield octets.subarray(60);
      },
    };
    await expect(decompressStream(source, encryptedSpool(), 1_000_000)).rejects.toThrow('the source is away');
  });

  it('damage and other algorithms fail', async () => {
    const compressed = deflateSync(content);
    for (const octets of [compressed.subarray(0, -5), Buffer.alloc(0), gzipSync(content), Buffer.alloc(99)]) {
      expect(await decompress(craft(octets), 1e6)).toEqual({ outcome: 'failed' });
    }
    expect(await decompress(craft(compressed, '1.2.3'), 1e6)).toEqual({ outcome: 'failed' });
  });

  it('another structure is malformed', async () => {
    const noContent = der.sequence(der.oid(contentTypes.data));
    const empty = contentInfo(
      contentTypes.compressedData,
      der.sequence(der.integer(0), algorithmIdentifier(zlib), noContent),
    );
    for (const octets of [contentInfo(contentTypes.data, der.nullValue()), Buffer.from('x'), empty]) {
      await expect(decompress(octets, 1e6)).rejects.toThrow(
        expect.objectContaining({ code: 'cms.malformed' }),
      );
    }
  });

  it('any damaged message gives an outcome or cms.malformed', async () => {
    const whole = craft(deflateSync(content));
    const run = async (place: number, value: number): Promise<void> => {
      const damaged = Buffer.from(whole);
      damaged[place % damaged.length] = value;
      try {
        const outcome = await decompress(damaged, 1e6);
        // Adler-32 ends every stream, so content is the right one or there is none.
        if (outcome.outcome === 'opened') expect(outcome.content).toEqual(content);
      } catch (error) {
        expect(error).toMatchObject({ code: 'cms.malformed' });
      }
    };
    await fc.assert(fc.asyncProperty(fc.nat(), fc.nat(255), run), { numRuns: 400 });
  });
});
