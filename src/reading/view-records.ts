/**
 * What was said of each message that was opened, kept for good: a message keeps its octets under its UID over sessions, restarts
 * and whatever is believed of its signer later.
 *
 * Methods throw SealgateError `store.unavailable` (temporary).
 */
export interface ViewRecords {
  /**
   * The mailbox with what is known of it, made where it is not there yet. With another UIDVALIDITY than before it is another
   * mailbox: the records of the former are gone, unless it is among `selected`.
   *
   * @param selected mailboxes that sessions have, perhaps under a former UIDVALIDITY
   */
  mailbox(place: MailboxPlace, selected: readonly number[]): Promise<KnownMailbox>;
  /** null: there is none. */
  find(mailbox: number, message: string): Promise<ViewRecord | null>;
  /** Returns the record that is there now: another one, where somebody else was first. */
  add(mailbox: number, message: string, record: ViewRecord): Promise<ViewRecord>;
  /** In the place of a record of which nothing was served; returns the one that is there now. */
  replace(mailbox: number, message: string, record: ViewRecord): Promise<ViewRecord>;
  /** What its messages are that came before keys came or went. */
  setEras(mailbox: number, eras: string): Promise<void>;
  /** Messages that were served with that kind. */
  servedAs(mailbox: number, kind: string): Promise<readonly string[]>;
  /** What was served by another renderer cannot be made again by this one: it needs a new UID. */
  setOutdated(mailbox: number, message: string): Promise<void>;
  /** Messages of which that is known. */
  outdated(mailbox: number): Promise<readonly string[]>;
  /** With everything below it. `delimiter`: null where the server has no hierarchy. */
  renamed(reader: string, from: string, to: string, delimiter: string | null): Promise<void>;
  deleted(reader: string, name: string): Promise<void>;
}

export type MailboxPlace = {
  /** Whose: a digest of account and login. */
  reader: string;
  /** What it is known by: its id or its name. */
  key: string;
  name: string;
  uidValidity: number;
};

export type KnownMailbox = {
  id: number;
  eras: string;
  recorded: readonly RecordedMessage[];
};

export type RecordedMessage = {
  /** UID in decimal digits, or UIDL. */
  message: string;
  /** Octets of a view that has not the size of its original; null: it has. */
  size: number | null;
  /** Whether listings show other header fields than those that are stored. */
  header: boolean;
};

/** One message. What was shown of it is sealed. */
export type ViewRecord = {
  kind: string;
  /** Of the renderer. */
  version: number;
  size: number | null;
  header: boolean;
  /** SHA-256 of the view; null: none was made yet, as of a copy. */
  sha256: Uint8Array | null;
  /** Whether anything of it was given out; not of a copy that was not opened yet. */
  served: boolean;
  sealed: Uint8Array;
};
