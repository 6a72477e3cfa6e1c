import * as z from 'zod';
import { condition } from './condition-schema.ts';
import { name } from './values.ts';

/** One rule of the outbound policy. Its output is the Rule of src/policy/rules.ts. */

/** Names, conditions and what they demand; combinations that make no sense are in cross-checks.ts. */
export const rule = z
  .strictObject({
    name: name.meta({
      description: 'Name of the rule in replies, log lines and explanations.',
      example: 'partners',
    }),
    when: condition.prefault({}),
    sign: z
      .enum(['require', 'if-possible', 'never'])
      .describe(
        '`require`: a mail that cannot be signed is refused. `if-possible`: signed where the login has a key with a valid certificate for the From address; a key that is away, or whose PIN is missing or wrong, is never a reason to send unsigned.',
      ),
    encrypt: z
      .enum(['require', 'if-possible', 'never'])
      .describe(
        '`require`: see `withoutCertificate`. `if-possible`: encrypted to those whose certificate is known. An outage of the directory is never a reason to send unencrypted.',
      ),
    withoutCertificate: z.enum(['refuse-all', 'refuse-recipient', 'send-signed']).optional().meta({
      description:
        'With `encrypt: require` only: what happens when a recipient has no usable certificate. `refuse-all` (default): the mail goes to nobody. `refuse-recipient`: like refuse-all, and said to the client as early as at that recipient. `send-signed`: this recipient gets the mail signed but readable by others.',
      default: 'refuse-all',
    }),
    form: z
      .enum(['clear', 'opaque'])
      .default('clear')
      .describe(
        'Form of a signature: `clear` (multipart/signed, readable without S/MIME) or `opaque` (survives servers that change text).',
      ),
    subject: z
      .enum(['keep', 'protect'])
      .default('keep')
      .describe(
        'Of encrypted mail: `keep` leaves the Subject readable on the way, `protect` puts `[...]` in its place (RFC 9788). Inside it is protected either way; programs that do not know RFC 9788 list a protected mail as `[...]` and show its Subject above the text.',
      ),
    alreadyProtected: z
      .enum(['forward', 'refuse'])
      .default('forward')
      .describe(
        'A mail the client itself has encrypted leaves as it is; one it has signed keeps its signature and is encrypted as `encrypt` says. `refuse` refuses both.',
      ),
    minTrust: z
      .enum(['harvested', 'directory', 'verified', 'pinned'])
      .default('verified')
      .describe(
        'Least trust in a certificate to encrypt to: `harvested` (came with a good signature), `directory` (a source that the administrator configured says so), `verified` (leads to a trust anchor), `pinned` (an administrator said so).',
      ),
    revocation: z
      .enum(['soft', 'hard'])
      .optional()
      .describe(
        'For certificates whose revocation cannot be checked, in the place of `trust.revocation.failure`: `soft` encrypts to them all the same, `hard` does not.',
      ),
  })
  .transform((written) => ({
    ...written,
    revocation: written.revocation ?? null,
    withoutCertificate: written.withoutCertificate ?? ('refuse-all' as const),
  }))
  .describe('One rule. The first rule that applies to a recipient decides.');
