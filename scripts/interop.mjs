// `npm run interop`: sets up what is missing, then runs the matrix of interoperation. Arguments go to test/matrix/main.ts.

import { join } from 'node:path';
import { INTEROP_PACKAGES } from './debian.mjs';
import { prepare, ROOT } from './prepare.mjs';
import { runMain } from './progress.mjs';
import { runAsIfExecuted } from './run.mjs';

await runMain(async (args) => {
  const node = await prepare({ packages: INTEROP_PACKAGES, purpose: 'for the matrix of interoperation' });
  return runAsIfExecuted(node, [join(ROOT, 'test/matrix/main.ts'), ...args]);
});
