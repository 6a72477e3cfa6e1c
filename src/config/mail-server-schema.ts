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

/**
 * What else there is to say of a server that the gateway sends mail to: for the queue, on routes, behind listeners without logins.
 *
 * @param like where the login is explained, if it is not here
 */
export function outgoingMailServer(files: Files, like?: string) {
  const login = ownLogin(files);
  return {
    protocol: z
      .enum(['smtp', 'lmtp'])
      .default('smtp')
      .describe(
        'What the server speaks. `lmtp` for one that delivers into mailboxes: it answers for each recipient by itself.',
      ),
    authentication: maybe(like === undefined ? login : login.meta({ ...login.meta(), like })),
  };
}

function ownLogin(files: Files) {
  const { path, secret } = sources(files);
  const loginName = z
    .string()
    .min(1)
    .max(255)
    .regex(/^[^\p{Cc}]+$/u, { error: 'a login without control characters is expected' });
  const password = z
    .strictObject({
      kind: z
        .literal('password')
        .describe('By SCRAM-SHA-256, PLAIN or LOGIN, whichever of them the server has.'),
      login: loginName.meta({ description: 'Login of the gateway.', example: 'sealgate' }),
      password: secret('Its password.', 'secrets/mail-server.password'),
    })
    .describe('A login and its password.');
  const oauth2 = z
    .strictObject({
      kind: z.literal('oauth2').describe('By OAUTHBEARER or XOAUTH2, whichever of them the server has.'),
      login: loginName.meta({
        description: 'Mailbox or account that the token is for.',
        example: 'sealgate@example.org',
      }),
      tokenEndpoint: tokenEndpoint.meta({
        description: 'Where tokens are asked for, by client credentials (RFC 6749 §4.4).',
        example: 'https://login.example.org/tenant/oauth2/v2.0/token',
      }),
      clientId: z
        .string()
        .min(1)
        .max(500)
        .meta({ description: 'Name of the gateway at the token endpoint.', example: 'sealgate' }),
      clientSecret: secret('Its secret there.', 'secrets/token-endpoint.secret'),
      scope: maybe(
        z
          .string()
          .min(1)
          .max(1_000)
          // RFC 6749 §3.3.
          .regex(/^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/, {
            error: 'words of ASCII with one blank between are expected',
          })
          .meta({
            description: 'What the token is to be good for.',
            example: 'https://outlook.office365.com/.default',
          }),
      ),
      ca: maybe(
        path(
          'file',
          "PEM file with the certificate authorities that may vouch for the token endpoint; without it, the system's.",
          'tls/token-endpoint-ca.pem',
        ),
      ),
    })
    .describe('An access token that the gateway gets for itself.');
  const certificate = z
    .strictObject({
      kind: z
        .literal('certificate')
        .describe('By EXTERNAL where the server offers it, else by the certificate alone.'),
      certificate: path('file', 'PEM file: the certificate, and those of its issuers.', 'tls/gateway.pem'),
      key: path(
        'private-file',
        'PEM file with its private key, which nobody else may read. The gateway’s own process holds it, as it holds those of its listeners.',
        'tls/gateway.key',
      ),
      login: maybe(
        loginName.meta({
          description: 'Whom to log in as, where the certificate does not say it.',
          example: 'sealgate',
        }),
      ),
    })
    .describe('A certificate that the gateway shows in TLS.');
  return z
    .discriminatedUnion('kind', [password, oauth2, certificate], {
      error: 'kind is password, oauth2 or certificate',
    })
    .meta({
      description: 'How the gateway itself logs in to the server. Without it, it does not.',
      example: { kind: 'password', login: 'sealgate', password: { file: 'secrets/mail-server.password' } },
    });
}

const tokenEndpoint = z
  .string()
  .max(1_000)
  .transform((written, context) => {
    const url = URL.parse(written);
    if (url?.protocol === 'https:' && url.username === '' && url.password === '' && url.hash === '')
      return url;
    context.addIssue({
      code: 'custom',
      message: 'https://HOST/PATH is expected, without a login and a fragment',
    });
    return z.NEVER;
  })
  .meta({ what: 'URL' });
