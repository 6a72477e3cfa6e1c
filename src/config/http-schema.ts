import * as z from 'zod';
import type { Files } from './files.ts';
import { listenerSchema } from './listener-schema.ts';

/** The section `http`. */
export function httpSection(files: Files) {
  // There is no mail server behind, and no old program that would come.
  const { upstream: _, oldTls: __, ...listener } = listenerSchema(files)(443, 'implicit', 'web', {});
  return z
    .array(
      z.strictObject({
        ...listener,
        tls: z.enum(['implicit', 'none']).meta({
          description:
            'What clients are offered: `implicit` (https) or `none` (http). With `none` a proxy of your own in front of the gateway has to bring TLS.',
          example: 'implicit',
        }),
        maxConnections: listener.maxConnections
          .unwrap()
          .default(500)
          .describe('Connections served at once; further ones are closed.'),
        maxConnectionsPerAddress: listener.maxConnectionsPerAddress
          .unwrap()
          .default(50)
          .describe(
            'Connections at once of one client address, or of one /64 of IPv6; further ones are closed.',
          ),
        unlimitedNetworks: listener.unlimitedNetworks.describe(
          'Addresses and ranges whose clients are not bounded by their address: neither in connections and TLS handshakes, nor in how often they may ask. For a proxy in front of the gateway that does not tell its clients’ addresses.',
        ),
        serves: z
          .array(z.enum(HTTP_SERVICES), {
            error: 'a list of what is served is expected, like [certificates]',
          })
          .min(1, { error: 'the list is empty: name something, or leave the listener out' })
          .meta({
            description:
              'What is to be had. `held-mail`: the pages on which senders decide about mail that waits, at `/held`; they need `holding.url`. `certificates`: those of own users, as `publishing` says, at `/certificates/search.cgi?email=…` (RFC 4387).',
            example: ['held-mail'],
          }),
      }),
    )
    .default([])
    .meta({ off: true, description: 'Listeners for browsers and for programs that speak HTTP.' });
}

/** What a listener can serve. */
export const HTTP_SERVICES = ['held-mail', 'certificates'] as const;
