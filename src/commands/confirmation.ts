import { createInterface } from 'node:readline/promises';
import { SealgateError } from '../errors.ts';
import { printable } from '../log/printable.ts';

/**
 * Before something that cannot be undone: the name has to be typed, unless `--yes` says it.
 *
 * @param what for the sentence: “remove the key …”
 * @throws SealgateError `command.not-confirmed`
 */
export async function requireConfirmation(what: string, name: string, yes: true | undefined): Promise<void> {
  if (yes === true) return;
  if (!process.stdin.isTTY) {
    throw notConfirmed(`There is no terminal to ask whether to ${what}: say --yes. Nothing was done.`);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const typed = await terminal.question(`To ${what} for good, type its name (${printable(name)}): `);
    if (typed !== name) throw notConfirmed('That is not its name; nothing was done.');
  } finally {
    terminal.close();
  }
}

function notConfirmed(publicText: string): SealgateError {
  return new SealgateError({ code: 'command.not-confirmed', duration: 'permanent', publicText });
}
