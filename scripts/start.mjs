// `npm start`: sets up what is missing, then runs the gateway. Without a configuration file that is the evaluation
// profile, which needs a mail server on this machine.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EVALUATION_PACKAGES, ensureDebianPackages } from './debian.mjs';
import { prepare, ROOT } from './prepare.mjs';
import { runMain, SetupError } from './progress.mjs';
import { runAsIfExecuted } from './run.mjs';

await runMain(async (args) => {
  const node = await prepare();
  if (runsEvaluation(args)) await installMailServer();
  return runAsIfExecuted(node, [join(ROOT, 'src/main.ts'), 'serve', ...args]);
});

function runsEvaluation(args) {
  const only = args.some((arg) => ['-h', '--help', '-V', '--version'].includes(arg));
  const given = args.some((arg) => arg === '-c' || arg === '--config' || arg.startsWith('--config='));
  return !only && !given && !process.env.SEALGATE_CONFIG && !existsSync(join(ROOT, 'config/gateway.yaml'));
}

async function installMailServer() {
  try {
    await ensureDebianPackages(EVALUATION_PACKAGES, 'for the evaluation mail server');
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    throw new SetupError(
      `${error.message} Or use docker/compose.yaml, or give your own servers in config/gateway.yaml.`,
    );
  }
}
