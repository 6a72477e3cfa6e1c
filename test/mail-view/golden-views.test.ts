import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { RENDERER_VERSION } from '../../src/mail-view/render.ts';
import { type GoldenViews, goldenFile, goldenViews } from './support/golden-views.ts';

/**
 * Mail that was served keeps its octets: whoever makes the renderer make others says so by its version, by which records of what
 * was served are told apart (reading/view-making.ts).
 */

function golden(version: number): GoldenViews {
  return JSON.parse(readFileSync(goldenFile(version), 'utf8')) as GoldenViews;
}

test('what was said before is rendered in the same octets, or by another RENDERER_VERSION', async () => {
  const raise =
    'A view of mail that was served has other octets now. If that has to be: raise RENDERER_VERSION (src/mail-view/render.ts) and run node test/mail-view/support/write-golden-views.ts';
  expect(existsSync(goldenFile(RENDERER_VERSION)), raise).toBe(true);
  const said = golden(RENDERER_VERSION);
  expect(await goldenViews(said), raise).toEqual(said);
});

test('a version that was raised has made other octets', () => {
  for (let version = 2; version <= RENDERER_VERSION; version++) {
    expect(golden(version)).not.toEqual(golden(version - 1));
  }
});
