import * as z from 'zod';
import { RELAYED_MECHANISMS } from '../sasl/relayed-identity.ts';
import type { Files } from './files.ts';
import { mailServerPlace } from './mail-server-schema.ts';
import { addressRange, host, listenerPort, maybe, name, transport } from './values.ts';

/** Of listeners where clients log in. */
export const relayMechanisms = z
  .array(z.enum(RELAYED_MECHANISMS))
  .default([])
  .meta({
    description:
      'Logins in which the password does not travel that are passed on to the mail server, where it offers them. The gateway takes from them whose login it is; the mail server decides. Those with channel binding (SCRAM-…-PLUS) cannot be passed on.',
    example: ['SCRAM-SHA-256'],
  });

/** Of listeners for reading mail. */
export const rawLoginSuffix = maybe(
  z
    .string()
    // The letters behind an @ are looked up in lower case.
    .regex(/^[+#!~^=|:;,-][a-z0-9._-]{1,31}$/, {
      error: 'a sign and lower-case letters or digits are expected, like +raw',
    })
    .meta({
      description:
        'A login name that ends with this logs in without it and sees mail as it is stored, octet for octet and without keys: for backup programs. `alice@example.org+raw` then is `alice@example.org`.',
      example: '+raw',
    }),
);

/** Of listeners that take mail. */
export const delivery = z
  .enum(['live', 'queue'])
  .default('live')
  .describe(
    '`live`: the mail server has the mail before the client is answered. `queue`: the client is answered when the mail is in the gateway’s own queue (section `queue`), durably, and it is delivered from there by `queue.server` and `queue.routes`; the mail server behind a submission listener then decides who may log in, and nothing else.',
  );

/** What every listener has: where it listens, what it offers clients, and the mail server behind it. */
export function listenerSchema(files: Files) {
  const upstream = z
    .strictObject({
      ...mailServerPlace(files),
      proxyProtocol: z
        .enum(['none', 'v1', 'v2'])
        .default('none')
        .describe(
          'Begins each connection with a PROXY header of this version, which tells the server the client’s address (Dovecot: `haproxy = yes`, Postfix: `smtpd_upstream_proxy_protocol`). A server that does not expect it takes it for nonsense.',
        ),
      tellClientAddress: z
        .boolean()
        .default(false)
        .describe(
          'Tells the server the client’s address in the protocol itself: XCLIENT where it is offered (SMTP, POP3), ID with x-originating-ip (IMAP). The server must trust the gateway with that.',
        ),
    })
    .describe('The mail server behind this listener.');

  return (port: number, tls: 'starttls' | 'implicit', nameExample: string, upstreamExample: object) => ({
    name: name.meta({ description: 'Name of the listener in log lines.', example: nameExample }),
    host: host.default('0.0.0.0').describe('Address to listen on; `0.0.0.0` and `::` are all addresses.'),
    port: listenerPort.meta({
      description: 'Port to listen on; 0 lets the system choose one.',
      example: port,
    }),
    tls: transport.meta({
      description:
        'What clients are offered: `starttls`, `implicit` (TLS from the first octet) or `none`. With `starttls` no login is accepted before it.',
      example: tls,
    }),
    allowPlaintext: z
      .boolean()
      .default(false)
      .describe('Permits `tls: none` on an address beyond this machine.'),
    maxConnections: z
      .int()
      .min(1)
      .max(100_000)
      .default(1000)
      .describe('Connections served at once; further ones are refused with a temporary reply.'),
    maxConnectionsPerAddress: z
      .int()
      .min(1)
      .max(100_000)
      .default(250)
      .describe(
        'Connections at once of one client address, or of one /64 of IPv6; further ones are refused with a temporary reply.',
      ),
    unlimitedNetworks: z
      .array(addressRange)
      .default(['127.0.0.0/8', '::1'])
      .meta({
        description:
          'Addresses and ranges whose clients are not bounded by their address: neither in connections and TLS handshakes, nor slowed down after failed logins. For webmail and other programs that bring many people from one address. With `proxyProtocolFrom` the address in the PROXY header counts.',
        example: ['127.0.0.0/8', '::1', '10.1.0.20'],
      }),
    oldTls: z
      .boolean()
      .default(false)
      .describe(
        'Lets in clients that have only TLS 1.0 or 1.1, which can be attacked. For old devices, on a listener of their own.',
      ),
    proxyProtocolFrom: z
      .array(addressRange)
      .default([])
      .meta({
        description:
          'Load balancers in front of this listener: addresses, or ranges like 10.1.0.0/16. Their connections must begin with a PROXY header (version 1 or 2), which tells the client’s address; nobody else is let in.',
        example: ['10.1.0.7'],
      }),
    upstream: upstream.meta({ example: upstreamExample }),
  });
}
