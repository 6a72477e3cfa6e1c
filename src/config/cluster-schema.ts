import * as z from 'zod';
import type { Files } from './files.ts';
import { sources } from './sources.ts';
import { host, maybe, name } from './values.ts';

/** The section `cluster`. */
export function clusterSection(files: Files) {
  const { path, secret } = sources(files);
  const redis = z
    .strictObject({
      host: host.meta({ description: 'Name or address of the server.', example: 'redis.example.org' }),
      port: z.int().min(1).max(65_535).default(6379).describe('Port of the server.'),
      tls: z
        .enum(['verify', 'none'])
        .default('verify')
        .describe(
          '`verify`: TLS, and the certificate of the server must be by a believed authority and name `host`. `none`: on this machine.',
        ),
      ca: maybe(
        path(
          'file',
          "PEM file with the certificate authorities that may vouch for the server; without it, the system's.",
          'tls/redis-ca.pem',
        ),
      ),
      serverName: maybe(
        z.string().min(1).meta({
          description: "Name the server's certificate must carry, where it differs from `host`.",
          example: 'redis.example.org',
        }),
      ),
      allowPlaintext: z
        .boolean()
        .default(false)
        .describe('Permits `tls: none` to a server beyond this machine.'),
      user: maybe(
        z
          .string()
          .min(1)
          .max(255)
          .meta({ description: 'User of the server, where it has several.', example: 'sealgate' }),
      ),
      password: maybe(secret('Password.', 'secrets/redis.password')),
      db: z.int().min(0).max(1_000).default(0).describe('Number of the database on the server.'),
      prefix: name
        .default('sealgate')
        .describe(
          'What all names there begin with (behind it comes what only this cluster has), for a user of the server that may have no others.',
        ),
      acceptLosses: z
        .boolean()
        .default(false)
        .describe(
          'Starts with a Redis that may forget what it was told (without `appendonly yes` and `appendfsync always`, with another `maxmemory-policy` than `noeviction`, or one that does not say). No mail is lost by that; deliveries are late by up to half a minute.',
        ),
    })
    .meta({
      description:
        'Redis, by which the nodes share the work of delivering. Needed where there is a section `queue`. The mail itself is in PostgreSQL.',
      example: { host: 'redis.example.org' },
    });
  return maybe(
    z
      .strictObject({
        node: maybe(
          name.meta({
            description: 'Name of this node, which no other one has. Default: the name of the machine.',
            example: 'gateway-1',
          }),
        ),
        secret: secret(
          'The secret that all nodes share, at least 32 characters: what marks their views and links is derived from it. In place of what a single gateway makes for itself (installation.json).',
          'secrets/cluster.secret',
        ),
        redis: maybe(redis),
      })
      .meta({
        description:
          'Several gateways as one. What they share is in the PostgreSQL database of `directory.store`; every node has the same configuration but for `node`.',
        off: true,
      }),
  );
}
