import { describe, expect, it } from 'vitest';
import { freshOctets } from '../../src/cms/fresh-octets.ts';

describe('fresh octets', () => {
  it('are as many as asked for and never the same twice, across many draws', () => {
    const seen = new Set<string>();
    for (let i = 0; i < 5_000; i++) {
      const count = 12 + (i % 21);
      const octets = freshOctets(count);
      expect(octets.length).toBe(count);
      seen.add(octets.toString('hex', 0, 12));
    }
    expect(seen.size).toBe(5_000);
    expect(freshOctets(5_000).length).toBe(5_000);
  });

  it('belong to whoever got them: writing to them changes no later ones, and wiping them wipes them', () => {
    const first = freshOctets(32);
    first.fill(0);
    const second = freshOctets(32);
    expect(second.equals(Buffer.alloc(32))).toBe(false);
    // They share no memory in which the next ones wait.
    expect(second.buffer === first.buffer && second.byteOffset === first.byteOffset).toBe(false);
  });
});
