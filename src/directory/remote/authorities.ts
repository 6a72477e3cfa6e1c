import { readFile } from 'node:fs/promises';
import { SealgateError } from '../../errors.ts';

/**
 * The authorities that may vouch for a source's servers, in PEM form.
 *
 * @param source its name, for people @throws SealgateError `directory.source-ca` (permanent)
 */
export async function authorities(file: string, source: string): Promise<string> {
  try {
    const text = await readFile(file, 'utf8');
    if (text.includes('-----BEGIN CERTIFICATE-----')) return text;
    throw new Error('no certificate in PEM form');
  } catch (cause) {
    throw new SealgateError({
      code: 'directory.source-ca',
      publicText: `The file ${file} with the authorities for the directory source ${source} cannot be used; give a readable PEM file.`,
      duration: 'permanent',
      reason: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
}
