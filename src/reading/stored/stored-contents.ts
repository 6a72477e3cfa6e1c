/**
 * What was opened, kept over sessions and restarts. Everything but sizes and times is sealed or a digest, and nothing of it is missed
 * when it is gone: it is opened anew then.
 *
 * Methods throw SealgateError `store.unavailable` (temporary). `reader`: whose, a digest of account and login. `key`: which private
 * key has opened it, a digest. `message`: which message, a digest of its stored octets.
 */
export interface StoredContents {
  /** What gives back a data key to whoever has the private key; null: there is none. */
  wrapOf(reader: string, key: string): Promise<Uint8Array | null>;
  /** In the place of one that is there, with everything that was sealed under it. */
  addWrap(reader: string, key: string, wrapped: Uint8Array): Promise<void>;
  keysOf(reader: string): Promise<readonly string[]>;
  /** With everything that was sealed under it. */
  removeKey(reader: string, key: string): Promise<void>;
  /** Everything of readers that are not among these. */
  keepOnly(readers: readonly string[]): Promise<void>;

  /** null: nothing of it is there. */
  find(reader: string, message: string): Promise<StoredContent | null>;
  /** Those that are there, in their order. */
  pieces(content: number, from: number, most: number): Promise<readonly Uint8Array[]>;
  /** It was read: what was not read for the longest time goes first. */
  used(content: number): Promise<void>;
  /**
   * Makes room within `most` octets for the reader, and begins a content, in the place of an earlier one of the same message.
   * Returns its name; nobody finds it before it is finished.
   */
  begin(content: NewContent, most: number): Promise<number>;
  addPieces(content: number, from: number, pieces: readonly Uint8Array[]): Promise<void>;
  finish(content: number): Promise<void>;
  remove(content: number): Promise<void>;

  /** `header`: whether header fields are shown that are not those stored. */
  setWords(content: number, header: boolean, sealed: Uint8Array): Promise<void>;
  /** Under this UID of that mailbox lies that message. `mark`: proves that the gateway said so. */
  place(reader: string, places: readonly Placed[]): Promise<void>;
  /** The messages of these UIDs, as far as they are there. */
  placedAt(reader: string, mailbox: string, uids: readonly number[]): Promise<readonly Placed[]>;
  /** Messages of a mailbox whose words are there, some of those with a UID below `before`, the newest first. */
  worded(reader: string, mailbox: string, before: number): Promise<readonly Worded[]>;
  /** Some of those, from the UID behind `after` on, by UID. */
  words(reader: string, mailbox: string, header: boolean, after: number): Promise<readonly StoredWords[]>;
}

export type StoredContent = {
  id: number;
  key: string;
  /** Octets of the opened content. */
  length: number;
  hasWords: boolean;
  /** The first piece. */
  first: Uint8Array | null;
};

export type NewContent = {
  reader: string;
  message: string;
  key: string;
  length: number;
  /** That it takes in the store. */
  octets: number;
};

export type Placed = { mailbox: string; uid: number; message: string; mark: Uint8Array };

export type Worded = { uid: number; key: string; header: boolean };

export type StoredWords = {
  uid: number;
  content: number;
  key: string;
  message: string;
  mark: Uint8Array;
  sealed: Uint8Array;
};
