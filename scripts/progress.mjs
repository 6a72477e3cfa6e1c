// What a person reads while a command sets itself up: one line for each step, one sentence for each failure.

/** A failure whose message is all that a person needs: the place and what to do. */
export class SetupError extends Error {}

/** Says what is being done; several things may be going on at once. */
export function say(text) {
  process.stdout.write(`${text}\n`);
}

/** Runs a command's main part; a SetupError becomes one sentence and exit code 1. */
export async function runMain(main) {
  try {
    process.exitCode = await main(process.argv.slice(2));
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}

export function seconds(begin) {
  return `${((performance.now() - begin) / 1000).toFixed(1)} s`;
}
