// `npm run bench`: sets up what is missing, then measures. Arguments go to test/bench/main.ts.

import { join } from 'node:path';
import { BENCH_PACKAGES } from './debian.mjs';
import { prepare, ROOT } from './prepare.mjs';
import { runMain } from './progress.mjs';
import { runAsIfExecuted } from './run.mjs';

await runMain(async (args) => {
  const node = await prepare({ packages: BENCH_PACKAGES, purpose: 'for the benchmarks' });
  return runAsIfExecuted(node, [join(ROOT, 'test/bench/main.ts'), ...args]);
});
