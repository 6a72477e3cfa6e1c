import * as z from 'zod';
import type { Files } from './files.ts';
import { sourceDomains, sourceName, sourceOptional, sourceTimeout, sourceTrust } from './source-values.ts';
import { sources } from './sources.ts';
import { addressRange, maybe } from './values.ts';

const storeUrl = z
  .string()
  .max(1_000)
  .transform((written, context) => {
    const url = URL.parse(written);
    const isPlain = url !== null && url.username === '' && url.password === '' && url.hash === '';
    if (isPlain && ['http:', 'https:'].includes(url.protocol) && !url.searchParams.has('email')) return url;
    context.addIssue({
      code: 'custom',
      message: 'https://HOST/PATH is expected, without a login, a fragment and the question `email` itself',
    });
    return z.NEVER;
  })
  .meta({ what: 'URL' });

/** An entry of `directory.sources`. */
export function httpStoreSource(files: Files) {
  const { path } = sources(files);
  return z.strictObject({
    kind: z.literal('http-store').describe('An HTTP certificate store (RFC 4387).'),
    name: sourceName('store'),
    url: storeUrl.meta({
      description:
        'Where it is asked; `?email=ADDRESS` is added. Redirects are followed within the same host.',
      example: 'https://certificates.partner.example/search.cgi',
    }),
    ca: maybe(
      path(
        'file',
        "PEM file with the certificate authorities that may vouch for the server; without it, the system's.",
        'tls/store-ca.pem',
      ),
    ),
    allowPlaintext: z
      .boolean()
      .default(false)
      .describe(
        'Permits `http://` to a server beyond this machine. Whoever is on the way can give mail another recipient then.',
      ),
    allowAddresses: z
      .array(addressRange)
      .default([])
      .meta({
        description:
          'Addresses and ranges that the name in `url` may lead to although they are not public, for a store in your own network. An address that stands in `url` itself may be asked without it.',
        example: ['10.8.0.0/16'],
      }),
    domains: sourceDomains('partner.example', 'which tells the store to whom mail goes'),
    trust: sourceTrust,
    optional: sourceOptional,
    timeoutSeconds: sourceTimeout,
  });
}
