import * as z from 'zod';
import { appendSection } from './append-schema.ts';
import { archivesSection } from './archives-schema.ts';
import { clusterSection } from './cluster-schema.ts';
import { directorySection } from './directory-schema.ts';
import type { Files } from './files.ts';
import { holdingSection } from './holding-schema.ts';
import { httpSection } from './http-schema.ts';
import { imapSection } from './imap-schema.ts';
import { keySection } from './key-schema.ts';
import { delivery, listenerSchema, relayMechanisms } from './listener-schema.ts';
import { policySection } from './policy-schema.ts';
import { pop3Section } from './pop3-schema.ts';
import { principal } from './principal-schema.ts';
import { publishingSection } from './publishing-schema.ts';
import { queueSection } from './queue-schema.ts';
import { readingSection } from './reading-schema.ts';
import { relaySection } from './relay-schema.ts';
import { revocation } from './revocation-schema.ts';
import { sendingLimits } from './sending-limits-schema.ts';
import { sources } from './sources.ts';
import { domainPattern, hostname, login, maybe, size } from './values.ts';

/**
 * The configuration, declared once: shape, meaning, defaults and examples. The reference page, the example file
 * and the editor schema are made from here (reference.ts); what concerns several settings is in cross-checks.ts.
 *
 * A secret is never written in the file itself: it is named by `{ file }` or `{ env }`.
 */
export function configSchema(files: Files) {
  const { path, secret } = sources(files);

  const listener = listenerSchema(files);

  return z.strictObject({
    hostname: hostname.meta({
      description: 'Name of this gateway in greetings and in Authentication-Results.',
      example: 'gateway.example.org',
    }),
    stateFolder: path(null, 'Folder for what the gateway learns and remembers.', '/var/lib/sealgate')
      .prefault('/var/lib/sealgate')
      .describe('Folder for what the gateway learns and remembers: made when it is not there.'),
    tls: maybe(
      z
        .strictObject({
          certificate: path('file', 'PEM file: the certificate first, then its chain.', 'tls/gateway.crt'),
          key: path('private-file', 'PEM file with the private key.', 'tls/gateway.key'),
          passphrase: maybe(
            secret('Passphrase of the private key, where it is encrypted.', 'tls/gateway.passphrase'),
          ),
        })
        .describe('What the gateway shows to mail clients. Needed unless every listener has `tls: none`.'),
    ),
    submission: z
      .array(
        z.strictObject({
          ...listener(587, 'starttls', 'submission', {
            host: 'mail.example.org',
            port: 587,
            tls: 'starttls',
          }),
          maxMessageSize: size
            .prefault('50 MiB')
            .meta({ description: 'Largest mail accepted: octets, or a number with KiB, MiB or GiB.' }),
          sendingLimits,
          relayMechanisms,
          delivery,
          assumeLogin: maybe(
            login.meta({
              description:
                'For programs on this machine that cannot log in: every client of this listener is taken for this login, without a password. Only on 127.0.0.1 or ::1, where every local user and whatever forwards to this machine (a tunnel, stunnel) has it too; the mail server must take mail from the gateway without a login.',
              example: 'reports@example.org',
            }),
          ),
        }),
      )
      .default([])
      .describe('Listeners for outgoing mail (SMTP submission).'),
    relay: relaySection(files),
    imap: imapSection(files),
    pop3: pop3Section(files),
    append: appendSection,
    reading: readingSection,
    keys: keySection(files),
    principals: z
      .strictObject({
        loginIsAddress: z
          .boolean()
          .default(false)
          .describe(
            'A login that is a mail address may write from that address, without an entry in `list`.',
          ),
        list: z
          .array(principal)
          .prefault([])
          .describe('Logins, their addresses and their keys. Who is not here has none.'),
      })
      .prefault({})
      .describe('Who may write from which address and use which key.'),
    trust: z
      .strictObject({
        anchors: z
          .array(path('file', 'PEM or DER file.', 'trust/example-root.pem'))
          .default([])
          .meta({
            description: "Certificate authorities trusted for mail (PEM or DER files). The system's are not.",
            example: ['trust/example-root.pem'],
            shown: true,
          }),
        restrictedAnchors: z
          .array(
            z.strictObject({
              file: path('file', 'PEM or DER file.', 'trust/partner-root.pem'),
              for: z
                .array(z.enum(['signing', 'encryption']))
                .min(1)
                .default(['signing', 'encryption'])
                .describe(
                  'What it is believed for. `signing`: signatures of mail that is read. `encryption`: certificates that come with such mail count as `verified`.',
                ),
              domains: maybe(
                z
                  .array(domainPattern)
                  .min(1)
                  .meta({
                    description:
                      'Domains of the addresses that it may speak for; `*.partner.example` is everything below. Without it: any.',
                    example: ['partner.example', '*.partner.example'],
                  }),
              ),
            }),
          )
          .default([])
          .meta({
            description:
              'Certificate authorities that are trusted for some domains only, or for one purpose, as that of a partner is.',
            off: true,
          }),
        intermediates: z
          .array(path('file', 'PEM or DER file.', 'trust/example-intermediate.pem'))
          .default([])
          .meta({
            description:
              'Certificates that help to build a path to an anchor where a mail does not bring them.',
            example: ['trust/example-intermediate.pem'],
          }),
        subjectEmailAddress: z
          .boolean()
          .default(false)
          .describe(
            'When mail is read, an emailAddress in the subject counts as the address of an old certificate that names none where it belongs (subjectAltName). Only for authorities that are known to have checked it.',
          ),
        revocation,
      })
      .prefault({})
      .describe('Which certificate authorities are believed.'),
    directory: directorySection(files),
    policy: policySection,
    queue: queueSection(files),
    cluster: clusterSection(files),
    holding: holdingSection,
    archives: archivesSection(files),
    publishing: publishingSection(files),
    http: httpSection(files),
    smime: z
      .strictObject({
        rsaSignature: z
          .enum(['automatic', 'pkcs1', 'pss'])
          .default('automatic')
          .describe(
            'How RSA keys sign: `pkcs1` (PKCS#1 v1.5, which every program reads), `pss` (RSASSA-PSS) or `automatic`: PSS where every recipient of the message has said that it reads it.',
          ),
        rsaKeyTransport: z
          .enum(['automatic', 'pkcs1', 'oaep'])
          .default('automatic')
          .describe(
            'How mail is encrypted to RSA keys: `pkcs1` (PKCS#1 v1.5, which every program reads), `oaep` (RSAES-OAEP with SHA-256) or `automatic`: OAEP for each recipient who has said that it reads it.',
          ),
        postQuantum: z
          .boolean()
          .default(false)
          .describe(
            'Encrypts to certificates with ML-KEM keys and signs with ML-DSA keys. Few programs read that yet. What comes in is read in any case.',
          ),
        boundContentKeys: z
          .boolean()
          .default(false)
          .describe(
            'Binds the key of an encrypted mail to its algorithm (RFC 9709) where every recipient has said that it reads that, so that nobody on the way can have it decrypted under another one.',
          ),
      })
      .prefault({})
      .describe('Algorithms of outgoing mail.'),
    log: z
      .strictObject({
        level: z
          .enum(['debug', 'info', 'warn', 'error'])
          .default('info')
          .describe('Least important lines that are written.'),
        format: z
          .enum(['text', 'json'])
          .default('text')
          .describe('`text` for people, `json` for machines: one object a line.'),
        traceDays: z
          .int()
          .min(0)
          .max(3_650)
          .default(14)
          .describe(
            'How many days `sealgate trace` can tell what became of a mail: who sent it to whom, how it was protected, what mail servers said; nothing of its content. 0: nothing is kept.',
          ),
      })
      .prefault({})
      .describe('The log goes to standard output.'),
  });
}

/** The parts of the file, each parsed as far as it is well-formed. */
export type Sections = z.output<ReturnType<typeof configSchema>>;
