// `npm run bench`: sets up what is missing, then measures. Arguments go to test/bench/main.ts.

import { join } from 'node:path';
import { keepCompiledCode } from './compiled-code.mjs';
import { BENCH_PACKAGES } from './debian.mjs';
import { prepare, ROOT } from './prepare.mjs';
import { runMain } from './progress.mjs';
import { runAsIfExecuted } from './run.mjs';

await runMain(async (args) => {
  const node = await prepare({ packages: BENCH_PACKAGES, purpose: 'for the benchmarks' });
  keepCompiledCode();
  return runAsIfExecuted(node, [join(ROOT, 'test/bench/main.ts'), ...args]);
});
