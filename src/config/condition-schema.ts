import * as z from 'zod';
import { templateProblem } from '../directory/ldap/filter-template.ts';
import { parseMailbox } from '../pki/mailbox.ts';
import { domainPattern, list, login, maybe, name, size } from './values.ts';

/** What a rule applies to. The output is the Condition of src/policy/rules.ts. */

const addressPattern = z
  .string()
  .refine((text) => isAddressPattern(text), {
    error:
      'a mail address like alice@example.org is expected, or one like sales-*@example.org with one * before the @',
  })
  .meta({ what: 'mail address or pattern' });

const groupName = name.meta({ what: 'name of a group' });

const tag = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/, {
    error:
      'a tag is 1 to 32 letters, digits, hyphens and underscores, and begins with a letter or digit; it is written without its brackets',
  })
  .transform((text) => text.toLowerCase())
  .meta({ what: 'tag without brackets' });

// RFC 6838 §4.2
const RESTRICTED = '[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}';

const mediaTypePattern = z
  .string()
  .regex(new RegExp(`^${RESTRICTED}/(${RESTRICTED}|\\*)$`), {
    error: 'a media type like application/pdf is expected, or one like application/*',
  })
  .transform((text) => text.toLowerCase())
  .meta({ what: 'media type or type/*' });

const extension = z
  .string()
  .regex(/^[^\s./\\\p{Cc}]{1,32}$/u, { error: 'a file name extension without the dot is expected, like pdf' })
  .transform((text) => text.toLowerCase())
  .meta({ what: 'extension without the dot' });

const comparedText = z.string().refine((text) => text.trim() !== '' && text.length <= 1_000, {
  error: 'a text of 1 to 1,000 characters is expected',
});

const headerCondition = z
  .strictObject({
    name: z
      .string()
      // field-name = 1*ftext (RFC 5322 §3.6.8)
      .regex(/^[!-9;-~]{1,100}$/, { error: 'the name of a header field is expected, without the colon' })
      .meta({ description: 'Name of the field; its case makes no difference.', example: 'X-Classification' }),
    present: z
      .literal(true)
      .optional()
      .describe('The field is there, whatever it says. One of `present`, `equals` and `contains` is said.'),
    equals: list(comparedText, 'The value of a field of that name is one of these.', [
      'confidential',
    ]).optional(),
    contains: list(comparedText, 'The value of a field of that name has one of these in it.', [
      'confidential',
    ]).optional(),
  })
  .transform(({ name: field, present, equals, contains }, context) => {
    const tests = [
      ...(present === undefined ? [] : [{ kind: 'present' as const }]),
      ...(equals === undefined ? [] : [{ kind: 'equals' as const, values: equals }]),
      ...(contains === undefined ? [] : [{ kind: 'contains' as const, values: contains }]),
    ];
    const [test] = tests;
    if (test !== undefined && tests.length === 1) return { name: field.toLowerCase(), test };
    context.addIssue({
      code: 'custom',
      message: 'exactly one of present: true, equals and contains is expected',
    });
    return z.NEVER;
  })
  .describe('A field of the header.');

const sizeCondition = z
  .strictObject({
    atLeast: maybe(size.meta({ description: 'At least so many octets.', example: '10 MiB' })),
    below: maybe(size.meta({ description: 'Fewer octets than this.', example: '25 MiB' })),
  })
  .refine(({ atLeast, below }) => atLeast !== null || below !== null, {
    error: 'atLeast or below is expected',
  })
  .refine(({ atLeast, below }) => atLeast === null || below === null || atLeast < below, {
    error: 'no mail has at least so much and less: atLeast must be below `below`',
  })
  .describe('Size of the mail as the client sends it, before anything is signed or encrypted.');

const plain = {
  recipient: maybe(
    list(
      addressPattern,
      'The recipient is one of these addresses; one `*` before the @ stands for anything.',
      ['carol@partner.example', 'sales-*@partner.example'],
    ),
  ),
  recipientDomain: maybe(
    list(
      domainPattern,
      "The recipient's domain is one of these; `*.example.org` is every domain below example.org, `*` every domain.",
      ['partner.example', '*.partner.example'],
    ).meta({ shown: true }),
  ),
  recipientGroup: maybe(
    list(groupName, 'The recipient is in one of these groups (`policy.groups`).', ['lawyers']),
  ),
  sender: maybe(
    list(addressPattern, 'The From address is one of these; one `*` before the @ stands for anything.', [
      'alice@example.org',
    ]),
  ),
  senderDomain: maybe(list(domainPattern, "The From address's domain is one of these.", ['example.org'])),
  senderGroup: maybe(list(groupName, 'The From address is in one of these groups.', ['board'])),
  login: maybe(list(login, 'The login is one of these.', ['alice'])),
  loginGroup: maybe(list(groupName, 'The login is in one of these groups.', ['board'])),
  listener: maybe(
    list(
      name.meta({ what: 'name of a listener' }),
      'The mail came in by one of these submission listeners.',
      ['submission'],
    ),
  ),
  header: maybe(
    z
      .array(headerCondition)
      .min(1, { error: 'the list is empty: leave the condition out, or name something' })
      .max(100)
      .meta({
        description:
          'The header has one of these fields. Values are compared as readers see them (decoded, unfolded), without case and with blanks as one; of several fields of a name any will do.',
        off: true,
      }),
  ),
  subjectTag: maybe(
    list(
      tag,
      'The Subject begins with one of these words in brackets, such as `[encrypt]`; other tags may stand before it. Case makes no difference.',
      ['encrypt'],
    ),
  ),
  size: maybe(sizeCondition),
  attachmentType: maybe(
    list(
      mediaTypePattern,
      'An attachment has one of these media types, as the mail says. Attachments of messages inside count; what is inside encrypted parts or archives is not seen.',
      ['application/*', 'image/tiff'],
    ),
  ),
  attachmentExtension: maybe(
    list(extension, "An attachment's file name ends in one of these.", ['xlsx', 'docm']),
  ),
  protection: maybe(
    list(
      z.enum(['none', 'signed', 'encrypted']),
      'The mail program has already protected the mail in one of these ways; one that is signed and then encrypted is `encrypted`.',
      ['signed', 'encrypted'],
    ),
  ),
  certificateKnown: z
    .enum(['yes', 'no', 'harvested', 'directory', 'verified', 'pinned'])
    .optional()
    .transform((value) => value ?? null)
    .describe(
      'Whether a certificate of the recipient is known that can be encrypted to; a trust asks for one that is trusted at least so much. While that cannot be found out the mail is refused for now, whatever the rules behind say.',
    ),
};

/** `when` of a rule. */
export const condition = z
  .strictObject({
    ...plain,
    not: maybe(
      z
        .strictObject(plain)
        .refine((said) => Object.values(said).some((one) => one !== null), {
          error: 'nothing is said: leave it out, or name a condition',
        })
        .meta({
          description:
            'An exception: the rule does not apply where all of this holds. The same conditions as in `when`.',
          like: 'policy.rules[].when',
          example: { sender: ['newsletter@example.org'] },
        }),
    ),
    anyOf: maybe(
      z
        .array(
          z
            .strictObject(plain)
            .refine((said) => Object.values(said).some((one) => one !== null), {
              error: 'nothing is said, so this always holds: leave it out, or name a condition',
            })
            .meta({ like: 'policy.rules[].when' }),
        )
        .min(1, { error: 'the list is empty: leave it out, or name something' })
        .max(100)
        .meta({
          description:
            'Alternatives of different kinds: at least one of these holds. The same conditions as in `when`.',
          example: [{ subjectTag: ['confidential'] }, { loginGroup: ['board'] }],
        }),
    ),
  })
  .describe(
    'What the rule applies to: all that is said must hold, and of each list one item. Without `when` it applies to every recipient.',
  );

/** One group. */
const groupInLdap = z
  .strictObject({
    source: name.meta({ description: 'Name of one of `directory.groupSources`.', example: 'people' }),
    addresses: maybe(
      memberFilter('address').meta({
        description:
          'Filter (RFC 4515) that finds something where an address is in the group; `{address}`, `{localPart}` and `{domain}` stand for it.',
        example: '(&(mail={address})(memberOf=cn=lawyers,ou=groups,dc=example,dc=org))',
      }),
    ),
    logins: maybe(
      memberFilter('login').meta({
        description: 'The same of a login, for `loginGroup`; `{login}` stands for it.',
        example: '(&(uid={login})(memberOf=cn=lawyers,ou=groups,dc=example,dc=org))',
      }),
    ),
  })
  .refine(({ addresses, logins }) => addresses !== null || logins !== null, {
    error: 'nobody is in it: say a filter for addresses, for logins, or both',
  })
  .describe('Further ones are in it by what an LDAP directory says.');

export const group = z
  .strictObject({
    name: name.meta({ description: 'Name of the group in conditions.', example: 'lawyers' }),
    addresses: z
      .array(addressPattern)
      .default([])
      .meta({
        description: 'Addresses in it; one `*` before the @ stands for anything.',
        example: ['counsel@partner.example'],
      }),
    domains: z
      .array(domainPattern)
      .default([])
      .meta({ description: 'Domains whose addresses are in it.', example: ['lawyers.example'] }),
    logins: z
      .array(login)
      .default([])
      .meta({ description: 'Logins in it, for `loginGroup`.', example: ['alice'] }),
    ldap: maybe(groupInLdap),
  })
  .refine(
    ({ addresses, domains, logins, ldap }) =>
      addresses.length + domains.length + logins.length > 0 || ldap !== null,
    {
      error: 'the group is empty: nobody is in it',
    },
  )
  .describe('Correspondents and logins under one name.');

function isAddressPattern(text: string): boolean {
  const at = text.lastIndexOf('@');
  const [before = '', ...more] = text.slice(0, Math.max(0, at)).split('*');
  if (more.length > 1 || text.slice(at).includes('*')) return false;
  // Any letter in the place of what the star stands for.
  const example = more.length === 0 ? text : `${before}x${more[0] ?? ''}${text.slice(at)}`;
  return parseMailbox(example) !== null;
}

function memberFilter(of: 'address' | 'login') {
  return z.string().refine((text) => templateProblem(text, of) === null, {
    error: (issue) => templateProblem(String(issue.input), of) ?? '',
  });
}
