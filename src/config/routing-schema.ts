import * as z from 'zod';
import { deliveryServer } from './delivery-server-schema.ts';
import type { Files } from './files.ts';
import { resolvers } from './resolver-value.ts';
import { sources } from './sources.ts';
import { addressRange, domainPattern, list, maybe, name, upstreamPort } from './values.ts';

/** `queue.routes` and `queue.mx`: where mail goes that the gateway delivers by itself. */

const tlsLevel = z
  .enum(['opportunistic', 'encrypt', 'verify', 'dane', 'dane-or-verify'])
  .default('opportunistic')
  .describe(
    'Least protection of the connection. `opportunistic`: TLS where the server offers it, whoever it is. `encrypt`: TLS, whoever it is. `verify`: TLS with a certificate for a name that can be believed. `dane`: as TLSA records under DNSSEC say. `dane-or-verify`: the one or, where there are none, the other. What a domain asks for itself by DANE or MTA-STS is heeded with any of them, but for TLSA records with `verify`. What no server fulfils waits.',
  );

export function routeList(files: Files) {
  return z
    .array(
      z.strictObject({
        name: name.meta({ description: 'Name of the route, for people.', example: 'partner' }),
        domains: list(
          domainPattern,
          'Domains of recipients; `*.partner.example` is everything below, `*` every one. The first route that names a domain has it.',
          ['partner.example', '*.partner.example'],
        ),
        via: z
          .discriminatedUnion('kind', [
            z.strictObject({
              kind: z.literal('server').describe('One mail server, for all of these domains.'),
              ...deliveryServer(files, 'queue.server.authentication'),
            }),
            z.strictObject({
              kind: z.literal('mx').describe('The mail servers that DNS names for each domain.'),
              tls: tlsLevel,
              hosts: z
                .array(domainPattern)
                .default([])
                .meta({
                  description:
                    'Names that the mail servers of these domains are known to have, for `verify`: they are believed although DNS is not. Without it DNSSEC, an MTA-STS policy or a name below the domain itself has to say so.',
                  example: ['*.mail.protection.outlook.com'],
                }),
            }),
          ])
          .meta({
            description: 'Where the mail goes.',
            example: { kind: 'mx', tls: 'dane-or-verify' },
          }),
        connections: z
          .int()
          .min(1)
          .max(20)
          .default(2)
          .describe('Connections at once: to the server, or to those of each domain.'),
      }),
    )
    .default([])
    .meta({
      description:
        'Where mail goes that the gateway delivers by itself, by the domain of its recipient. What no route names goes to `server`.',
      off: true,
    });
}

export function mxSection(files: Files) {
  const { path } = sources(files);
  return z
    .strictObject({
      ...resolvers('', 'can lead mail elsewhere'),
      port: upstreamPort
        .default(25)
        .describe('Port of mail servers that DNS names, where this network lets mail out by another one.'),
      ca: maybe(
        path(
          'file',
          "PEM file with the certificate authorities that may vouch for mail servers and for servers of MTA-STS policies; without it, the system's.",
          'internet-ca.pem',
        ),
      ),
      allowAddresses: z
        .array(addressRange)
        .default([])
        .meta({
          description:
            'Addresses of this machine and of inner networks that mail may be taken to although they are not public: a domain of strangers can name any as its mail server.',
          example: ['10.1.0.0/16'],
        }),
      ownAddresses: z
        .array(addressRange)
        .default([])
        .meta({
          description:
            'Addresses at which mail servers reach this gateway, or one that shares its work, and that are none of this machine (behind NAT or a load balancer): as a mail server of a domain it hands mail on to nobody who does not come before it (RFC 5321 §5.1). Those at which one of its listeners has `port` count anyway.',
          example: ['192.0.2.25'],
        }),
    })
    .prefault({})
    .describe('How mail servers are found that DNS names.');
}
