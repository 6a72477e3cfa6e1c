/**
 * Which stored message a view belongs to. Such a name never means another message (RFC 9051 §2.3.1.1), so what was
 * once shown under it stays.
 */
export type StoredMessage =
  | {
      protocol: 'imap';
      /** As the client names it, decoded; INBOX in capitals. */
      mailbox: string;
      /** MAILBOXID (RFC 8474), from servers that have it: the mailbox is known by it and not by its name. */
      mailboxId?: string;
      uidValidity: number;
      uid: number;
      /** It is clear-signed, and shown as stored but for a status: what is said of it is kept apart. */
      overlaid?: true;
    }
  | { protocol: 'pop3'; uidl: string };

/** One text for each message of a login. */
export function messageKey(message: StoredMessage): string {
  return message.protocol === 'imap'
    ? `imap ${message.uidValidity} ${message.uid}${message.overlaid === true ? ' overlaid' : ''} ${message.mailbox}`
    : `pop3 ${message.uidl}`;
}

/** What the boundary of its view is made of: the same under every name that a mailbox may get. */
export function boundaryName(message: StoredMessage): string {
  return message.protocol === 'imap' ? `imap ${message.uidValidity} ${message.uid}` : `pop3 ${message.uidl}`;
}

/** What a server says of a mailbox when it is selected. */
export type SelectedMailbox = {
  name: string;
  mailboxId?: string;
  uidValidity: number;
  /** null: not said. */
  uidNext: number | null;
  exists: number;
  /** Flags that can be changed for good, with blanks between them (RFC 9051 §7.1, PERMANENTFLAGS); absent: not said. */
  permanentFlags?: string;
  /** The UID of a message by its number, asked of the server; null: it did not say. Absent: nobody can ask. */
  uidOf?(msn: number): Promise<number | null>;
};

/** One text for each mailbox of a login, by its name: copies are told of by that. Another UIDVALIDITY is another mailbox. */
export function mailboxName({ name, uidValidity }: { name: string; uidValidity: number }): string {
  return `${uidValidity} ${name}`;
}

/** Where its words are looked for; null: nobody promises that it stays there. */
export function storedPlace(message: StoredMessage): { mailbox: string; uid: number } | null {
  if (message.protocol === 'pop3' || message.uidValidity === 0) return null;
  const { mailbox: name, uidValidity, uid } = message;
  return { mailbox: mailboxName({ name, uidValidity }), uid };
}
