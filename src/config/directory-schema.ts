import * as z from 'zod';
import { certificateSource, lookupSettings } from './certificate-source-schema.ts';
import type { Files } from './files.ts';
import { groupSource } from './group-source-schema.ts';
import { sources } from './sources.ts';
import { maybe } from './values.ts';

/** The section `directory`. */
export function directorySection(files: Files) {
  const { path, secret } = sources(files);

  const sqlite = z
    .strictObject({ kind: z.literal('sqlite') })
    .describe('In the file `directory.file`: for one gateway, nothing else is needed.');

  const postgresql = z
    .strictObject({
      kind: z.literal('postgresql'),
      host: z.string().min(1).meta({
        description:
          'Name or address of the server, or the folder of its Unix socket (an absolute path), over which no TLS is spoken.',
        example: 'db.example.org',
      }),
      port: z.int().min(1).max(65_535).default(5432).describe('Port of the server.'),
      database: name.meta({
        description: 'Name of the database; one that nothing else uses.',
        example: 'sealgate',
      }),
      user: name.meta({
        description: 'Its user, who may make tables in it.',
        example: 'sealgate',
      }),
      password: maybe(
        secret(
          'Password of the user. Without it the server must know the gateway otherwise (`peer` on a Unix socket).',
          'secrets/postgresql.password',
        ),
      ),
      tls: z
        .enum(['verify', 'none'])
        .default('verify')
        .describe(
          '`verify`: TLS, and the certificate of the server must be by a believed authority and name `host`. `none`: over a Unix socket or on this machine.',
        ),
      ca: maybe(
        path(
          'file',
          "PEM file with the certificate authorities that may vouch for the server; without it, the system's.",
          'tls/postgresql-ca.pem',
        ),
      ),
      serverName: maybe(
        z.string().min(1).meta({
          description: "Name the server's certificate must carry, where it differs from `host`.",
          example: 'db.example.org',
        }),
      ),
      allowPlaintext: z
        .boolean()
        .default(false)
        .describe('Permits `tls: none` to a server beyond this machine.'),
      connections: z
        .int()
        .min(1)
        .max(100)
        .default(10)
        .describe('Connections that one gateway makes at most; as a node of a cluster it makes one more.'),
      timeoutSeconds: z
        .int()
        .min(1)
        .max(60)
        .default(5)
        .describe(
          'How long connecting and each request may take. What takes longer fails for now, as mail that needs a certificate does.',
        ),
    })
    .describe(
      'PostgreSQL 15 or later: several gateways share what they know of correspondents. The gateway makes its tables itself.',
    );

  return z
    .strictObject({
      file: maybe(
        path(
          null,
          'Database of this gateway; default: directory.sqlite in the state folder. It holds what is its own alone (tokens seen, deliveries under way), and the certificates unless `store` says otherwise.',
          '/var/lib/sealgate/directory.sqlite',
        ),
      ),
      store: z
        .discriminatedUnion('kind', [sqlite, postgresql], {
          error: 'kind is sqlite or postgresql',
        })
        .prefault({ kind: 'sqlite' })
        .describe('Where certificates of correspondents are kept.'),
      pinned: z
        .array(path('file-or-folder', 'PEM or DER file, or a folder of them.', 'pinned'))
        .default([])
        .meta({
          description:
            'Certificates of correspondents that an administrator vouches for (files or folders of PEM or DER). Nothing that comes by mail changes them.',
          example: ['pinned'],
        }),
      sources: z.array(certificateSource(files)).default([]).meta({
        description:
          'Who else is asked for certificates of a recipient, all at once, when mail to him may be encrypted and nobody has pinned one.',
        off: true,
      }),
      groupSources: z.array(groupSource(files)).default([]).meta({
        description:
          'Who is asked about members of groups (`policy.groups[].ldap`). Its outages refuse mail for now for which a rule looks at such a group.',
        off: true,
      }),
      lookup: lookupSettings,
    })
    .prefault({})
    .describe('What is known about certificates of correspondents.');
}

const name = z.string().regex(/^[^\p{Cc}]{1,63}$/u, { error: 'a name of 1 to 63 characters is expected' });
