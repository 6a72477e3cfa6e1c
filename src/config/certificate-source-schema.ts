import * as z from 'zod';
import { templateProblem } from '../directory/ldap/filter-template.ts';
import type { Files } from './files.ts';
import { httpStoreSource } from './http-store-source-schema.ts';
import { ldapPlace, withTransport } from './ldap-values.ts';
import { smimeaSource } from './smimea-source-schema.ts';
import { sourceDomains, sourceName, sourceOptional, sourceTimeout, sourceTrust } from './source-values.ts';

/** An entry of `directory.sources`. */
export function certificateSource(files: Files) {
  return z.discriminatedUnion('kind', [ldapSource(files), smimeaSource, httpStoreSource(files)], {
    error: 'kind is ldap, smimea or http-store',
  });
}

function ldapSource(files: Files) {
  return z
    .strictObject({
      kind: z.literal('ldap').describe('An LDAP directory (version 3).'),
      name: sourceName('partner'),
      ...ldapPlace(files),
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
    .transform(withTransport);
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
