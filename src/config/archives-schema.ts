import * as z from 'zod';
import type { Files } from './files.ts';
import { sources } from './sources.ts';
import { host, maybe, name, transport, upstreamPort } from './values.ts';

const noControls = /^[^\p{Cc}]+$/u;

/** The section `archives`. */
export function archivesSection(files: Files) {
  const { path, secret } = sources(files);
  return z
    .array(
      z.strictObject({
        name: name.meta({ description: 'Name of the archive: rules refer to it.', example: 'sent' }),
        host: host.meta({ description: 'Name or address of the IMAP server.', example: 'mail.example.org' }),
        port: upstreamPort.meta({ description: 'Port of the IMAP server.', example: 993 }),
        tls: transport.meta({
          description:
            'How the connection is secured: `starttls`, `implicit` (TLS from the first octet) or `none`.',
          example: 'implicit',
        }),
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
            'Permits `tls: none` to a server beyond this machine: the password and the mail can then be read on the way.',
          ),
        login: z
          .string()
          .max(255)
          .regex(noControls, { error: 'a login without control characters is expected' })
          .refine((text) => !/[{}]/.test(text.replaceAll('{login}', '')), {
            error: 'of what stands in braces only {login} has a meaning here',
          })
          .meta({
            description:
              'Who logs in. `{login}` stands for the login of the sender, where the server lets a master user in for others (Dovecot: `{login}*gateway`); without it all copies go into one mailbox. A sender whose login has the character beside `{login}` sends nothing by such a rule.',
            example: '{login}*gateway',
          }),
        password: secret('Its password.', 'secrets/archive.password'),
        mailbox: z
          .string()
          .max(500)
          .regex(noControls, { error: 'the name of a mailbox, without control characters, is expected' })
          .default('Sent')
          .meta({
            description:
              'Mailbox that the copies go into, as the server names it, with its separator between levels. It is made where it is not there.',
            example: 'Archive/2026',
          }),
      }),
    )
    .default([])
    .meta({
      description:
        'Mailboxes that copies of outgoing mail go into, where a rule says `appendTo`. Needs the section `queue`: a copy waits there while its server is away.',
      off: true,
    });
}
