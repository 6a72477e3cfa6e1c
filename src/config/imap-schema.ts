import * as z from 'zod';
import type { Files } from './files.ts';
import { listenerSchema, rawLoginSuffix, relayMechanisms } from './listener-schema.ts';
import { searchSettings } from './search-schema.ts';

/** The section `imap`. */
export function imapSection(files: Files) {
  return z
    .array(
      z.strictObject({
        ...listenerSchema(files)(993, 'implicit', 'imaps', {
          host: 'mail.example.org',
          port: 993,
          tls: 'implicit',
        }),
        relayMechanisms,
        rawLoginSuffix,
        keyAway: z
          .enum(['refuse', 'disconnect'])
          .default('refuse')
          .describe(
            'What a client is told that asks for a mail whose key is away. `refuse`: the others come, this one is refused with the reason. `disconnect`: the session ends, for programs like mbsync that take a refusal for “gone” and never ask again.',
          ),
        search: searchSettings,
      }),
    )
    .default([])
    .describe('Listeners for reading mail (IMAP).');
}
