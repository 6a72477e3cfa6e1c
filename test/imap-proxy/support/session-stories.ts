import type { ImapListenerOptions } from '../../../src/imap-proxy/listener.ts';
import { TriedMessages } from '../../../src/imap-proxy/refresh/refreshing.ts';
import { RecordedMailboxes } from '../../../src/reading/recorded-mailbox.ts';
import type { Timers } from '../../../src/reading/timers.ts';
import type { ViewRecords } from '../../../src/reading/view-records.ts';
import { CAPABILITIES } from './fake-upstream.ts';
import { toyAtRest, toyMailboxes } from './toy-at-rest.ts';
import type { ToyControl } from './toy-story.ts';

/** What a client says, one thing after the other, and what it waits for behind each. */
export type Story = {
  says: readonly (readonly [octets: string, until: RegExp])[];
  capabilities?: string;
  /** Made for each session. */
  changes?: () => Partial<ImapListenerOptions>;
  mode?: ToyControl['mode'];
};

const LOGIN = ['l LOGIN bob@example.org secret\r\n', /^l OK/m] as const;
export const SELECT = ['s SELECT INBOX\r\n', /^s OK/m] as const;
const IN = [LOGIN, SELECT] as const;
const SYNCHRONISING = 'IMAP4rev1 SASL-IR AUTH=PLAIN IDLE ENABLE UIDPLUS';

const command = (octets: string): readonly [string, RegExp] => [`a ${octets}\r\n`, /^a (?:OK|NO|BAD)/m];

/** A second lasts no time, ten of them for ever. */
const quickTimers: Timers = {
  after(ms, run) {
    if (ms > 2_000) return () => undefined;
    const timer = setImmediate(run);
    return () => clearImmediate(timer);
  },
  now: () => 0,
};

const at = (store: 'at-rest', specialUse: readonly string[] | null): Partial<ImapListenerOptions> => ({
  storing: {
    rules: [
      { mailbox: specialUse === null ? ['Safe'] : null, specialUse, login: null, store, subject: 'keep' },
    ],
    story: toyAtRest(),
    mailboxes: toyMailboxes(),
  },
});

const refreshes = (): Partial<ImapListenerOptions> => {
  const records: Partial<ViewRecords> = {
    mailbox: async () => ({ id: 1, eras: '', recorded: [] }),
    setEras: async () => undefined,
    servedAs: async () => ['2', '3'],
    outdated: async () => [],
  };
  return {
    reading: { recorded: new RecordedMailboxes(records as ViewRecords) },
    refresh: {
      messages: 10,
      fit: { keys: async () => 'k', fits: async () => true },
      tried: new TriedMessages(),
    },
  };
};

const MAIL = 'Subject: mine\r\n\r\nmy words\r\n';
const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64');

/** One for every place in which a session may wait. */
export const STORIES: Record<string, Story> = {
  'a login': { says: [LOGIN] },
  'a login with literals': {
    says: [
      ['l LOGIN {3}\r\n', /^\+/m],
      ['bob {2+}\r\npw\r\n', /^l OK/m],
    ],
  },
  'a login that the mail server takes by LOGIN': { says: [LOGIN], capabilities: 'IMAP4rev1' },
  'a login in several answers': {
    says: [
      ['l AUTHENTICATE LOGIN\r\n', /^\+/m],
      [`${base64('bob')}\r\n`, /^\+ /m],
      [`${base64('pw')}\r\n`, /^l OK/m],
    ],
    capabilities: 'IMAP4rev1 AUTH=PLAIN',
  },
  'a login that is relayed': {
    says: [[`l AUTHENTICATE SCRAM-SHA-256 ${base64('n,,n=bob,r=a')}\r\n`, /^l OK/m]],
    capabilities: 'IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=SCRAM-SHA-256',
    changes: () => ({ relayMechanisms: ['SCRAM-SHA-256'] }),
  },
  'a mailbox that is selected': { says: [LOGIN, ['s SELECT {5+}\r\nINBOX\r\n', /^s OK/m]] },
  'a client that has said who it is': {
    says: [['i ID ("name" "x")\r\n', /^i OK/m], LOGIN, SELECT],
    capabilities: `${CAPABILITIES} ID`,
  },
  'a mail server that compresses not': {
    says: [LOGIN, command('NOOP')],
    capabilities: 'IMAP4rev1 SASL-IR AUTH=PLAIN COMPRESS=DEFLATE',
    changes: () => ({ compressUpstream: true }),
  },
  'a stored session': {
    says: [['l LOGIN bob/raw pw\r\n', /^l OK/m], command('NOOP')],
    changes: () => ({ rawLoginSuffix: '/raw' }),
  },
  'what passes': { says: [...IN, command('STATUS {5}\r\nINBOX (MESSAGES)')], capabilities: SYNCHRONISING },
  'what is refused': { says: [...IN, command('XYZ {5+}\r\nINBOX')] },
  'what passes at once': {
    says: [...IN, ['a NOOP\r\nb STATUS {5+}\r\nINBOX (MESSAGES)\r\nc CHECK\r\n', /^c OK/m]],
  },
  'RENAME and DELETE': {
    says: [...IN, command('RENAME {1}\r\nx y'), ['b DELETE x\r\n', /^b OK/m]],
    capabilities: SYNCHRONISING,
  },
  'COPY and MOVE': {
    says: [...IN, command('COPY 1 {1}\r\nx'), ['b UID MOVE 3 x\r\n', /^b OK/m]],
    capabilities: SYNCHRONISING,
  },
  'ID and ENABLE': { says: [...IN, command('ID ("name" {1+}\r\nx)'), ['b ENABLE CONDSTORE\r\n', /^b OK/m]] },
  'COMPRESS behind others': { says: [...IN, ['b NOOP\r\na COMPRESS DEFLATE\r\n', /^a OK/m]] },
  'a message that is opened': { says: [...IN, command('UID FETCH 1:3 (FLAGS BODY.PEEK[])')] },
  'structures, for which messages are fetched': {
    says: [...IN, command('FETCH 1:3 (UID FLAGS BODYSTRUCTURE)')],
  },
  'a piece of a message nobody knows': { says: [...IN, command('UID FETCH 2 (BODY.PEEK[]<100.300>)')] },
  'a message whose key is away': {
    says: [...IN, command('UID FETCH 1:3 (BODY.PEEK[])')],
    changes: () => ({ timers: quickTimers }),
    mode: 'unavailable',
  },
  'a message whose key is away, which ends the session': {
    says: [...IN, ['a UID FETCH 1:3 (BODY.PEEK[])\r\nb SELECT INBOX\r\n', /^\* BYE/m]],
    changes: () => ({ timers: quickTimers, keyAway: 'disconnect' }),
    mode: 'unavailable',
  },
  ...Object.fromEntries(
    ['BODY.PEEK[]', 'BODYSTRUCTURE'].flatMap((item) =>
      [
        'NOOP',
        'SELECT INBOX',
        'IDLE',
        'COMPRESS DEFLATE',
        'SEARCH ALL',
        'LOGOUT',
        'FETCH 3 BODYSTRUCTURE',
      ].map((behind): [string, Story] => [
        `a key that is waited for, for ${item}, and ${behind} behind it`,
        {
          says: [...IN, [`b UID FETCH 2:3 (FLAGS ${item})\r\na ${behind}\r\n`, /^(?:a (?:OK|NO|BAD)|\+)/m]],
          changes: () => ({ timers: quickTimers }),
          mode: 'waits',
        },
      ]),
    ),
  ),
  ...Object.fromEntries(
    ['BODY.PEEK[]', 'BODYSTRUCTURE'].map((item): [string, Story] => [
      `a key that is waited for, for ${item}, and nothing behind it`,
      {
        says: [...IN, command(`UID FETCH 2:3 (FLAGS ${item})`)],
        changes: () => ({ timers: quickTimers }),
        mode: 'waits',
      },
    ]),
  ),
  'a search that opens messages': {
    says: [...IN, command('UID SEARCH BODY {6}\r\nsealed')],
    capabilities: SYNCHRONISING,
    changes: () => ({ search: { kind: 'all', messages: 5, milliseconds: 100_000 } }),
  },
  'SORT that opens messages': {
    says: [...IN, command('SORT (ARRIVAL) UTF-8 BODY sealed')],
    changes: () => ({ search: { kind: 'all', messages: 5, milliseconds: 100_000 } }),
  },
  'APPEND as it is': {
    says: [LOGIN, [`a APPEND x {${MAIL.length}}\r\n`, /^\+/m], [`${MAIL}\r\n`, /^a OK/m]],
    capabilities: SYNCHRONISING,
  },
  'APPEND that is encrypted': {
    says: [LOGIN, [`a APPEND Safe {${MAIL.length}}\r\n`, /^\+/m], [`${MAIL}\r\n`, /^a OK/m]],
    capabilities: SYNCHRONISING,
    changes: () => at('at-rest', null),
  },
  'APPEND that is encrypted for what its mailbox is for': {
    says: [LOGIN, command(`APPEND {4+}\r\nSent {${MAIL.length}+}\r\n${MAIL}`)],
    capabilities: `${CAPABILITIES} SPECIAL-USE LIST-EXTENDED`,
    changes: () => at('at-rest', ['\\Sent']),
  },
  'a mailbox with mail that may lie encrypted': {
    says: [LOGIN, ['s SELECT Safe\r\n', /^s OK/m], command('UID FETCH 1:3 (RFC822.SIZE)')],
    changes: () => at('at-rest', null),
  },
  'a mailbox with mail for others': {
    says: [...IN, command('UID FETCH 1:3 (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])')],
    changes: () => ({ ...refreshes(), foreign: { judge: async () => 'may-open' } }),
  },
  'new UIDs by MOVE': {
    says: [...IN, command('NOOP')],
    capabilities: `${CAPABILITIES} MOVE`,
    changes: refreshes,
  },
  'new UIDs by COPY': { says: [...IN, command('NOOP')], changes: refreshes },
  'keywords, and the end': {
    says: [...IN, ['b UID FETCH 2:3 (BODY.PEEK[])\r\n', /^b OK/m], ['a LOGOUT\r\n', /^a OK/m]],
    changes: () => ({ keywords: { valid: '$valid', warning: '$warning' } }),
  },
  IDLE: { says: [...IN, ['a IDLE\r\n', /^\+/m], ['DONE\r\nb NOOP\r\n', /^b OK/m]] },
  'IDLE, and messages that are opened ahead': {
    says: [...IN, ['a IDLE\r\n', /^\+/m]],
    changes: () => ({ timers: quickTimers, warmUp: 3 }),
  },
};
