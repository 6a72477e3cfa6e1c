import { randomBytes } from 'node:crypto';
import { link, mkdir, open, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { SealgateError } from '../errors.ts';

/** What makes this installation different from every other one. Made on the first start, then never changed. */
export type Installation = {
  /** 12 lower-case letters and digits: part of the names that mark our own header fields. */
  id: string;
  /** 32 octets: keys the boundaries of decrypted views, so that no sender can foresee them. */
  viewSecret: Buffer;
};

const FILE = 'installation.json';
const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/**
 * Reads the installation from the state folder, or makes one. A changed view secret would change every view that
 * clients have cached, so a damaged file is refused and not replaced.
 *
 * @throws SealgateError `store.unusable` (permanent)
 */
export async function loadInstallation(stateFolder: string): Promise<Installation> {
  const file = join(stateFolder, FILE);
  try {
    await mkdir(stateFolder, { recursive: true, mode: 0o700 });
    const present = await readIfThere(file);
    if (present !== null) return parse(present, file);
    await write(file, `${JSON.stringify(fresh(), null, 2)}\n`);
    // Of two starts at once, one file has won.
    return parse((await readIfThere(file)) ?? '', file);
  } catch (error) {
    if (error instanceof SealgateError) throw error;
    throw unusable(file, error instanceof Error ? error.message : String(error), error);
  }
}

function fresh(): { id: string; viewSecret: string } {
  const id = [...randomBytes(12)].map((octet) => ALPHABET[octet & 31]).join('');
  return { id, viewSecret: randomBytes(32).toString('base64') };
}

/** Whole or not at all, and never over a file that is there: written beside, then linked. */
async function write(file: string, text: string): Promise<void> {
  const beside = `${file}.${randomBytes(6).toString('hex')}`;
  const handle = await open(beside, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  try {
    await link(beside, file);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  } finally {
    await unlink(beside);
  }
}

async function readIfThere(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

function parse(text: string, file: string): Installation {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (error) {
    throw unusable(file, 'it is not JSON', error);
  }
  if (typeof data === 'object' && data !== null && 'id' in data && 'viewSecret' in data) {
    const { id, viewSecret } = data;
    if (typeof id === 'string' && /^[a-z0-9]{4,32}$/.test(id) && typeof viewSecret === 'string') {
      const octets = Buffer.from(viewSecret, 'base64');
      if (octets.length === 32) return { id, viewSecret: octets };
    }
  }
  throw unusable(file, 'it does not hold an id and a view secret');
}

function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error ? String(error.code) : null;
}

function unusable(file: string, reason: string, cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'store.unusable',
    publicText: `The file ${file} cannot be used (${reason}): restore it from a backup, or remove it to start a new installation.`,
    duration: 'permanent',
    cause,
  });
}
