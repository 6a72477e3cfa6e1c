import * as z from 'zod';
import { addressRange, cacheSize, list, login, maybe } from './values.ts';

const shell = z.enum(['wrapped', 'transparent']);
const padding = z.enum(['on', 'off']);

// RFC 9051 §9, flag-keyword.
const keyword = z.string().regex(/^[$A-Za-z0-9_.+-]{1,64}$/, {
  error: 'a keyword of IMAP is expected: letters, digits, $, _, ., + and -',
});

const profile = z
  .strictObject({
    logins: maybe(list(login, 'The login is one of these.', ['alice'])),
    clients: maybe(
      list(
        z.string().min(1).max(255).meta({ what: 'name or pattern' }),
        'The client gives itself one of these names (IMAP ID), `*` standing for anything, in any case. Any program can claim any name.',
        ['Thunderbird*'],
      ),
    ),
    networks: maybe(
      list(addressRange, 'The client comes from one of these addresses or ranges.', ['10.1.0.0/16']),
    ),
    shell: shell.meta({ description: 'As above, for these.', example: 'transparent' }),
    padding: padding.default('on').describe('As above, for these.'),
  })
  .describe('All that is said must hold. The first profile that does counts.');

const store = z
  .strictObject({
    keep: z
      .enum(['off', 'on'])
      .default('off')
      .describe(
        'Whether what was opened is kept on disk, encrypted, for later sessions (opened.sqlite in the state folder): a mail that a slow key has opened once opens again at once, and searches find its words. It takes the very private key that opened it to read it again, used once for as long as it is open; without the card, nothing is read. `off`: the file is removed.',
      ),
    maxSize: cacheSize.prefault('256 MiB').meta({
      description:
        'With `on`: what is kept of each login at most; what was not read for the longest time goes first. Octets, or a number with KiB, MiB or GiB.',
    }),
    logins: maybe(list(login, 'With `on`: only of these; what was kept of others is removed.', ['alice'])),
  })
  .prefault({})
  .describe('Opened mail that is kept over sessions, by IMAP.');

/** The section `reading`. */
export const readingSection = z
  .strictObject({
    shell: shell
      .default('wrapped')
      .describe(
        'How a decrypted message is put together. `wrapped`: in a multipart of the gateway’s own, the same for every message, so that mailboxes are listed without opening anything. `transparent`: as its author made it where that is a multipart, so that a client with S/MIME verifies the signature inside by itself; listings then have to open every message once, which wants fast keys.',
      ),
    padding: padding
      .default('on')
      .describe(
        '`on`: a decrypted message is filled up to the size that the mail server announces, in a place that no client shows. `off`: it has the size that it needs; then sizes are known only of messages that were opened, so listings open them. For clients that stumble over the filling.',
      ),
    profiles: z
      .array(profile)
      .max(1_000)
      .default([])
      .meta({ description: 'Other ways for some logins, clients or networks. Tried in order.', off: true }),
    backlog: z
      .union([z.literal('all'), z.int().min(0).max(1_000_000)], {
        error: '`all`, or a number of messages, is expected',
      })
      .default('all')
      .describe(
        'How many messages of a mailbox that is seen for the first time are opened: `all`, or only so many of the newest. The others stay as they are stored until they are copied or moved. For slow keys (cards).',
      ),
    foreign: z
      .enum(['shell-first', 'peek-first'])
      .default('shell-first')
      .describe(
        'Encrypted mail that no key of its reader opens, by IMAP. `shell-first`: it is listed like other encrypted mail, and is a notice with the encrypted message attached. `peek-first`: before a mailbox is listed the first 8 KiB of each encrypted message that is new in it are fetched, and a message that names none of the reader’s certificates stays exactly as it is stored, so that a program with a key of its own can open it. It counts for mail that arrives after it was set, and for mailboxes that nobody has seen before.',
      ),
    refreshAfterNewKey: z
      .int()
      .min(0)
      .max(1_000)
      .default(0)
      .describe(
        'Of the messages that were shown as such that no key opens, so many get a new UID when their mailbox is selected and a key has come that fits: clients then fetch them anew. So do messages that another version of the gateway has shown otherwise than this one would, once somebody has asked for them. They are moved to where they are (IMAP MOVE, or COPY and EXPUNGE), which other programs see as a new message. 0: none; they stay as they were shown.',
      ),
    keywords: maybe(
      z
        .strictObject({
          valid: keyword.default('$SmimeValid').describe('Signed by the sender who is shown, and trusted.'),
          warning: keyword.default('$SmimeWarn').describe('Shown with a warning.'),
        })
        .meta({
          description:
            'Keywords (tags) that are set in the mail server’s mailbox when a mail is shown for the first time, by IMAP, so that programs can show them in a list. Once, where the login may set them; they are never taken off. No sender can set one, but whoever may write into the mailbox can, and rules for delivery: what counts is the status in the header.',
          off: true,
        }),
    ),
    newEpoch: z
      .enum(['at-need', 'by-command'])
      .default('at-need')
      .describe(
        'When clients are told another UIDVALIDITY, so that they download a mailbox anew. `at-need`: where what they were shown cannot be shown again: of one mailbox, when another version of the gateway shows a message otherwise and `refreshAfterNewKey` is 0; of all, when the records of what was shown are lost or damaged. `by-command`: by `sealgate reading new-epoch` alone; such a message is refused until it is copied, and after a loss clients may hold other forms of what they get.',
      ),
    unauthenticated: z
      .enum(['warn', 'text-only', 'refuse'])
      .default('warn')
      .describe(
        'What becomes of mail that is encrypted without a signature, by a method that does not notice changes (CBC; EFAIL). `warn`: a warning is put below it. `text-only`: that, and what is no plain text or image becomes an attachment, so that nothing in it can call home. `refuse`: it is not shown; the encrypted message is attached to a notice.',
      ),
    clearSignedStatus: z
      .enum(['off', 'header'])
      .default('off')
      .describe(
        'Mail that is signed and readable by everybody is shown as it is stored. `header`: by IMAP its header says what was found of the signature, in the place of fields that servers have written on the way (Received and the like) and in exactly their octets, where there are enough; all else stays. Such mail is then taken whole and verified before it is read. It counts for mail that arrives after it was set.',
      ),
    store,
    protectedHeaders: z
      .enum(['promote', 'ignore'])
      .default('promote')
      .describe(
        'Header fields that were encrypted or signed with a message (RFC 9788): `promote` shows them in the place of those outside once a message was opened, `ignore` leaves those outside. The sender who was verified is shown in any case.',
      ),
  })
  .prefault({})
  .describe('How decrypted mail is shown, by IMAP and POP3.');
