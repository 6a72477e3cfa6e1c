import * as z from 'zod';
import { domainPattern, maybe, name } from './values.ts';

/** What every kind of `directory.sources` has. */

export const sourceName = (example: string) =>
  name.meta({ description: 'Name of the source, for log lines and explanations.', example });

/** @param otherwise what follows from asking it for every address, a clause */
export function sourceDomains(example: string, otherwise: string) {
  return maybe(
    z
      .array(domainPattern)
      .min(1)
      .meta({
        description: `Asked only for addresses of these domains (\`*.example.org\`: every domain below it), and believed only for them. Without it, for every address, ${otherwise}.`,
        example: [example],
      }),
  );
}

export const sourceTrust = z
  .enum(['directory', 'harvested'])
  .default('directory')
  .describe(
    'How much its certificates are trusted. One that leads to a trust anchor is `verified` all the same.',
  );

export const sourceOptional = z
  .boolean()
  .default(false)
  .describe(
    'While it does not answer, mail is treated as if it had no certificate, and may leave unencrypted where a rule allows that. Without it such mail is refused for now.',
  );

export const sourceTimeout = z
  .int()
  .min(1)
  .max(60)
  .default(5)
  .describe('How long one question may take, with all servers that are tried.');
