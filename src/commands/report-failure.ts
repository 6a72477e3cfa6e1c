import { SealgateError } from '../errors.ts';

/**
 * The one place where an error reaches the terminal: one clear sentence, exit code 1, no stack trace.
 * With SEALGATE_DEBUG=1 what is behind it is shown as well.
 */
export function reportFailure(error: unknown, out: { write(text: string): unknown }): number {
  if (error instanceof SealgateError) {
    out.write(`sealgate: ${error.publicText}\n`);
  } else {
    out.write(`sealgate: an unexpected error: ${error instanceof Error ? error.message : String(error)}\n`);
    out.write('sealgate: this is a defect; SEALGATE_DEBUG=1 shows where it arose\n');
  }
  if (process.env.SEALGATE_DEBUG === '1' && error instanceof Error) {
    out.write(`${error.stack ?? ''}\n${error.cause === undefined ? '' : `cause: ${String(error.cause)}\n`}`);
  }
  return 1;
}
