import { type Grammar, Incomplete, IncrementalReader } from './incremental-reader.ts';

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
 * @returns null: further octets are needed
 * @throws SealgateError `asn1.malformed`, what `read` throws
 */
export function readBeginningOf<T>(
  octets: Buffer,
  read: (reader: IncrementalReader) => T,
): { value: T } | null {
  try {
    return { value: read(new IncrementalReader(octets, false)) };
  } catch (error) {
    if (error instanceof Incomplete) return null;
    throw error;
  }
}
