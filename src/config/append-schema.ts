import * as z from 'zod';
import { limits } from '../limits.ts';
import { list, login, maybe } from './values.ts';

const mailboxPattern = z
  .string()
  .regex(/^[^\p{Cc}]{1,255}$/u, { error: 'the name of a mailbox is expected, * in it for anything' })
  .meta({ what: 'mailbox name or pattern' });

const specialUse = z.enum(['\\Sent', '\\Drafts', '\\Archive', '\\Junk', '\\Trash']);

const rule = z
  .strictObject({
    mailbox: maybe(
      list(
        mailboxPattern,
        'The mailbox is one of these, `*` standing for anything; names as a person writes them, with the separators of the mail server. INBOX is the same in any case, and so is every name in a rule for `at-rest`, since some mail servers tell no difference.',
        ['Archive/*'],
      ),
    ),
    specialUse: maybe(
      list(
        specialUse,
        'The mail server says that the mailbox is for this (RFC 6154). Where it says so of no mailbox at all, nothing is stored that this rule might be about.',
        ['\\Sent', '\\Drafts'],
      ).meta({ shown: true }),
    ),
    login: maybe(list(login, 'The login is one of these.', ['alice'])),
    store: z.enum(['verbatim', 'at-rest']).meta({
      description:
        '`verbatim`: as the client sends it, readable by the mail server. `at-rest`: encrypted to the certificates of the login itself; refused where that is not possible.',
      example: 'at-rest',
    }),
    subject: z
      .enum(['keep', 'protect'])
      .default('protect')
      .describe(
        'Of what is stored encrypted: `protect` puts `[...]` in the place of the Subject, which the gateway lists all the same; the mail server can neither search nor sort by it. `keep` leaves it readable.',
      ),
  })
  .describe(
    'One rule. What it says of a mailbox must all hold, but either of `mailbox` and `specialUse` will do. The first rule that applies decides; without one, mail is stored verbatim.',
  );

/** The section `append`. */
export const appendSection = z
  .strictObject({
    rules: z
      .array(rule)
      .max(limits.atRest.mailboxes)
      .default([])
      .meta({ description: 'Tried in order, for each message that a client stores.', off: true }),
  })
  .prefault({})
  .describe('How mail is stored that clients put into mailboxes (IMAP APPEND): sent mail, drafts.');
