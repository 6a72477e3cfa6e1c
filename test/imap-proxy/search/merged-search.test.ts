import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  mergedSearch,
  needsMerging,
  type OpenedMessage,
  type SearchedMailbox,
  undecided,
} from '../../../src/imap-proxy/search/merged-search.ts';
import { NumberSet } from '../../../src/imap-proxy/search/number-set.ts';
import { dayOfDateField } from '../../../src/imap-proxy/search/search-date.ts';
import {
  rewritten,
  type SearchKey,
  textLength,
  writeKey,
} from '../../../src/imap-proxy/search/search-key.ts';
import { readSearchProgram, type SearchProgram } from '../../../src/imap-proxy/search/search-program.ts';
import { viewNames } from '../../../src/mail-view/view-names.ts';
import { folded } from '../../../src/reading/search-text.ts';

const names = viewNames('7f3a9c2e', 'gw.example.net');

type Face = { header: Record<string, string>; body: string };
type Mail = {
  uid: number;
  kind: 'plain' | 'unopened' | 'opened' | 'protected';
  seen: boolean;
  stored: Face;
  shown: Face;
};

const sets = new Map<string, NumberSet>();

function setOf(text: string): NumberSet {
  const known = sets.get(text) ?? NumberSet.read(text) ?? NumberSet.empty;
  sets.set(text, known);
  return known;
}

/** What a mail server without a gateway says of `face`, criterion by criterion. */
function holds(key: SearchKey, mail: Mail, face: Face, msn: number): boolean {
  switch (key.kind) {
    case 'all':
      return true;
    case 'none':
      return false;
    case 'and':
      return key.keys.every((each) => holds(each, mail, face, msn));
    case 'or':
      return holds(key.one, mail, face, msn) || holds(key.other, mail, face, msn);
    case 'not':
      return !holds(key.key, mail, face, msn);
    case 'uids':
      return key.uids.has(mail.uid);
    case 'stored': {
      const [name = '', argument = ''] = key.written.join('').split(' ');
      if (name === 'SEEN') return mail.seen;
      return name === 'UID' ? setOf(argument).has(mail.uid) : setOf(name).has(msn);
    }
    case 'shown': {
      const { test: leaf } = key;
      const has = (text: string, words: Buffer): boolean => folded(text).includes(folded(words.toString()));
      switch (leaf.on) {
        case 'body':
          return has(face.body, leaf.words);
        case 'text':
          return (
            has(face.body, leaf.words) ||
            Object.entries(face.header).some(([name, value]) => has(`${name}: ${value}`, leaf.words))
          );
        case 'header': {
          const value = face.header[leaf.field];
          return value !== undefined && has(value, leaf.words);
        }
        case 'date': {
          const day = dayOfDateField(face.header.date ?? '') ?? 0;
          return leaf.relation === 'on'
            ? day === leaf.day
            : leaf.relation === 'before'
              ? day < leaf.day
              : day >= leaf.day;
        }
      }
    }
  }
}

/** A mail server that understands what is written to it, and nothing else. */
class Server implements SearchedMailbox {
  longest = 0;
  /** Whether it was seen what the messages are. */
  knows = true;
  searches = 0;
  classified = NumberSet.empty;
  readonly #mails: readonly Mail[];
  readonly #byUid: boolean;

  constructor(mails: readonly Mail[], byUid: boolean) {
    this.#mails = mails;
    this.#byUid = byUid;
  }

  async search(key: SearchKey): Promise<{ numbers: NumberSet; modSeq: null }> {
    this.searches++;
    this.longest = Math.max(this.longest, textLength(writeKey(key)));
    const program = readSearchProgram('SEARCH', [{ kind: 'text', text: writeKey(key).join('') }]);
    if (program === null) throw new Error(`not understood: ${writeKey(key).join('')}`);
    return { numbers: this.#find((mail, msn) => holds(program.key, mail, mail.stored, msn)), modSeq: null };
  }

  async viewsAmong(numbers: NumberSet): Promise<NumberSet> {
    this.classified = this.classified.or(numbers);
    return this.#find((mail) => mail.kind !== 'plain').and(numbers);
  }

  areAsStored(numbers: NumberSet): boolean {
    return this.knows && this.#find((mail) => mail.kind !== 'plain').and(numbers).isEmpty;
  }

  #find(wanted: (mail: Mail, msn: number) => boolean): NumberSet {
    return NumberSet.of(
      this.#mails.flatMap((mail, index) =>
        wanted(mail, index + 1) ? [this.#byUid ? mail.uid : index + 1] : [],
      ),
    );
  }
}

const DAYS = ['1 Jan 2026', '2 Jan 2026', '3 Jan 2026'];
const WORDS = ['ash', 'oak', 'elm', 'Grün'];
const word = fc.constantFrom(...WORDS);
const header = fc.record({
  subject: word,
  from: word,
  to: word,
  date: fc.constantFrom(...DAYS.map((day) => `Fri, ${day} 10:00:00 +0100`)),
});

const mail: fc.Arbitrary<Mail> = fc
  .record({
    kind: fc.constantFrom('plain', 'unopened', 'opened', 'protected'),
    seen: fc.boolean(),
    outer: header,
    inner: header,
    storedBody: fc.array(word, { maxLength: 2 }),
    shownBody: fc.array(word, { maxLength: 2 }),
  })
  .map(({ kind, seen, outer, inner, storedBody, shownBody }) => {
    const plain = { header: { ...outer, 'content-type': 'text/plain' }, body: storedBody.join(' ') };
    if (kind === 'plain') return { uid: 0, kind, seen, stored: plain, shown: plain };
    const stored = { header: { ...outer, 'content-type': 'application/pkcs7-mime' }, body: plain.body };
    const type = { 'content-type': 'multipart/mixed; boundary=""', 'mime-version': '1.0' };
    const shown = {
      header: { ...(kind === 'protected' ? inner : outer), ...type },
      body: kind === 'unopened' ? '' : shownBody.join(' '),
    };
    return { uid: 0, kind, seen, stored, shown };
  });

const mailbox = fc.array(fc.tuple(mail, fc.integer({ min: 1, max: 3 })), { maxLength: 12 }).map((list) => {
  let uid = 0;
  return list.map(([each, gap]) => {
    uid += gap;
    return { ...each, uid };
  });
});

const set = fc
  .array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 4 })
  .map((all) => NumberSet.of(all).toString());
const leaf = fc.oneof(
  ...['BODY', 'TEXT', 'SUBJECT', 'FROM', 'HEADER To'].map((name) => word.map((each) => `${name} "${each}"`)),
  fc.constantFrom(
    'SEEN',
    'ALL',
    'BODY ""',
    'HEADER Content-Type pkcs7',
    'HEADER Content-Type multipart',
    'SENTON 2-Jan-2026',
  ),
  fc.constantFrom('SENTBEFORE 2-Jan-2026', 'SENTSINCE 2-Jan-2026', 'HEADER X-Sealgate-7f3a9c2e-Status ""'),
  set.map((each) => `UID ${each}`),
  set,
);
const { key } = fc.letrec<{ key: string }>((tie) => ({
  key: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    leaf,
    tie('key').map((each) => `NOT ${each}`),
    fc.tuple(tie('key'), tie('key')).map(([one, other]) => `OR ${one} ${other}`),
    fc.array(tie('key'), { minLength: 1, maxLength: 3 }).map((all) => `(${all.join(' ')})`),
  ),
}));

function program(text: string): SearchProgram {
  const read = readSearchProgram('SEARCH', [{ kind: 'text', text }]);
  if (read === null) throw new Error(`not read: ${text}`);
  return read;
}

function opened(mails: readonly Mail[]): Map<number, OpenedMessage> {
  return new Map(
    mails
      .filter(({ kind }) => kind === 'opened' || kind === 'protected')
      .map(({ uid, kind, shown }) => {
        const fields = Object.entries(shown.header).map(([name, value]) => ({ name, text: folded(value) }));
        const text = { fields, body: folded(shown.body), characters: 0 };
        return [uid, { text, protectedHeader: kind === 'protected' }];
      }),
  );
}

/** A reader's own evaluation. TEXT in what was not opened is looked for in the fields that are listed by name alone. */
function expected(text: string, mails: readonly Mail[], byUid: boolean): number[] {
  const { key: whole } = program(text);
  return mails.flatMap((each, index) => {
    const read = rewritten(whole, (one) => {
      if (one.test.on === 'header' && one.test.field.startsWith('x-sealgate-')) return { kind: 'none' };
      if (one.test.on !== 'text' || each.kind !== 'unopened' || one.test.words.length === 0) return one;
      const { words } = one.test;
      const found = ['subject', 'from', 'to'].some((name) =>
        folded(each.shown.header[name] ?? '').includes(folded(words.toString())),
      );
      return { kind: found ? 'all' : 'none' };
    });
    return holds(read, each, each.shown, index + 1) ? [byUid ? each.uid : index + 1] : [];
  });
}

describe('a search in a mailbox of which some messages are shown as views', () => {
  test('finds what a reader would find, by UID and by number, whatever the criteria', async () => {
    await fc.assert(
      fc.asyncProperty(mailbox, key, fc.boolean(), fc.boolean(), async (mails, text, byUid, knows) => {
        const server = new Server(mails, byUid);
        server.knows = knows;
        const request = { program: program(text), byUid, opened: opened(mails), names };
        const found = await mergedSearch(request, server);
        expect([...found.numbers]).toEqual(expected(text, mails, byUid));
        if (!needsMerging(request.program, names, () => request.opened)) {
          expect((await server.search(request.program.key)).numbers.equals(found.numbers)).toBe(true);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test('whatever an unopened message may hold, it is undecided or the search has decided', async () => {
    await fc.assert(
      fc.asyncProperty(mailbox, key, word, async (mails, text, content) => {
        const request = { program: program(text), byUid: true, opened: opened(mails), names };
        const open = await undecided(request, new Server(mails, true));
        const told = mails.map((each) =>
          each.kind === 'unopened'
            ? { ...each, kind: 'opened' as const, shown: { ...each.shown, body: content } }
            : each,
        );
        const before = NumberSet.of(expected(text, mails, true));
        const after = NumberSet.of(expected(text, told, true));
        expect(before.xor(after).minus(open).toString()).toBe('');
      }),
      { numRuns: 300 },
    );
  });
});

function many(count: number, kind: Mail['kind'], body: (index: number) => string): Mail[] {
  return Array.from({ length: count }, (_, index) => {
    const face = { header: { subject: 'x' }, body: body(index) };
    return { uid: 3 * index + 1, kind, seen: false, stored: { ...face, body: '' }, shown: face };
  });
}

test('lines of the gateway’s own stay short, however many messages have the word', async () => {
  const mails = many(2_000, 'opened', (index) => (index % 2 === 0 ? 'oak' : 'elm'));
  const server = new Server(mails, true);
  const request = { program: program('OR BODY oak NOT BODY elm'), byUid: true, opened: opened(mails), names };
  const found = await mergedSearch(request, server);
  expect(found.numbers.size).toBe(1_000);
  expect(server.longest).toBeLessThanOrEqual(8_000);
});

test('attack: of very many criteria and messages, the mail server is asked for few things', async () => {
  const mails = many(2_000, 'opened', (index) => (index % 2 === 0 ? 'oak' : 'elm'));
  const server = new Server(mails, true);
  const text = Array.from({ length: 130 }, () => 'OR SEEN NOT BODY oak OR SEEN BODY oak').join(' ');
  let others = 0;
  const tick = (): void => {
    others++;
    next = setImmediate(tick);
  };
  let next = setImmediate(tick);
  const found = await mergedSearch(
    { program: program(text), byUid: true, opened: opened(mails), names },
    server,
  );
  clearImmediate(next);
  expect(found.numbers.size).toBe(0);
  expect(server.searches).toBeLessThanOrEqual(8);
  // Looking into texts takes turns with other sessions.
  expect(others).toBeGreaterThan(0);
});

test('only messages about which the server and the listing disagree are looked at', async () => {
  const plain = many(1_000, 'plain', () => 'elm').map((each, index) => ({
    ...each,
    stored: { ...each.stored, body: index % 100 === 0 ? 'oak' : 'elm' },
  }));
  const server = new Server(plain, true);
  server.knows = false;
  const request = { program: program('BODY oak'), byUid: true, opened: new Map(), names };
  expect((await mergedSearch(request, server)).numbers.size).toBe(10);
  expect(server.classified.size).toBe(10);
  expect(server.searches).toBe(1);
});

test('where what is found is known to be shown as stored, one search is enough', async () => {
  const server = new Server(
    many(50, 'plain', () => 'oak'),
    true,
  );
  const request = { program: program('OR TEXT oak FROM x'), byUid: true, opened: new Map(), names };
  await mergedSearch(request, server);
  expect([server.searches, server.classified.size]).toEqual([1, 0]);
});

test('criteria that are the same for every message need nothing', () => {
  for (const text of ['UNSEEN', 'BODY ""', 'SUBJECT x', 'HEADER List-Id x', 'X-GM-RAW "x"', 'LARGER 5']) {
    expect(needsMerging(program(text), names, () => new Map())).toBe(false);
  }
  for (const text of [
    'BODY x',
    'NOT (SEEN OR UNSEEN TEXT x)',
    'HEADER Content-Type x',
    'HEADER DKIM-Signature x',
  ]) {
    expect(needsMerging(program(text), names, () => new Map())).toBe(true);
  }
});

test('a status of ours that a sender wrote is not found', async () => {
  const [forged] = many(1, 'plain', () => '');
  if (forged === undefined) throw new Error('nothing made');
  forged.stored.header = { 'x-sealgate-7f3a9c2e-status': 'v=1; view=opened' };
  const request = {
    program: program('HEADER X-Sealgate-7f3a9c2e-Status ""'),
    byUid: true,
    opened: new Map(),
    names,
  };
  expect((await mergedSearch(request, new Server([forged], true))).numbers.size).toBe(0);
});
