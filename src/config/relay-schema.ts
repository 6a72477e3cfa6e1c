import * as z from 'zod';
import type { Files } from './files.ts';
import { delivery, listenerSchema } from './listener-schema.ts';
import { outgoingMailServer } from './mail-server-schema.ts';
import { sources } from './sources.ts';
import { addressRange, domainPattern, maybe, size } from './values.ts';

/** The section `relay`. */
export function relaySection(files: Files) {
  const { path, secret } = sources(files);
  const listener = listenerSchema(files)(25, 'starttls', 'mx', {
    host: 'mail.example.org',
    port: 25,
    tls: 'starttls',
  });
  const certificate = z.strictObject({
    fingerprint: maybe(
      z
        .string()
        .regex(/^(?:[0-9A-Fa-f]{64}|[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){31})$/, {
          error: 'the SHA-256 fingerprint is expected: 64 hexadecimal digits, with or without colons',
        })
        .transform((text) => text.replaceAll(':', '').toLowerCase())
        .meta({
          description: 'SHA-256 fingerprint of exactly one certificate.',
          example: '0f'.repeat(32),
        }),
    ),
    ca: maybe(
      path('file', 'PEM file of the authority that must have issued it; with `names`.', 'relay-ca.pem'),
    ),
    names: maybe(
      z
        .array(domainPattern)
        .min(1)
        .meta({
          description:
            'With `ca`: host names of which the certificate must carry one; `*.example.org` is everything below.',
          example: ['mail.example.org'],
        }),
    ),
  });

  return z
    .array(
      z.strictObject({
        ...listener,
        upstream: listener.upstream
          .extend(outgoingMailServer(files, 'queue.server.authentication'))
          .meta({ ...listener.upstream.meta(), description: 'The mail server behind this listener.' }),
        allowPlaintext: z
          .boolean()
          .default(false)
          .describe(
            'Permits `tls: none` on an address beyond this machine: mail can then be read on the way.',
          ),
        protocol: z
          .enum(['smtp', 'lmtp'])
          .default('smtp')
          .describe(
            'What clients speak. With `lmtp` (RFC 2033) the client hears of each recipient what became of the mail.',
          ),
        direction: z.enum(['inbound', 'outbound']).meta({
          description:
            '`inbound`: mail for own users is opened and verified, and delivered to the mail server. `outbound`: mail of own users that another server passes on is signed and encrypted by the rules.',
          example: 'inbound',
        }),
        domains: maybe(
          z
            .array(domainPattern)
            .min(1)
            .meta({
              description:
                'With `direction: inbound`: the own domains, for which mail is taken; `*.example.org` is everything below. Mail for others is refused.',
              example: ['example.org'],
              shown: true,
            }),
        ),
        from: maybe(
          z
            .strictObject({
              networks: z
                .array(addressRange)
                .default([])
                .meta({ description: 'Addresses and ranges of those servers.', example: ['10.1.0.25'] }),
              certificates: z.array(certificate).default([]).meta({
                description:
                  'Certificates that those servers show: each by its fingerprint, or by who issued it and the name in it.',
                off: true,
              }),
              mark: maybe(
                z
                  .strictObject({
                    field: z
                      .string()
                      .regex(/^[Xx]-[A-Za-z0-9-]{1,60}$/, {
                        error: 'the name of a header field like X-Relay-Secret is expected',
                      })
                      .meta({ description: 'Name of the header field.', example: 'X-Relay-Secret' }),
                    value: secret('What stands in it.', 'secrets/relay-mark'),
                  })
                  .describe(
                    'A header field that mail must have besides, with a secret in it; it is taken off. For servers in a cloud, whose networks and certificates other customers have too: without it they could send in the name of own users.',
                  ),
              ),
            })
            .describe(
              'Who mail is taken from: whoever is in one of the networks, or shows one of the certificates. Without it: with `direction: inbound` from anybody, with `outbound` from nobody.',
            ),
        ),
        strangers: z
          .enum(['refuse', 'pass'])
          .default('refuse')
          .describe(
            'With `direction: outbound`: mail whose sender (MAIL FROM) is no address of a login under `principals`. `refuse`, or `pass`: it leaves as it came, whatever the rules say.',
          ),
        nullSender: z
          .enum(['refuse', 'pass'])
          .default('pass')
          .describe(
            'With `direction: outbound`: mail with the empty sender, as delivery reports and vacation notices have it. `pass`: it leaves as it came.',
          ),
        keyAway: z
          .enum(['defer', 'deliver-encrypted'])
          .default('defer')
          .describe(
            'With `direction: inbound`: what becomes of mail for a key that is away (a card that is out, a PIN that nobody types). `defer`: the sending server tries again later. `deliver-encrypted`: it is delivered as it came.',
          ),
        trustedProxies: z
          .array(addressRange)
          .default([])
          .meta({
            description:
              'Servers that say whose connection it is, or whose mail they pass on (XCLIENT and XFORWARD, as Postfix has them): addresses or ranges. What they say is believed: who connects through them is admitted by the address that they tell.',
            example: ['127.0.0.1'],
          }),
        delivery,
        maxMessageSize: size
          .prefault('50 MiB')
          .meta({ description: 'Largest mail accepted: octets, or a number with KiB, MiB or GiB.' }),
      }),
    )
    .default([])
    .meta({
      description: 'Listeners for other mail servers, which do not log in: as MX or content filter.',
      off: true,
    });
}
