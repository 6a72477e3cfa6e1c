import * as z from 'zod';
import type { Files } from './files.ts';
import { mailServerPlace } from './mail-server-schema.ts';
import { sources } from './sources.ts';
import { name, upstreamPort } from './values.ts';

const noControls = /^[^\p{Cc}]+$/u;

/** The section `archives`. */
export function archivesSection(files: Files) {
  const { secret } = sources(files);
  const place = mailServerPlace(files);
  return z
    .array(
      z.strictObject({
        name: name.meta({ description: 'Name of the archive: rules refer to it.', example: 'sent' }),
        ...place,
        port: upstreamPort.meta({ description: 'Port of the IMAP server.', example: 993 }),
        tls: place.tls.meta({ example: 'implicit' }),
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
