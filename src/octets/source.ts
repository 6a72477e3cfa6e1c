/**
 * Octets that may be more than memory should hold.
 *
 * Holds: whoever works on them needs memory for some chunks, however many there are.
 * Must never happen: a source that gives other octets the second time. A signature would be made over one text and sent with
 * another, and a nonce would meet two texts.
 */

/** Chunks in their order, none of them empty. A chunk belongs to whoever took it and never changes. */
export type OctetStream = AsyncIterable<Buffer>;

/** Octets that can be read again and again from their beginning; how many they are shows at their end. */
export interface RereadableOctets {
  /** Every call begins anew; several may run at the same time. */
  read(): OctetStream;
}

/** The same where the length is known in front. */
export interface SizedOctets extends RereadableOctets {
  readonly length: number;
}

/** Octets that can be read again and again, from any place. */
export interface OctetSource extends SizedOctets {
  /**
   * The octets from `start` to before `end`, both counted from 0, in chunks of at most `CHUNK_OCTETS`; all of them when absent.
   * Every call begins anew; several may run at the same time.
   */
  read(start?: number, end?: number): OctetStream;
}

/** Large enough that a chunk's own cost does not show, small enough that some hundred messages may move at once. */
export const CHUNK_OCTETS = 64 * 1024;

/** A place where octets wait that are written once and then read. */
export interface Spool {
  begin(): SpoolWriter;
}

export interface SpoolWriter {
  /** Resolves when the next octets may come. The octets are copied or written before that. */
  write(octets: Uint8Array): Promise<void>;
  /** What was written, to be read from now on. */
  finish(): Promise<SpooledOctets>;
  /** Throws away what was written; nothing happens after `finish`. */
  discard(): Promise<void>;
}

/** Octets in a spool; they take room there until they are thrown away. */
export interface SpooledOctets extends OctetSource {
  /** May be called again; reading afterwards fails. */
  discard(): Promise<void>;
}
