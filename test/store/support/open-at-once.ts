import { DatabaseSync } from 'node:sqlite';
import { parentPort, workerData } from 'node:worker_threads';
import { writeAhead } from '../../../src/store/write-ahead.ts';

/** A thread that opens each of some new files in the same moment as another one, and tells of what it could not. */

const { files, turns } = workerData as { files: readonly string[]; turns: Int32Array };
const failed: string[] = [];
for (const [round, file] of files.entries()) {
  Atomics.add(turns, round, 1);
  while (Atomics.load(turns, round) < 2);
  const database = new DatabaseSync(file, { timeout: 5_000 });
  try {
    writeAhead(database, 30_000);
  } catch (error) {
    failed.push(String(error));
  }
  database.close();
}
parentPort?.postMessage(failed);
