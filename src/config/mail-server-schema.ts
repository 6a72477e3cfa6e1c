import * as z from 'zod';
import type { Files } from './files.ts';
import { sources } from './sources.ts';
import { host, maybe, transport, upstreamPort } from './values.ts';

/** Where a mail server is and how the connection to it is secured: behind a listener, for the queue, or of an archive. */
export function mailServerPlace(files: Files) {
  const { path } = sources(files);
  return {
    host: host.meta({ description: 'Name or address of the mail server.', example: 'mail.example.org' }),
    port: upstreamPort,
    tls: transport.describe(
      'How the connection is secured: `starttls`, `implicit` (TLS from the first octet) or `none`.',
    ),
    ca: maybe(
      path(
        'file',
        "PEM file with the certificate authorities that may vouch for the server; without it, the system's.",
        'mail-server-ca.pem',
      ),
    ),
    serverName: maybe(
      host.meta({
        description: "Name the server's certificate must carry, where it differs from `host`.",
        example: 'mail.example.org',
      }),
    ),
    allowPlaintext: z
      .boolean()
      .default(false)
      .describe(
        'Permits `tls: none` to a server beyond this machine: passwords and mail can then be read on the way.',
      ),
  };
}
