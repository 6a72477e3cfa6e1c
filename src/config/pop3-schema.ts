import * as z from 'zod';
import type { Files } from './files.ts';
import { listenerSchema, rawLoginSuffix, relayMechanisms } from './listener-schema.ts';

/** The section `pop3`. */
export function pop3Section(files: Files) {
  return z
    .array(
      z.strictObject({
        ...listenerSchema(files)(995, 'implicit', 'pop3s', {
          host: 'mail.example.org',
          port: 995,
          tls: 'implicit',
        }),
        relayMechanisms,
        rawLoginSuffix,
        topBody: z
          .enum(['render', 'headers'])
          .default('render')
          .describe(
            'What a client is shown that asks for the first lines of an encrypted mail (TOP). `render`: those lines; the mail is fetched from the server and opened for it. `headers`: none, only the header; for servers that do something with a mail that was fetched.',
          ),
      }),
    )
    .default([])
    .meta({ off: true, description: 'Listeners for fetching mail (POP3).' });
}
