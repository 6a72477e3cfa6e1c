// `npm start`: sets up what is missing, then runs the gateway. Without a configuration file that is the evaluation
// profile, which needs a mail server on this machine.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { keepCompiledCode } from './compiled-code.mjs';
import { EVALUATION_PACKAGES } from './debian.mjs';
import { prepare, ROOT } from './prepare.mjs';
import { runMain } from './progress.mjs';
import { runAsIfExecuted } from './run.mjs';

const MAIL_SERVER = {
  packages: EVALUATION_PACKAGES,
  purpose: 'for the evaluation mail server',
  otherwise: 'Or use docker/compose.yaml, or name your own servers in config/gateway.yaml.',
};

await runMain(async (args) => {
  const node = await prepare(runsEvaluation(args) ? MAIL_SERVER : {});
  keepCompiledCode();
  return runAsIfExecuted(node, ['--max-semi-space-size=8', join(ROOT, 'src/main.ts'), 'serve', ...args]);
});

function runsEvaluation(args) {
  const only = args.some((arg) => ['-h', '--help', '-V', '--version'].includes(arg));
  const given = args.some((arg) => /^(-c|--config(=|$))/.test(arg));
  return !only && !given && !process.env.SEALGATE_CONFIG && !existsSync(join(ROOT, 'config/gateway.yaml'));
}
