import { access } from 'node:fs/promises';

/** false: there is no such file. One that cannot be looked at is there: whoever opens it says why. */
export async function isThere(file: string): Promise<boolean> {
  try {
    await access(file);
    return true;
  } catch (error) {
    return !(error instanceof Error && 'code' in error && error.code === 'ENOENT');
  }
}
