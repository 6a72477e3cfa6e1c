import {
  type BatchEntry,
  chunksOf,
  isBatch,
  KEY_OCTETS,
  locate,
  MOST_HEAD,
  mailKey,
  openChunk,
  sealChunk,
  sealedOctets,
  writeHead,
} from '../../../src/queue/sealed-batch.ts';
import { type FuzzTarget, holds } from '../target.ts';

const KEY = Buffer.alloc(KEY_OCTETS, 7);
const WRAPPED = Buffer.alloc(100, 'w');
const name = (letter: string) => letter.repeat(20);
const ENTRIES: readonly BatchEntry[] = [
  { name: name('a'), length: 5 },
  { name: name('b'), length: 0 },
  { name: name('c'), length: 40 },
];
const NAMES = ENTRIES.map((entry) => entry.name);

function file(entries: readonly BatchEntry[]): Buffer {
  const parts = [writeHead(WRAPPED, entries)];
  for (const entry of entries)
    parts.push(...sealChunk(mailKey(KEY, entry), 0, Buffer.alloc(entry.length, 'x')));
  return Buffer.concat(parts);
}

/** What lies in the spool: whoever may write there may have changed it. */
export const queueTargets: readonly FuzzTarget[] = [
  {
    name: 'queue-batch',
    form: 'octets',
    allowed: [],
    prepare: () => ({
      seeds: [file(ENTRIES), file(ENTRIES.slice(0, 1)), writeHead(WRAPPED, [])],
      run(input) {
        const found = NAMES.map((one) => locate(input, one));
        for (const [i, located] of found.entries()) {
          if (located === null) continue;
          holds(isBatch(input), 'a mail is found in a batch alone');
          holds(located.name === NAMES[i], 'the mail that was asked for');
          holds(
            located.start <= MOST_HEAD + 64 * sealedOctets(2 ** 48),
            'no place beyond what a head can say',
          );
          holds(chunksOf(located.length) >= 1, 'one chunk at least');
          const sealed = input.subarray(
            located.start,
            located.start + sealedOctets(Math.min(located.length, 65_536)),
          );
          const opened = openChunk(mailKey(KEY, located), 0, sealed);
          holds(
            opened === null || opened.equals(Buffer.alloc(located.length, 'x')),
            'what opens is what was sealed under this name and length',
          );
        }
        return found.map((located) => located?.start ?? null);
      },
    }),
  },
];
