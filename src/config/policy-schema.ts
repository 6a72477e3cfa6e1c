import * as z from 'zod';
import { condition, group } from './condition-schema.ts';
import { address, name } from './values.ts';

/** One rule of the outbound policy. Its output is the Rule of src/policy/rules.ts. */

const algorithms = z
  .strictObject({
    contentEncryption: z
      .enum(['aes256-gcm', 'aes128-gcm', 'aes256-cbc', 'aes128-cbc'])
      .optional()
      .transform((value) => value ?? null)
      .describe('How the mail itself is encrypted.'),
    keyManagement: z
      .enum(['rsa-oaep', 'rsa-pkcs1', 'ecdh', 'ml-kem'])
      .optional()
      .transform((value) => value ?? null)
      .describe('How its key is encrypted to each reader, the sender among them.'),
    signature: z
      .enum(['rsa-pss', 'rsa-pkcs1', 'ecdsa', 'eddsa', 'ml-dsa'])
      .optional()
      .transform((value) => value ?? null)
      .describe('How the mail is signed.'),
  })
  .refine((said) => Object.values(said).some((one) => one !== null), {
    error: 'nothing is said: leave it out, or name an algorithm',
  })
  .describe(
    'Algorithms that this rule demands, before what the readers say and the section `smime`. What a reader says that it cannot read, or a key cannot do, is a refusal that says so.',
  );

const steering = z
  .strictObject({
    tags: z
      .boolean()
      .default(false)
      .describe('The tags `[sign]`, `[encrypt]` and `[plain]` at the beginning of the Subject count.'),
    header: z
      .string()
      .regex(/^[!-9;-~]{1,100}$/, { error: 'the name of a header field is expected, without the colon' })
      .transform((text) => text.toLowerCase())
      .optional()
      .transform((value) => value ?? null)
      .meta({
        description:
          'Name of a header field whose value `sign`, `encrypt` or `plain` counts; there may be several of it.',
        example: 'X-Sealgate',
      }),
    mayLower: z
      .boolean()
      .default(false)
      .describe(
        '`plain` counts: the mail leaves neither signed nor encrypted. Without it authors can only ask for more than the rule; beside `sign` or `encrypt` it never counts.',
      ),
  })
  .refine(({ tags, header }) => tags || header !== null, {
    error: 'nothing steers: say tags: true, or name a header field',
  })
  .describe('What authors of mail may ask for: `sign` and `encrypt` become `require`.');

/** Names, conditions and what they demand; combinations that make no sense are in cross-checks.ts. */
const rule = z
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
    withoutCertificate: z
      .enum(['refuse-all', 'refuse-recipient', 'send-signed', 'hold', 'ask'])
      .optional()
      .meta({
        description:
          'With `encrypt: require` only: what happens when a recipient has no usable certificate. `refuse-all` (default): the mail goes to nobody. `refuse-recipient`: like refuse-all, and said to the client as early as at that recipient. `send-signed`: this recipient gets the mail signed but readable by others. `hold`: the mail waits for this recipient, encrypted to the key of the section `queue`, and leaves by itself once there is a certificate. `ask`: the same, and its sender is asked by mail whether to send it signed only, to wait or to discard it.',
        default: 'refuse-all',
      }),
    introduce: z
      .boolean()
      .default(false)
      .describe(
        'With `hold` and `ask`: those for whom a mail waits get a signed note from its sender, once in 7 days, so that a signed answer brings their certificate.',
      ),
    form: z
      .enum(['clear', 'opaque', 'triple-wrap'])
      .default('clear')
      .describe(
        'Form of a signature: `clear` (multipart/signed, readable without S/MIME), `opaque` (survives servers that change text) or `triple-wrap`: signed, encrypted, and signed again around that (RFC 2634); what is not encrypted is signed as `clear`.',
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
    requireTls: z
      .enum(['no', 'upstream', 'onward'])
      .default('no')
      .describe(
        '`upstream`: the mail leaves only where the connection to the mail server has TLS; a server that offers REQUIRETLS (RFC 8689) is asked for TLS on the rest of the way. `onward`: only where it offers that. A mail that may not leave is refused.',
      ),
    algorithms: algorithms.optional(),
    steering: steering.optional(),
    stripTag: z
      .boolean()
      .default(false)
      .describe(
        'Takes the tags that `when.subjectTag` and `steering` name out of the Subject, and the field of `steering.header` out of the header, before anything is signed. A mail that the mail program has protected stays as it is.',
      ),
    notify: z
      .array(address)
      .max(20, { error: 'at most 20 addresses are expected' })
      .default([])
      .meta({
        description:
          'Addresses that get a short mail from the gateway when this rule has decided for somebody: from whom, to whom, when, and what became of it; neither Subject nor text.',
        example: ['security@example.org'],
      }),
    appendTo: name.optional().meta({
      description:
        'Name of an entry of `archives`: a copy of what leaves, as it leaves, is stored in that mailbox.',
      example: 'sent',
    }),
  })
  .transform((written) => ({
    ...written,
    appendTo: written.appendTo ?? null,
    algorithms: written.algorithms ?? null,
    steering: written.steering ?? null,
    revocation: written.revocation ?? null,
    withoutCertificate: written.withoutCertificate ?? ('refuse-all' as const),
  }))
  .describe('One rule. The first rule that applies to a recipient decides.');

/** The section `policy`. */
export const policySection = z
  .strictObject({
    recordDays: z
      .int({ error: 'a whole number of days from 0 to 90 is expected' })
      .min(0, { error: 'a whole number of days from 0 to 90 is expected' })
      .max(90, { error: 'a whole number of days from 0 to 90 is expected' })
      .default(0)
      .describe(
        'How many days decisions are kept for `sealgate policy replay`: addresses, sizes and what came of the conditions of rules, in `decisions.sqlite` in the state folder; no Subject, no file name, no content. 0: none are kept.',
      ),
    groups: z
      .array(group)
      .default([])
      .meta({ description: 'Groups that conditions of rules name.', off: true }),
    rules: z.array(rule).meta({
      description: 'Tried in order, for each recipient. A recipient no rule applies to is refused.',
      furtherExamples: [{ name: 'everybody-else', sign: 'if-possible', encrypt: 'if-possible' }],
    }),
  })
  .describe('What happens to outgoing mail.');
