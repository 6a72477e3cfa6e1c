// `npm run fuzz`: sets up what is missing, then fuzzes the parsers. Arguments go to test/fuzz/main.ts.

import { join } from 'node:path';
import { FUZZ_PACKAGES } from './debian.mjs';
import { prepare, ROOT } from './prepare.mjs';
import { runMain } from './progress.mjs';
import { runAsIfExecuted } from './run.mjs';

await runMain(async (args) => {
  const node = await prepare({ packages: FUZZ_PACKAGES, purpose: 'for the fuzzers' });
  return runAsIfExecuted(node, [join(ROOT, 'test/fuzz/main.ts'), ...args]);
});
