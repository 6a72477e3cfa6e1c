import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { NumberSet } from '../../src/imap-proxy/search/number-set.ts';
import { readSearchResponse } from '../../src/imap-proxy/search/search-response.ts';
import type { Answer, ImapClient } from './support/imap-client.ts';
import { type SeededMailbox, seededMailbox } from './support/seeded-mailbox.ts';

let mailbox: SeededMailbox;
beforeAll(async () => {
  mailbox = await seededMailbox();
});
afterAll(() => mailbox?.stop());

function numbersOf({ status, text, untagged }: Answer): number[] {
  expect([status, text]).toEqual(['OK', text]);
  return untagged.flatMap(({ octets }) => [...(readSearchResponse(octets)?.numbers ?? [])]);
}

async function both(): Promise<{ client: ImapClient; direct: ImapClient }> {
  return { client: await mailbox.through('EXAMINE INBOX'), direct: await mailbox.direct('EXAMINE INBOX') };
}

test('16: what a phone asks at each switch of mailboxes is answered as the mail server does, by fifteen searches and no key', async () => {
  const { client, direct } = await both();
  const uses = mailbox.keyUses();
  const asked = [
    ...[
      'UID SEARCH RETURN (COUNT) UNSEEN',
      'UID SEARCH RETURN (MIN MAX) 1:*',
      'SEARCH RETURN (COUNT) UNSEEN UNDELETED',
    ],
    ...[
      'UID SEARCH RETURN (MIN MAX COUNT) NOT DELETED',
      'UID SEARCH RETURN () SINCE 1-Jan-2020',
      'SEARCH UNSEEN',
    ],
    ...[
      'UID SEARCH RETURN (ALL) FLAGGED',
      'SEARCH RETURN (MAX) ALL',
      'UID SEARCH UID 1:5 UNSEEN',
      'SEARCH ANSWERED',
    ],
    ...[
      'UID SEARCH RETURN (COUNT) FROM alice',
      'UID SEARCH RETURN (ALL) SUBJECT plain',
      'SEARCH RETURN (COUNT) LARGER 5000',
    ],
    ...[
      'UID SEARCH RETURN (MIN MAX) HEADER Message-ID sealgate',
      'UID SEARCH RETURN (COUNT) UNSEEN SMALLER 9000',
    ],
  ];
  expect(asked).toHaveLength(15);
  for (const command of asked) {
    const said = ({ untagged }: Answer): string[] =>
      untagged.map(({ octets }) => octets.toString('latin1').replace(/\(TAG "[^"]*"\)/, '(TAG)'));
    expect([command, said(await client.command(command))]).toEqual([
      command,
      said(await direct.command(command)),
    ]);
  }
  expect(mailbox.keyUses()).toBe(uses);
  client.close();
  direct.close();
});

test('19: a search for words finds them in decrypted messages that were opened, and needs no key', async () => {
  const { client, direct } = await both();
  const find = async (words: string): Promise<number[]> =>
    numbersOf(await client.command(`UID SEARCH BODY "${words}"`));
  for (const { words, shown, uid } of mailbox.messages) {
    if (words !== null) expect(await find(words)).toEqual(shown === 'view' ? [] : [uid]);
  }
  for (const { uid } of mailbox.messages) await client.item(uid, 'BODY.PEEK[]');
  const uses = mailbox.keyUses();
  for (const { words, uid, shown } of mailbox.messages) {
    if (words === null) continue;
    expect([words, await find(words)]).toEqual([words, [uid]]);
    // As Thunderbird for Android asks, by number and in capitals as well.
    expect(numbersOf(await client.command(`UID SEARCH TEXT "${words}"`))).toEqual([uid]);
    const [number] = numbersOf(await client.command(`SEARCH UID ${uid}`));
    expect(numbersOf(await client.command(`SEARCH TEXT "${words.toUpperCase()}"`))).toEqual([number]);
    if (shown === 'view') expect(numbersOf(await direct.command(`UID SEARCH BODY "${words}"`))).toEqual([]);
  }
  expect(mailbox.keyUses()).toBe(uses);
  expect(numbersOf(await client.command('UID SEARCH BODY "application/pkcs7-mime"'))).toEqual(
    numbersOf(await direct.command('UID SEARCH BODY "application/pkcs7-mime"')).filter(
      (uid) => mailbox.messages.find((each) => each.uid === uid)?.shown === 'as-stored',
    ),
  );
  client.close();
  direct.close();
});

/** A search and what it finds, as sets of UIDs. */
type Search = { text: string; found: NumberSet };

test('38: searches of any shape find among views and stored messages what a reader would, by UID and by number, saved or not', async () => {
  const { client, direct } = await both();
  const all = NumberSet.of(mailbox.messages.map(({ uid }) => uid));
  const views = NumberSet.of(mailbox.messages.flatMap(({ uid, shown }) => (shown === 'view' ? [uid] : [])));
  const opened = NumberSet.of([...views].filter((_, index) => index % 3 !== 0));
  for (const uid of opened) await client.item(uid, 'BODY.PEEK[]');
  const leaves: Search[] = [];
  for (const words of [
    'words of',
    'words of enveloped',
    'words of plain',
    'words of signed',
    'no such words',
  ]) {
    const stored = NumberSet.of(numbersOf(await direct.command(`UID SEARCH BODY "${words}"`))).minus(views);
    const shown = mailbox.messages.filter(
      (each) => opened.has(each.uid) && each.words?.includes(words) === true,
    );
    leaves.push({ text: `BODY "${words}"`, found: stored.or(NumberSet.of(shown.map(({ uid }) => uid))) });
  }
  for (const text of ['SMALLER 6000', 'UID 3:9', 'SUBJECT plain', 'ALL', 'SEEN']) {
    leaves.push({ text, found: NumberSet.of(numbersOf(await direct.command(`UID SEARCH ${text}`))) });
  }
  const { search } = fc.letrec<{ search: Search }>((tie) => ({
    search: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(...leaves),
      tie('search').map(({ text, found }) => ({ text: `NOT ${text}`, found: all.minus(found) })),
      fc
        .tuple(tie('search'), tie('search'))
        .map(([a, b]) => ({ text: `OR ${a.text} ${b.text}`, found: a.found.or(b.found) })),
      fc
        .tuple(tie('search'), tie('search'))
        .map(([a, b]) => ({ text: `(${a.text} ${b.text})`, found: a.found.and(b.found) })),
    ),
  }));
  const numbers = new Map(mailbox.messages.map(({ uid }, index) => [uid, index + 1]));
  await fc.assert(
    fc.asyncProperty(search, fc.boolean(), async ({ text, found }, save) => {
      // Dovecot 2.3 itself finds nothing by `(OR a NOT (a a) NOT OR a a)`, which is `NOT a`.
      const keys = text.match(/BODY "[^"]*"|SMALLER 6000|UID 3:9|SUBJECT plain|ALL|SEEN/g) ?? [];
      fc.pre(new Set(keys).size === keys.length);
      const byUid = numbersOf(await client.command(`UID SEARCH ${text}`));
      expect([text, byUid]).toEqual([text, [...found]]);
      expect(numbersOf(await client.command(`SEARCH ${text}`))).toEqual(
        [...found].map((uid) => numbers.get(uid)),
      );
      if (!save) return;
      await client.ok(`SEARCH RETURN (SAVE) ${text}`);
      expect(numbersOf(await client.command('UID SEARCH $'))).toEqual([...found]);
      expect(numbersOf(await client.command('UID SEARCH NOT UID $ BODY "words of"'))).toEqual([
        ...(leaves[0]?.found ?? all).minus(found),
      ]);
    }),
    { numRuns: 60 },
  );
  client.close();
  direct.close();
});
