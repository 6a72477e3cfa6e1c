import * as z from 'zod';
import type { Files } from './files.ts';
import { ldapPlace, withTransport } from './ldap-values.ts';
import { sourceDomains, sourceName } from './source-values.ts';

/** An entry of `directory.groupSources`. */
export function groupSource(files: Files) {
  return z
    .strictObject({
      name: sourceName('people'),
      ...ldapPlace(files),
      domains: sourceDomains('example.org', 'which costs a question for each recipient'),
      keptMinutes: z
        .int()
        .min(1)
        .max(1_440)
        .default(10)
        .describe('How long an answer counts, in memory, before it is asked again.'),
      timeoutSeconds: z
        .int()
        .min(1)
        .max(60)
        .default(5)
        .describe('How long one question may take, with all servers that are tried.'),
    })
    .transform(withTransport)
    .describe('An LDAP directory (version 3).');
}
