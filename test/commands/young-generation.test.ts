import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const MODULE = new URL('../../src/commands/young-generation.ts', import.meta.url).href;

/** Makes much that outlives a collection, in turns of the event loop; says what room each half of the young generation has then, in MB. */
function program(begin: string): string {
  return `
    import { getHeapSpaceStatistics } from 'node:v8';
    import { boundYoungGeneration, holdYoungGeneration } from ${JSON.stringify(MODULE)};
    ${begin}
    let kept = [];
    for (let turn = 0; turn < 200; turn++) {
      for (let i = 0; i < 20_000; i++) kept.push({ i, of: [turn] });
      if (kept.length > 200_000) kept = [];
      await new Promise((resolve) => setImmediate(resolve));
    }
    const space = getHeapSpaceStatistics().find((each) => each.space_name === 'new_space');
    console.log((space.space_used_size + space.space_available_size) / 1024 / 1024);
  `;
}

async function roomAfter(begin: string): Promise<number> {
  const args = ['--input-type=module', '--eval', program(begin)];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  return Number(stdout);
}

it('the young generation of the heap has little room while the program is loaded, then grows to its bound and no further', async () => {
  const [held, bound] = await Promise.all([
    roomAfter('holdYoungGeneration();'),
    roomAfter('holdYoungGeneration(); boundYoungGeneration();'),
  ]);
  // What Node itself has loaded before comes on top.
  expect(held).toBeLessThan(8);
  expect(bound).toBeGreaterThan(4);
  expect(bound).toBeLessThan(12);
});
