import * as z from 'zod';
import { resolver } from './resolver-value.ts';
import { sourceDomains, sourceName, sourceOptional, sourceTimeout } from './source-values.ts';

/** An entry of `directory.sources`. */
export const smimeaSource = z.strictObject({
  kind: z.literal('smimea').describe('SMIMEA records in DNS (RFC 8162).'),
  name: sourceName('dns'),
  resolvers: z
    .array(resolver)
    .min(1)
    .max(8)
    .prefault(['127.0.0.1'])
    .meta({
      description:
        'Resolvers that verify DNSSEC, by IP address (`192.0.2.1`, `[2001:db8::1]:5353`), asked by TCP. What they say of DNSSEC is believed, so they are on this machine. The first that answers is asked from then on.',
      example: ['127.0.0.1'],
    }),
  trustNetwork: z
    .boolean()
    .default(false)
    .describe(
      'Permits resolvers beyond this machine. Whoever can change what they say on the way can give mail another recipient.',
    ),
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
