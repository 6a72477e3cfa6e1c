import { describe, expect, it } from 'vitest';
import { MessageView } from '../../src/mail-view/message-view.ts';
import { bufferSource } from '../../src/octets/buffer-source.ts';
import { KeyWatch } from '../../src/reading/key-watch.ts';
import { RememberedTexts, SearchTexts } from '../../src/reading/search-texts.ts';
import { SpooledViews, ViewCache } from '../../src/reading/view-cache.ts';
import { FakeTimers } from '../imap-proxy/support/fake-timers.ts';
import { Card } from './support/card.ts';
import { imap, openedAs, reader, SaysAnything, shown } from './support/readers.ts';

/** What a session has in memory of what a key has opened goes with the key: a card that is taken out takes it along. */

function view(text = 'Subject: boathouse\r\n\r\nthe key is under the third stone\r\n') {
  let freed = false;
  const made = new MessageView(bufferSource(Buffer.from(text)), async () => {
    freed = true;
  });
  return { made, isFreed: () => freed };
}

describe('a card that is taken out', () => {
  it('takes the views of its session along, at once for whoever asks', () => {
    const card = new Card();
    const { made, isFreed } = view();
    const cache = new ViewCache(new FakeTimers(), new SpooledViews(), new KeyWatch());
    cache.keep('one', made, [card.key]);
    expect(cache.get('one')).toBe(made);
    card.takeOut();
    expect(cache.get('one')).toBeNull();
    expect(isFreed()).toBe(true);
    card.insert();
    expect(cache.get('one')).toBeNull();
    cache.end();
  });

  it('and when nobody asks, a moment later', () => {
    const watch = new KeyWatch();
    const card = new Card();
    const { made, isFreed } = view();
    const cache = new ViewCache(new FakeTimers(), new SpooledViews(), watch);
    cache.keep('one', made, [card.key]);
    watch.look();
    expect(isFreed()).toBe(false);
    card.takeOut();
    watch.look();
    expect(isFreed()).toBe(true);
    cache.end();
  });

  it('takes the words along, and leaves those that another key has opened', async () => {
    const watch = new KeyWatch();
    const [card, other] = [new Card(), new Card()];
    const texts = new SearchTexts(new RememberedTexts(), watch);
    await texts.keep(imap(1), view().made, { keys: [card.key] });
    await texts.keep(imap(2), view().made, { keys: [other.key] });
    await texts.keep(imap(3), view().made, { keys: [card.key, other.key] });
    await texts.keep(imap(4), view().made);
    const uids = () => [...texts.of(() => true)].map(({ message }) => 'uid' in message && message.uid);
    expect(uids()).toEqual([1, 2, 3, 4]);
    card.takeOut();
    expect(uids()).toEqual([2, 4]);
    card.insert();
    expect(uids()).toEqual([2, 4]);
    texts.end();
  });

  it('is asked for again by a session that had its view', async () => {
    const card = new Card();
    const story = new SaysAnything();
    story.says = { ...openedAs(), keys: [card.key] } as typeof story.says;
    const session = reader(story);
    await shown(session);
    expect(session.cached(imap(1))).not.toBeNull();
    card.takeOut();
    expect(session.cached(imap(1))).toBeNull();
    session.end();
  });
});

it('a token that wants its PIN at each use, and is there, loses nothing', () => {
  const card = new Card();
  card.asksEachTime = true;
  const cache = new ViewCache(new FakeTimers(), new SpooledViews(), new KeyWatch());
  const { made } = view();
  cache.keep('one', made, [card.key]);
  expect(cache.get('one')).toBe(made);
  cache.end();
});
