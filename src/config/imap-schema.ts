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
        hiddenCapabilities: z
          .array(
            z.string().regex(/^[A-Za-z0-9][A-Za-z0-9=+._-]{0,63}$/, {
              error: 'the name of a capability is expected, like COMPRESS=DEFLATE or AUTH=XOAUTH2',
            }),
          )
          .default([])
          .meta({
            description:
              'Capabilities that clients of this listener are not told of, for programs that do badly with one of them.',
            example: ['COMPRESS=DEFLATE'],
          }),
        compressUpstream: z
          .boolean()
          .default(false)
          .describe(
            'Compresses the connections to the mail server, where it offers COMPRESS. For a server far away: it costs both ends a little time and 105 KB a connection.',
          ),
        keyAway: z
          .enum(['refuse', 'disconnect'])
          .default('refuse')
          .describe(
            'What a client is told that asks for a mail whose key is away. `refuse`: the others come, this one is refused with the reason. `disconnect`: the session ends, for programs like mbsync that take a refusal for “gone” and never ask again.',
          ),
        search: searchSettings,
        warmUp: z
          .int()
          .min(0)
          .max(1_000)
          .default(0)
          .describe(
            'So many encrypted mails of a mailbox are opened ahead while its client waits for news (IDLE), the newest first, each time that it is selected. Only by keys that need no PIN at that moment. 0: none; mail is opened when somebody asks for it.',
          ),
      }),
    )
    .default([])
    .describe('Listeners for reading mail (IMAP).');
}
