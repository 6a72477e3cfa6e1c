// `npm run crash`: sets up what is missing, then sends thousands of mails while everything is killed by chance. Arguments go to
// test/crash/main.ts.

import { join } from 'node:path';
import { CRASH_PACKAGES } from './debian.mjs';
import { prepare, ROOT } from './prepare.mjs';
import { runMain } from './progress.mjs';
import { runAsIfExecuted } from './run.mjs';

await runMain(async (args) => {
  const node = await prepare({ packages: CRASH_PACKAGES, purpose: 'for the crash test' });
  return runAsIfExecuted(node, [join(ROOT, 'test/crash/main.ts'), ...args]);
});
