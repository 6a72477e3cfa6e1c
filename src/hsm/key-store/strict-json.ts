import { z } from 'zod';
import { malformedStore } from './store-error.ts';

/** JSON that has one spelling only: exactly what is written here is read. */

/** Canonical base64. */
export const base64 = z
  .string()
  .max(512 * 1024)
  .refine((text) => Buffer.from(text, 'base64').toString('base64') === text);

/** As Date.toISOString writes it. */
export const instant = z
  .string()
  .max(24)
  .refine((text) => {
    const time = Date.parse(text);
    return !Number.isNaN(time) && new Date(time).toISOString() === text;
  });

/** The one spelling. Members stand in the order in which they were put into `value`, which is that of the schema. */
export function writeStrict(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value, null, 2)}\n`, 'utf8');
}

/**
 * What `writeStrict` wrote: an octet that is not as it would have been written is refused.
 *
 * @throws SealgateError `key.store-malformed`
 */
export function readStrict<T>(file: string, octets: Buffer, schema: z.ZodType<T>): T {
  let value: unknown;
  try {
    value = JSON.parse(octets.toString('utf8'));
  } catch (cause) {
    throw malformedStore(file, 'no JSON', cause);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    // Paths only: a message of the library may quote the file.
    const where = parsed.error.issues.map(({ path }) => path.join('.')).slice(0, 5);
    throw malformedStore(file, `not of the expected form: ${where.join(', ')}`);
  }
  if (!writeStrict(parsed.data).equals(octets)) throw malformedStore(file, 'not as it is written');
  return parsed.data;
}
