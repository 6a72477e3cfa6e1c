import { setImmediate } from 'node:timers/promises';
import { limits } from '../limits.ts';
import { CHUNK_OCTETS, type OctetStream } from '../octets/source.ts';
import { type Grammar, Incomplete, IncrementalReader } from './incremental-reader.ts';
import { malformed } from './malformed.ts';
import { readBeginningOf } from './read-octets.ts';

/** Octets after which others get their turn, where a source never has to wait. */
const TURN_OCTETS = 256 * 1024;

/** Content in pieces of at least this is given on as it is. */
const LARGE_OCTETS = CHUNK_OCTETS / 4;

/**
 * Reads a structure from a stream. The content comes in pieces of at most `CHUNK_OCTETS` that are valid until the next one
 * is asked for: small segments are copied together, always into the same Buffer.
 *
 * @returns (at the end) what the structure came to
 * @throws SealgateError `asn1.malformed`, what the grammar and what the source throw
 */
export async function* readStream<Head, T>(
  source: OctetStream,
  grammar: Grammar<Head, T>,
): AsyncGenerator<Buffer, T, void> {
  const input = new Input(source);
  try {
    const { reader, head } = await readHead(input, (first) => grammar.head(first));
    const gathered = new Gathered();
    for (;;) {
      const piece = reader.takeContent();
      if (piece === undefined) break;
      if (piece === null) {
        reader.keepRest();
        const octets = await input.next();
        if (octets === null) reader.receiveEnd();
        else reader.receive(octets);
      } else if (piece.length >= LARGE_OCTETS) {
        if (gathered.length > 0) yield gathered.take();
        for (let at = 0; at < piece.length; at += CHUNK_OCTETS) yield piece.subarray(at, at + CHUNK_OCTETS);
      } else {
        if (gathered.length + piece.length > CHUNK_OCTETS) yield gathered.take();
        gathered.add(piece);
      }
    }
    if (gathered.length > 0) yield gathered.take();
    reader.keepRest();
    reader.receive(await input.rest(reader.offset));
    reader.receiveEnd();
    return grammar.tail(reader, head);
  } finally {
    await input.close();
  }
}

/** The same for its value; `take` gets each piece of the content, and is done with it when it resolves. */
export async function readThrough<Head, T>(
  source: OctetStream,
  grammar: Grammar<Head, T>,
  take: (content: Buffer) => Promise<void> | void,
): Promise<T> {
  const pieces = readStream(source, grammar);
  let ended = false;
  try {
    for (;;) {
      const step = await pieces.next();
      if (step.done === true) {
        ended = true;
        return step.value;
      }
      await take(step.value);
    }
  } finally {
    if (!ended) await pieces.return(undefined as never);
  }
}

/** Reads only the beginning of a stream. */
export async function readBeginning<T>(
  source: OctetStream,
  read: (reader: IncrementalReader) => T,
): Promise<T> {
  const input = new Input(source);
  try {
    let octets: Buffer = Buffer.alloc(0);
    for (;;) {
      octets = await input.further(octets, Math.max(1, 2 * octets.length));
      const found = readBeginningOf(octets, input.ended, read);
      if (found !== null) return found.value;
    }
  } finally {
    await input.close();
  }
}

async function readHead<T>(
  input: Input,
  read: (reader: IncrementalReader) => T,
): Promise<{ reader: IncrementalReader; head: T }> {
  let octets: Buffer = Buffer.alloc(0);
  for (let wanted = 1; ; wanted = 2 * octets.length) {
    octets = await input.further(octets, wanted);
    const reader = new IncrementalReader(octets, input.ended);
    try {
      return { reader, head: read(reader) };
    } catch (error) {
      // Each time with twice as many octets: what is read several times stays a small multiple of all.
      if (!(error instanceof Incomplete)) throw error;
    }
  }
}

/** A stream being taken chunk by chunk. A chunk is looked at no more once the next one is asked for. */
class Input {
  readonly #chunks: AsyncIterator<Buffer>;
  #sinceTurn = 0;
  ended = false;

  constructor(source: OctetStream) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /** null: that was all. */
  async next(): Promise<Buffer | null> {
    if (this.ended) return null;
    const chunk = await this.#chunks.next();
    if (chunk.done === true) {
      this.ended = true;
      return null;
    }
    this.#sinceTurn += chunk.value.length;
    if (this.#sinceTurn >= TURN_OCTETS) {
      this.#sinceTurn = 0;
      await setImmediate();
    }
    return chunk.value;
  }

  /** `octets` and what follows them: `wanted` ones or all. */
  async further(octets: Buffer, wanted: number): Promise<Buffer> {
    const pieces = [octets];
    let length = octets.length;
    while (length < wanted) {
      const chunk = await this.next();
      if (chunk === null) break;
      pieces.push(Buffer.from(chunk));
      length += chunk.length;
    }
    return Buffer.concat(pieces, length);
  }

  /** Everything that is left, which must not be more than a structure may be. */
  async rest(offset: number): Promise<Buffer> {
    const { structureOctets } = limits.asn1;
    const octets = await this.further(Buffer.alloc(0), structureOctets + CHUNK_OCTETS);
    if (!this.ended && (await this.next()) !== null) throw malformed(offset, 'a structure that is too large');
    return octets;
  }

  async close(): Promise<void> {
    if (!this.ended) await this.#chunks.return?.();
  }
}

/** Small pieces, copied together. */
class Gathered {
  #octets: Buffer | null = null;
  length = 0;

  add(piece: Buffer): void {
    this.#octets ??= Buffer.allocUnsafe(CHUNK_OCTETS);
    this.#octets.set(piece, this.length);
    this.length += piece.length;
  }

  take(): Buffer {
    const octets = (this.#octets ?? Buffer.alloc(0)).subarray(0, this.length);
    this.length = 0;
    return octets;
  }
}
