import * as z from 'zod';
import type { Files } from './files.ts';
import { sources } from './sources.ts';
import { host, maybe } from './values.ts';

/** What every LDAP directory has that is asked: where it is, how it is reached, whom to log in as, where people are in it. */
export function ldapPlace(files: Files) {
  const { path, secret } = sources(files);
  return {
    servers: z
      .array(ldapUrl)
      .min(1)
      .max(8)
      .meta({
        description:
          'Its servers, `ldaps://HOST` (port 636) or `ldap://HOST` (389), each with `:PORT` where it is another one. The first that answers is asked from then on.',
        example: ['ldaps://ldap1.partner.example', 'ldaps://ldap2.partner.example'],
      }),
    startTls: z
      .boolean()
      .default(true)
      .describe('At `ldap://`, TLS is begun before anything else is said, and must be.'),
    ca: maybe(
      path(
        'file',
        "PEM file with the certificate authorities that may vouch for the servers; without it, the system's.",
        'tls/ldap-ca.pem',
      ),
    ),
    serverName: maybe(
      z.string().min(1).meta({
        description: "Name that the servers' certificates must carry, where it differs from their host.",
        example: 'ldap.partner.example',
      }),
    ),
    allowPlaintext: z
      .boolean()
      .default(false)
      .describe('Permits `startTls: false` to a server beyond this machine.'),
    bind: maybe(
      z
        .strictObject({
          dn: z.string().min(1).max(1_000).meta({
            description: 'Distinguished name to log in as.',
            example: 'cn=sealgate,ou=services,dc=example,dc=org',
          }),
          password: secret('Its password.', 'secrets/ldap.password'),
        })
        .describe('Whom to log in as (simple bind). Without it nobody logs in.'),
    ),
    base: z.string().max(1_000).meta({
      description: 'Distinguished name below which people are.',
      example: 'ou=people,dc=partner,dc=example',
    }),
    scope: z
      .enum(['sub', 'one', 'base'])
      .default('sub')
      .describe('Everything below `base`, its own children only, or itself only.'),
  };
}

/** How each server is spoken with, in place of `startTls`. */
export function withTransport<Source extends { servers: readonly LdapUrl[]; startTls: boolean }>({
  servers,
  startTls,
  ...rest
}: Source) {
  return {
    ...rest,
    servers: servers.map(({ secure, ...place }) => ({
      ...place,
      tls: secure ? ('implicit' as const) : startTls ? ('starttls' as const) : ('none' as const),
    })),
  };
}

type LdapUrl = { secure: boolean; host: string; port: number; name: string };

const ldapUrl = z
  .string()
  .transform((written, context) => {
    const found = /^(ldaps?):\/\/(\[[0-9a-f:.]+\]|[^[\]:/?#@\s]+)(?::(\d{1,5}))?\/?$/i.exec(written);
    const secure = found?.[1]?.toLowerCase() === 'ldaps';
    const place = found?.[2]?.replace(/^\[|\]$/g, '') ?? '';
    const port = found?.[3] === undefined ? (secure ? 636 : 389) : Number(found[3]);
    if (found !== null && host.safeParse(place).success && port >= 1 && port <= 65_535) {
      return { secure, host: place, port, name: `${place.includes(':') ? `[${place}]` : place}:${port}` };
    }
    context.addIssue({
      code: 'custom',
      message:
        'ldaps://HOST or ldap://HOST is expected, with :PORT where it is another one, and nothing behind it',
    });
    return z.NEVER;
  })
  .meta({ what: 'URL' });
