import { setImmediate } from 'node:timers/promises';
import type { SearchText } from '../../reading/search-text.ts';
import { NumberSet } from './number-set.ts';
import { ALL, NONE, rewritten, type SearchKey, type ShownLeaf } from './search-key.ts';
import type { WordsReader } from './search-words.ts';
import { matcher } from './shown-leaf.ts';

/** Opened messages for which a criterion comes down to the same. */
export type Alike = { uids: NumberSet; key: SearchKey };

/** How long other sessions wait while one looks into its messages. */
const TURN_MS = 10;

/**
 * Messages by which of the leaves their texts meet, with what is left of the criterion for the mail server to say of them: NONE and
 * ALL where nothing is. However many leaves and messages there are, they are looked at once, in short turns.
 */
export async function* alike(
  key: SearchKey,
  leaves: readonly ShownLeaf[],
  texts: Iterable<[uid: number, text: SearchText]> | AsyncIterable<[uid: number, text: SearchText]>,
  read: WordsReader,
): AsyncGenerator<Alike> {
  const matchers = leaves.map(({ test }) => matcher(test, read));
  const groups = new Map<string, number[]>();
  let began = performance.now();
  for await (const [uid, text] of texts) {
    let met = '';
    for (const meets of matchers) {
      met += meets(text) ? '1' : '0';
      if (performance.now() - began < TURN_MS) continue;
      await setImmediate();
      began = performance.now();
    }
    const group = groups.get(met);
    if (group === undefined) groups.set(met, [uid]);
    else group.push(uid);
  }
  for (const [met, uids] of groups) {
    const said = new Map(leaves.map((leaf, index) => [leaf, met[index] === '1' ? ALL : NONE]));
    yield { uids: NumberSet.of(uids), key: rewritten(key, (leaf) => said.get(leaf) ?? leaf) };
    if (performance.now() - began < TURN_MS) continue;
    await setImmediate();
    began = performance.now();
  }
}
