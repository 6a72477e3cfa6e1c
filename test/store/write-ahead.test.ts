import { once } from 'node:events';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../support/services/disposable.ts';

test('of two that open a new file at the same moment, each waits for its turn', async () => {
  const { folder, remove } = await temporaryFolder('write-ahead');
  // One in seven is lost where nobody waits.
  const files = Array.from({ length: 100 }, (_, round) => join(folder, `${round}.sqlite`));
  const turns = new Int32Array(new SharedArrayBuffer(4 * files.length));
  const program = new URL('./support/open-at-once.ts', import.meta.url);
  const threads = [1, 2].map(() => new Worker(program, { workerData: { files, turns } }));
  const failed = await Promise.all(threads.map(async (thread) => (await once(thread, 'message'))[0]));
  expect(failed).toEqual([[], []]);
  await remove();
});
