import { expect, test } from 'vitest';
import type { ImapListenerOptions } from '../../src/imap-proxy/listener.ts';
import { TriedMessages } from '../../src/imap-proxy/refresh/refreshing.ts';
import { RecordedMailboxes } from '../../src/reading/recorded-mailbox.ts';
import type { ViewRecords } from '../../src/reading/view-records.ts';
import { type Pace, pipelined, type Says, type SlowWrites } from './support/pipelined-session.ts';
import { toyAtRest, toyMailboxes } from './support/toy-at-rest.ts';

/**
 * Whatever a client sends together, whoever is slow, and whatever others do to the mailbox meanwhile: no message goes while its number
 * is in use (RFC 9051 §7.5.1), each number means the message that its client takes it for, and what the client has in the end is what
 * the mail server has.
 */

const MAIL = 'Subject: mine\r\n\r\nmy words\r\n';

const COMMANDS: Record<string, Says> = {
  NOOP: () => 'NOOP',
  'FETCH whole': (n) => `FETCH ${n(12)}:${n(14)} (FLAGS BODY.PEEK[])`,
  'FETCH structure': (n) => `FETCH ${n(12)}:${n(14)} (FLAGS BODYSTRUCTURE)`,
  'FETCH piece': (n) => `FETCH ${n(12)} (BODY.PEEK[]<10.300>)`,
  'UID FETCH whole': () => 'UID FETCH 12:15 (FLAGS BODY.PEEK[])',
  'UID FETCH structure': () => 'UID FETCH 12:15 (FLAGS BODYSTRUCTURE)',
  STORE: (n) => `STORE ${n(12)}:${n(13)} +FLAGS (\\Answered)`,
  'UID STORE': () => 'UID STORE 12:13 +FLAGS (\\Deleted)',
  SEARCH: () => 'SEARCH UID 12:15',
  'SEARCH words': () => 'SEARCH UID 12:15 BODY words',
  'UID SEARCH words': () => 'UID SEARCH UID 12:15 BODY words',
  'UID SEARCH numbers': (n) => `UID SEARCH ${n(12)}:${n(15)} BODY words`,
  SORT: () => 'SORT (ARRIVAL) UTF-8 UID 12:15 BODY words',
  COPY: (n) => `COPY ${n(12)}:${n(13)} elsewhere`,
  'COPY here': (n) => `COPY ${n(15)} INBOX`,
  'UID COPY': () => 'UID COPY 12:13 elsewhere',
  MOVE: (n) => `MOVE ${n(15)} elsewhere`,
  'UID MOVE': () => 'UID MOVE 13 elsewhere',
  EXPUNGE: () => 'EXPUNGE',
  'UID EXPUNGE': () => 'UID EXPUNGE 13',
  APPEND: () => `APPEND INBOX {${MAIL.length}+}\r\n${MAIL}`,
  'APPEND elsewhere': () => `APPEND Safe {${MAIL.length}+}\r\n${MAIL}`,
  LIST: () => 'LIST "" *',
  RENAME: () => 'RENAME x y',
  ENABLE: () => 'ENABLE CONDSTORE',
  IDLE: () => 'IDLE',
  SELECT: () => 'SELECT INBOX',
  UNSELECT: () => 'UNSELECT',
};

/** RFC 9051 §5.5: no number is said behind what may change it. */
function mayFollow(second: string, first: string): boolean {
  if (first === 'SELECT' || first === 'UNSELECT') return false;
  const saysNumbers = /^(?:FETCH|STORE|SEARCH|SORT|COPY|MOVE|UID SEARCH numbers)/.test(second);
  return /^(?:FETCH|STORE|SEARCH|SORT)/.test(first) || !saysNumbers;
}

const PAIRS = Object.keys(COMMANDS).flatMap((first) =>
  Object.keys(COMMANDS)
    .filter((second) => mayFollow(second, first))
    .map((second) => [first, second] as const),
);

function records(writes: SlowWrites): RecordedMailboxes {
  const write: ViewRecords['add'] = async (_mailbox, _message, record) => {
    await writes.write();
    return record;
  };
  const all: Partial<ViewRecords> = {
    mailbox: async () => ({ id: 1, eras: '', recorded: [] }),
    setEras: async () => undefined,
    servedAs: async () => ['12', '14', '15'],
    outdated: async () => [],
    find: async () => null,
    add: write,
    replace: write,
    renamed: () => writes.write(),
    deleted: () => writes.write(),
  };
  return new RecordedMailboxes(all as ViewRecords);
}

const GATEWAYS: Record<string, (writes: SlowWrites) => Partial<ImapListenerOptions>> = {
  'that does what it must': () => ({}),
  'that does what it can': (writes) => ({
    reading: { recorded: records(writes) },
    keywords: { valid: '$valid', warning: '$warning' },
    refresh: {
      messages: 10,
      fit: { keys: async () => 'k', fits: async () => true },
      tried: new TriedMessages(),
    },
    foreign: {
      async judge() {
        await writes.write();
        return 'may-open';
      },
    },
    search: { kind: 'all', messages: 5, milliseconds: 100_000 },
    warmUp: 3,
  }),
  'that encrypts what is stored': () => ({
    storing: {
      rules: [
        { mailbox: ['Safe', 'INBOX'], specialUse: null, login: null, store: 'at-rest', subject: 'keep' },
      ],
      story: toyAtRest(),
      mailboxes: toyMailboxes(),
    },
  }),
};

const PACES: readonly Pace[] = (['typed', 'open', 'refused'] as const).flatMap((key) =>
  (['step by step', 'together', 'at once'] as const).flatMap((server) =>
    (['EXPUNGE', 'VANISHED'] as const).flatMap((says) =>
      [
        [11, 14],
        [12, 11],
        [14, 11, 16],
      ].map((removed) => ({ key, server, says, removed })),
    ),
  ),
);

/** So that each command meets each pace with some other. */
const STRIDE = 17;

test.each(Object.keys(GATEWAYS))('a gateway %s', async (name) => {
  const gateway = GATEWAYS[name] as (writes: SlowWrites) => Partial<ImapListenerOptions>;
  const left = PAIRS.map((pair, at) => ({ pair, pace: PACES[(at * STRIDE) % PACES.length] as Pace }));
  const wrong: string[] = [];
  const worker = async (): Promise<void> => {
    for (let next = left.pop(); next !== undefined; next = left.pop()) {
      const { pair, pace } = next;
      const says = pair.map((each) => COMMANDS[each] as Says);
      // Of what was shown, keywords are owed.
      const found = await pipelined(says, pace, gateway, ['UID FETCH 12:13 (BODY.PEEK[])']);
      if (found.length > 0) wrong.push(`${pair.join(' + ')}, ${JSON.stringify(pace)}: ${found.join('; ')}`);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  expect(wrong).toEqual([]);
});
