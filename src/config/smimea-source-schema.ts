import * as z from 'zod';
import { resolvers } from './resolver-value.ts';
import { sourceDomains, sourceName, sourceOptional, sourceTimeout } from './source-values.ts';

/** An entry of `directory.sources`. */
export const smimeaSource = z.strictObject({
  kind: z.literal('smimea').describe('SMIMEA records in DNS (RFC 8162).'),
  name: sourceName('dns'),
  ...resolvers('The first that answers is asked from then on.', 'can give mail another recipient'),
  withoutDnssec: z
    .enum(['ignore', 'harvested', 'directory'])
    .default('ignore')
    .describe(
      'What is done with records that DNSSEC does not vouch for: nothing, or they are taken and trusted so. Those that it vouches for are `verified`.',
    ),
  domains: sourceDomains('partner.example', 'which tells the name servers of its domain that somebody asks'),
  optional: sourceOptional,
  timeoutSeconds: sourceTimeout,
});
