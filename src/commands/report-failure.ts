import { SealgateError } from '../errors.ts';

/**
 * EX_CONFIG of sysexits.h. For service managers, which must not start the gateway again by themselves then: with a secret that they
 * write anew for each start nobody sees that it is the one that was refused, and the token would be blocked within seconds.
 */
const PIN_REFUSED = 78;

/**
 * The one place where an error reaches the terminal: one clear sentence, no stack trace; the exit code is 1, but for a gateway
 * whose PIN was refused. With SEALGATE_DEBUG=1 what is behind it is shown as well.
 *
 * @param command the first word of the command line
 */
export function reportFailure(
  error: unknown,
  out: { write(text: string): unknown },
  command: string,
): number {
  if (error instanceof SealgateError) {
    out.write(`sealgate: ${error.publicText}\n`);
  } else {
    out.write(`sealgate: an unexpected error: ${error instanceof Error ? error.message : String(error)}\n`);
    out.write('sealgate: this is a defect; SEALGATE_DEBUG=1 shows where it arose\n');
  }
  if (process.env.SEALGATE_DEBUG === '1' && error instanceof Error) {
    out.write(`${error.stack ?? ''}\n${error.cause === undefined ? '' : `cause: ${String(error.cause)}\n`}`);
  }
  const isPin = error instanceof SealgateError && error.code.startsWith('key.pin-');
  return command === 'serve' && isPin ? PIN_REFUSED : 1;
}
