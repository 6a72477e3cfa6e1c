/**
 * A mailbox in a path as the client wrote it (a quoted local part keeps its quotes), without angle brackets.
 * RFC 5321 §4.1.2; UTF-8 with RFC 6531 §3.3. `domain` is a name or an address literal with its brackets; it is empty for
 * `<Postmaster>` alone (RFC 5321 §4.1.1.3).
 */
export type Mailbox = { localPart: string; domain: string };

/** `MAIL FROM:<…>`: null is the null reverse-path `<>`. */
export type ReversePath = Mailbox | null;

/** One `esmtp-param`; value null where there is none. Keyword is upper case. */
export type Parameter = { keyword: string; value: string | null };

export type Recipient = { mailbox: Mailbox; parameters: readonly Parameter[] };

export type Envelope = {
  reversePath: ReversePath;
  mailParameters: readonly Parameter[];
  recipients: readonly Recipient[];
};
