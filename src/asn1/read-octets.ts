import { type Grammar, Incomplete, IncrementalReader } from './incremental-reader.ts';
import { malformed } from './malformed.ts';
import { MOST_HEADER_OCTETS } from './reader.ts';

/** What a structure came to, and its content: a view where it stands there in one piece. */
export type ReadOctets<T> = { value: T; content: Buffer };

/**
 * Reads a structure of which all octets are there.
 *
 * @throws SealgateError `asn1.malformed`, and what the grammar throws
 */
export function readOctets<Head, T>(octets: Buffer, grammar: Grammar<Head, T>): ReadOctets<T> {
  const reader = new IncrementalReader(octets, true);
  const head = grammar.head(reader);
  const content = wholeContent(reader);
  return { value: grammar.tail(reader, head), content };
}

function wholeContent(reader: IncrementalReader): Buffer {
  const first = reader.takeContent() ?? Buffer.alloc(0);
  let next = reader.takeContent();
  if (next === undefined) return first;
  const pieces = [first];
  while (next != null) {
    pieces.push(next);
    next = reader.takeContent();
  }
  return Buffer.concat(pieces);
}

/**
 * Reads only the beginning: what follows may be anything, and need not be there.
 *
 * @param all whether these are all octets there are
 * @returns null: further octets are needed; never where `all`
 * @throws SealgateError `asn1.malformed`, what `read` throws
 */
export function readBeginningOf<T>(
  octets: Buffer,
  all: boolean,
  read: (reader: IncrementalReader) => T,
): { value: T } | null {
  const found = readOpenEnded(octets, octets.length, read);
  if (found !== null || !all) return found;
  // A reader that does not know of the end looks ahead for a header, which at the end may be shorter.
  const padded = Buffer.concat([octets, Buffer.alloc(MOST_HEADER_OCTETS)]);
  const last = readOpenEnded(padded, octets.length, read);
  if (last === null) throw malformed(octets.length, 'the data ends too early');
  return last;
}

function readOpenEnded<T>(
  octets: Buffer,
  length: number,
  read: (reader: IncrementalReader) => T,
): { value: T } | null {
  const reader = new IncrementalReader(octets, false);
  try {
    const value = read(reader);
    return reader.offset > length ? null : { value };
  } catch (error) {
    if (error instanceof Incomplete) return null;
    throw error;
  }
}
