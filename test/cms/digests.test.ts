import { describe, expect, it } from 'vitest';
import { readWhole } from '../../src/asn1/reader.ts';
import * as der from '../../src/asn1/writer.ts';
import { algorithmIdentifier, readAlgorithmIdentifier } from '../../src/cms/algorithm-identifier.ts';
import { contentDigest, digestAlgorithm } from '../../src/cms/digests.ts';

const read = (octets: Buffer) => contentDigest(readAlgorithmIdentifier(readWhole(octets, 'DER')));

const shake256 = '2.16.840.1.101.3.4.2.12';
const shake256Length = '2.16.840.1.101.3.4.2.18';

describe('SHAKE256, the digest that goes with Ed448', () => {
  it('is written with its length of 512 bits (RFC 8419 §3.1)', () => {
    expect(digestAlgorithm('shake256')).toEqual(algorithmIdentifier(shake256Length, der.integer(512)));
  });

  it('is read with that length, and without parameters, as signatures without attributes have it', () => {
    expect(read(digestAlgorithm('shake256'))).toBe('shake256');
    expect(read(algorithmIdentifier(shake256))).toBe('shake256');
  });

  it.each([
    ['another length', algorithmIdentifier(shake256Length, der.integer(256))],
    ['a negative length', algorithmIdentifier(shake256Length, der.integer(-512))],
    ['no length', algorithmIdentifier(shake256Length)],
    ['NULL for a length', algorithmIdentifier(shake256Length, der.nullValue())],
    ['a text for a length', algorithmIdentifier(shake256Length, der.utf8String('512'))],
    ['a length where none belongs', algorithmIdentifier(shake256, der.integer(512))],
  ])('is not taken for it with %s', (_, octets) => {
    expect(read(octets)).toBeNull();
  });
});
