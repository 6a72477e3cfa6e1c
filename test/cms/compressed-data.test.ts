import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import * as der from '../../src/asn1/writer.ts';
import { algorithmIdentifier } from '../../src/cms/algorithm-identifier.ts';
import { decompress } from '../../src/cms/compressed-data.ts';
import { contentInfo } from '../../src/cms/content-info.ts';
import { contentTypes } from '../../src/cms/oids.ts';

const zlib = '1.2.840.113549.1.9.16.3.8';

function craft(compressed: Buffer, algorithm = zlib): Buffer {
  const info = der.sequence(der.oid(contentTypes.data), der.explicit(0, der.octetString(compressed)));
  const body = der.sequence(der.integer(0), algorithmIdentifier(algorithm), info);
  return contentInfo(contentTypes.compressedData, body);
}

describe('CompressedData (RFC 3274)', () => {
  const content = Buffer.from('Content-Type: text/plain\r\n\r\nGood morning.\r\n'.repeat(100));

  it('is inflated', () => {
    const expected = { outcome: 'opened', contentType: contentTypes.data, content };
    expect(decompress(craft(deflateSync(content)), content.length)).toEqual(expected);
  });

  it('a bomb fails at the bound and is not truncated', () => {
    const bomb = craft(deflateSync(Buffer.alloc(64 * 1024 * 1024)));
    expect(bomb.length).toBeLessThan(100_000);
    expect(decompress(bomb, 1024 * 1024)).toEqual({ outcome: 'failed' });
    expect(decompress(craft(deflateSync(content)), content.length - 1)).toEqual({ outcome: 'failed' });
  });

  it('damage and other algorithms fail', () => {
    const compressed = deflateSync(content);
    expect(decompress(craft(compressed.subarray(0, -5)), 1e6)).toEqual({ outcome: 'failed' });
    expect(decompress(craft(Buffer.alloc(0)), 1e6)).toEqual({ outcome: 'failed' });
    expect(decompress(craft(compressed, '1.2.3'), 1e6)).toEqual({ outcome: 'failed' });
  });

  it('another structure is malformed', () => {
    for (const octets of [contentInfo(contentTypes.data, der.nullValue()), Buffer.from('x')]) {
      expect(() => decompress(octets, 1e6)).toThrow(expect.objectContaining({ code: 'cms.malformed' }));
    }
  });
});
