import * as z from 'zod';
import { parseDn } from '../pki/dn.ts';
import type { Files } from './files.ts';
import { listenerSchema } from './listener-schema.ts';
import { address, domainPattern, maybe, transport } from './values.ts';

/** The section `publishing`. */
export function publishingSection(files: Files) {
  // There is no mail server behind, and no old program that would come.
  const { upstream: _, oldTls: __, ...listener } = listenerSchema(files)(636, 'implicit', 'ldaps', {});
  const ldap = z.strictObject({
    ...listener,
    tls: transport.meta({
      description:
        'What clients are offered: `starttls` (port 389), `implicit` (TLS from the first octet, port 636) or `none`. With `starttls` nobody is found before it, but with `allowPlaintext`.',
      example: 'implicit',
    }),
    allowPlaintext: z
      .boolean()
      .default(false)
      .describe(
        'Permits searches without TLS, from beyond this machine too: what is found can then be exchanged on the way.',
      ),
    maxConnections: listener.maxConnections.unwrap().default(200).describe('Connections served at once.'),
    maxConnectionsPerAddress: listener.maxConnectionsPerAddress
      .unwrap()
      .default(20)
      .describe('Connections at once of one client address, or of one /64 of IPv6.'),
    unlimitedNetworks: listener.unlimitedNetworks.describe(
      'Addresses and ranges whose clients are not bounded by their address: neither in connections and TLS handshakes, nor by `peoplePerHour`.',
    ),
    base: z
      .string()
      .max(1_000)
      .refine((text) => (parseDn(text)?.length ?? 0) > 0, {
        error: 'a distinguished name like dc=example,dc=org is expected',
      })
      .meta({
        description: 'Distinguished name below which people are: the “search base” of address books.',
        example: 'dc=example,dc=org',
      }),
    find: z
      .enum(['by-name', 'by-address'])
      .default('by-name')
      .describe(
        'Who is found. `by-name`: whose name or address has at least `letters` letters of what is searched for, as address books complete it. `by-address`: only who is asked for by a whole address, for servers that strangers reach.',
      ),
    letters: z
      .int()
      .min(2)
      .max(20)
      .default(3)
      .describe('Letters and digits in a row of a name, or of an address before the @, that must be said.'),
    maxResults: z.int().min(1).max(500).default(25).describe('People that one search finds at most.'),
    peoplePerHour: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(1_000)
      .describe(
        'Names that one client address may search for in an hour, whether somebody is found or not; people beyond one for each name count as well.',
      ),
  });

  return z
    .strictObject({
      domains: maybe(
        z
          .array(domainPattern)
          .min(1)
          .meta({
            description:
              'Domains whose addresses are published (`*.example.org`: every domain below it). Without it, every address of `principals.list`.',
            example: ['example.org'],
          }),
      ),
      withheld: z
        .array(address)
        .default([])
        .meta({
          description:
            'Addresses of which nothing is published, nor any certificate that names one of them beside others. Letter case makes no difference.',
          example: ['board@example.org'],
        }),
      ldap: z.array(ldap).default([]).meta({
        off: true,
        description:
          'LDAP servers for address books and other gateways. They are read-only, and nobody logs in.',
      }),
    })
    .prefault({})
    .describe(
      'Certificates of this gateway’s own users, for those who write to them. What is not asked for here, or by `sealgate publish`, is published nowhere.',
    );
}
