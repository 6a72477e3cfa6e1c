import { access, open, rm } from 'node:fs/promises';
import { SealgateError } from '../errors.ts';
import { printable } from '../log/printable.ts';
import { writeMessageFile } from './smime-files.ts';

/** Files that commands make: for their owner alone, and never in the place of another one unless that is asked for. */

export type OutputOptions = { out: string; force?: true };

/**
 * Before work that cannot be repeated. @throws SealgateError `command.output-exists`
 */
export async function requireFree({ out, force }: OutputOptions): Promise<void> {
  if (out === '-' || force === true) return;
  const there = await access(out).then(
    () => true,
    () => false,
  );
  if (there) throw exists(out);
}

/** @throws SealgateError `command.output-exists`, `command.output` */
export async function writeOutput({ out, force }: OutputOptions, octets: Buffer): Promise<void> {
  if (out === '-' || force === true) {
    await writeMessageFile(out, once(octets));
    return;
  }
  // O_EXCL: neither a file nor a link of that name is followed.
  const file = await open(out, 'wx', 0o600).catch((cause: NodeJS.ErrnoException) => {
    throw cause.code === 'EEXIST' ? exists(out) : unwritable(out, cause);
  });
  try {
    await file.writeFile(octets);
    await file.sync();
  } catch (cause) {
    await rm(out, { force: true });
    throw unwritable(out, cause);
  } finally {
    await file.close();
  }
}

async function* once(octets: Buffer): AsyncGenerator<Buffer> {
  yield octets;
}

function exists(file: string): SealgateError {
  return new SealgateError({
    code: 'command.output-exists',
    duration: 'permanent',
    publicText: `${printable(file)} exists already and is left as it is; name another file with --out, or say --force.`,
  });
}

function unwritable(file: string, cause: unknown): SealgateError {
  return new SealgateError({
    code: 'command.output',
    duration: 'permanent',
    publicText: `${printable(file)} cannot be written: ${cause instanceof Error ? cause.message : String(cause)}. Nothing was left there.`,
    cause,
  });
}
