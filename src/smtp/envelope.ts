/** A mailbox in a path as the client wrote it, without angle brackets. RFC 5321 §4.1.2; UTF-8 with RFC 6531. */
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
