import * as z from 'zod';
import { templateProblem } from '../directory/ldap/filter-template.ts';
import type { Files } from './files.ts';
import { httpStoreSource } from './http-store-source-schema.ts';
import { smimeaSource } from './smimea-source-schema.ts';
import { sourceDomains, sourceName, sourceOptional, sourceTimeout, sourceTrust } from './source-values.ts';
import { sources } from './sources.ts';
import { host, maybe } from './values.ts';

/** An entry of `directory.sources`. */
export function certificateSource(files: Files) {
  return z.discriminatedUnion('kind', [ldapSource(files), smimeaSource, httpStoreSource(files)], {
    error: 'kind is ldap, smimea or http-store',
  });
}

function ldapSource(files: Files) {
  const { path, secret } = sources(files);
  return z
    .strictObject({
      kind: z.literal('ldap').describe('An LDAP directory (version 3).'),
      name: sourceName('partner'),
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
      filter: z
        .string()
        .refine((text) => templateProblem(text) === null, {
          error: (issue) => templateProblem(String(issue.input)) ?? '',
        })
        .default('(mail={address})')
        .describe(
          'Filter (RFC 4515) that finds the entry of an address; `{address}`, `{localPart}` and `{domain}` stand for it, written so that they are never more than a value.',
        ),
      attributes: z
        .array(
          z.string().regex(/^[A-Za-z][A-Za-z0-9-]{0,63}(;binary)?$/, {
            error: 'the name of an attribute is expected',
          }),
        )
        .min(1)
        .max(10)
        .default(['userCertificate', 'userSMIMECertificate'])
        .describe(
          'Attributes with certificates: DER, or PKCS #7 with certificates. Each is asked for with `;binary` and without.',
        ),
      domains: sourceDomains('partner.example', 'which tells the directory to whom mail goes'),
      trust: sourceTrust,
      optional: sourceOptional,
      timeoutSeconds: sourceTimeout,
    })
    .transform(({ servers, startTls, ...rest }) => ({
      ...rest,
      servers: servers.map(({ secure, ...place }) => ({
        ...place,
        tls: secure ? ('implicit' as const) : startTls ? ('starttls' as const) : ('none' as const),
      })),
    }));
}

/** `directory.lookup`. */
export const lookupSettings = z
  .strictObject({
    timeoutSeconds: z
      .int()
      .min(1)
      .max(120)
      .default(10)
      .describe('How long all sources together may take for one address.'),
    foundHours: z
      .int()
      .min(1)
      .max(8_760)
      .default(24)
      .describe('How long an answer with certificates counts before the source is asked again.'),
    noneMinutes: z.int().min(1).max(525_600).default(60).describe('The same of an answer without any.'),
    failures: z
      .int()
      .min(1)
      .max(100)
      .default(3)
      .describe(
        'After so many failures in a row a source is not asked for a while, so that nobody waits for it.',
      ),
    retrySeconds: z
      .int()
      .min(1)
      .max(86_400)
      .default(30)
      .describe(
        'After this time one question is let through; if it is answered, the source is asked as before.',
      ),
  })
  .prefault({})
  .describe('How `sources` are asked.');

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
