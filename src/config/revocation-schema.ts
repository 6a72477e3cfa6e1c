import * as z from 'zod';
import { addressRange, cacheSize, maybe } from './values.ts';

/** `trust.revocation`: its output is the RevocationSettings of src/revocation/open-revocation.ts, and `failure`. */

const port = z
  .int({ error: 'a port is a whole number from 1 to 65535' })
  .min(1, { error: 'a port is a whole number from 1 to 65535' })
  .max(65_535, { error: 'a port is a whole number from 1 to 65535' });

export const revocation = z
  .strictObject({
    failure: z
      .enum(['soft', 'hard'])
      .default('soft')
      .describe(
        'What it means that the revocation of a certificate could not be checked. `soft`: it is said and tolerated. `hard`: a mail signed with it is shown as not trusted, and nothing is encrypted to it: where a rule says `encrypt: require`, such mail is refused; where it says `if-possible`, it is refused for now while the check may succeed later, and leaves unencrypted where no check can ever be made. A certificate that is known to be revoked is never trusted nor used.',
      ),
    fetch: z
      .boolean()
      .default(true)
      .describe(
        'Whether CRLs and OCSP answers are fetched from where certificates below a configured anchor say. Without it only what a mail brings and what was kept counts.',
      ),
    sources: z
      .enum(['ocsp-first', 'crl-first', 'ocsp', 'crl'])
      .default('ocsp-first')
      .describe(
        'What is fetched, and in which order. An OCSP responder learns whose certificate is looked at; a CRL tells its publisher nothing.',
      ),
    nonce: z
      .enum(['never', 'prefer', 'require'])
      .default('never')
      .describe(
        'Whether OCSP is asked with a nonce: `never` lets caches answer, `prefer` takes answers that do not repeat it, `require` refuses them. Many public responders know no nonce.',
      ),
    timeoutSeconds: z
      .int()
      .min(1)
      .max(60)
      .default(5)
      .describe(
        'How long a signature that is read, a recipient or a key may wait for evidence; what comes later is kept for the next mail.',
      ),
    maxAgeHours: maybe(
      z.int().min(1).max(8760).meta({
        description: 'Evidence older than this is not believed, even where it says that it is still new.',
        example: 168,
      }),
    ),
    graceHours: z
      .int()
      .min(0)
      .max(8760)
      .default(0)
      .describe('How long evidence is still believed after its own time, where nothing newer can be had.'),
    allowAddresses: z
      .array(addressRange)
      .default([])
      .meta({
        description:
          'Addresses and ranges that may be asked although they are not public, for a certificate authority in your own network. Private, loopback and link-local addresses are refused otherwise.',
        example: ['10.1.2.3', '10.8.0.0/16'],
      }),
    allowPorts: z
      .array(port)
      .min(1)
      .default([80, 443])
      .meta({ description: 'Ports that may be asked.', example: [80, 443] }),
    cacheSize: cacheSize.prefault('256 MiB').meta({
      description:
        'Largest size of what is kept on disk (revocation.sqlite in the state folder; it can be removed at any time): octets, or a number with KiB, MiB or GiB.',
    }),
  })
  .prefault({})
  .describe('How it is found out whether a certificate has been revoked.');
