import { expect, test } from 'vitest';
import { MessageView } from '../../src/mail-view/message-view.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { RememberedTexts, SearchTexts } from '../../src/reading/search-texts.ts';
import type { StoredMessage } from '../../src/reading/stored-message.ts';

const message = (uid: number): StoredMessage => ({ protocol: 'imap', mailbox: 'INBOX', uidValidity: 1, uid });

function viewOf(words: string): MessageView {
  return new MessageView(bufferSource(Buffer.from(`Subject: s\r\n\r\n${words}`)), async () => undefined);
}

function uids(texts: SearchTexts): number[] {
  return [...texts.of(() => true)].flatMap(({ message: each }) =>
    each.protocol === 'imap' ? [each.uid] : [],
  );
}

test('attack: many sessions together remember no more than is allowed, the newest', async () => {
  const all = new RememberedTexts(1_000);
  const sessions = Array.from({ length: 10 }, () => new SearchTexts(all));
  for (const [index, texts] of sessions.entries()) await texts.keep(message(index), viewOf('x'.repeat(300)));
  expect(sessions.flatMap(uids)).toEqual([7, 8, 9]);
});

test('one message is remembered whatever its length, and what is forgotten makes room', async () => {
  const all = new RememberedTexts(1_000);
  const [one, other] = [new SearchTexts(all), new SearchTexts(all)];
  await one.keep(message(1), viewOf('x'.repeat(5_000)));
  expect(uids(one)).toEqual([1]);
  one.forget(() => true);
  for (const uid of [2, 3]) await other.keep(message(uid), viewOf('x'.repeat(300)));
  await one.keep(message(4), viewOf('x'.repeat(300)));
  expect([uids(one), uids(other)]).toEqual([[4], [2, 3]]);
});

test('a session that has ended remembers nothing, nor what it was about to', async () => {
  const all = new RememberedTexts(1_000);
  const [one, other] = [new SearchTexts(all), new SearchTexts(all)];
  await one.keep(message(1), viewOf('x'.repeat(600)));
  const late = one.keep(message(2), viewOf('x'.repeat(600)));
  one.end();
  await late;
  expect(uids(one)).toEqual([]);
  for (const uid of [3, 4, 5]) await other.keep(message(uid), viewOf('x'.repeat(300)));
  expect(uids(other)).toEqual([3, 4, 5]);
});
