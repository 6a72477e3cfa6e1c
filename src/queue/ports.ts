import type { MailId } from '../ids.ts';
import type { OctetSource } from '../octets/source.ts';
import type { TlsDemand } from '../policy/rules.ts';
import type { Envelope, Recipient } from '../smtp/envelope.ts';
import type { Reply } from '../smtp/reply.ts';
import type { Statement } from '../store/sql-store.ts';

/** What the gateway delivers by itself, and what it needs for that. */

/** Why the gateway delivers it. */
export type Purpose =
  /** Mail of a person that the gateway has answered for; what fails is reported to her. */
  | 'submitted'
  /** The same, of mail that the gateway has opened for those who get it: nothing of it goes back to whoever has sent it. */
  | 'opened'
  /** The same after it has waited for a certificate. */
  | 'released'
  /** A note of a person to somebody whose certificate is missing. */
  | 'introduction'
  /** A copy for an archive (RFC 9051 APPEND). */
  | 'archive'
  /** Written by the gateway: what fails is logged, and no report is made of it. */
  | 'question'
  | 'notice'
  | 'report';

/**
 * Where mail for a recipient goes: what has the same text waits, fails and is counted together. `server` is the one of the section
 * `queue`; `domain:example.org` whoever takes mail for that domain.
 */
export type Destination = string;

/** Decides where mail goes. What it says of one recipient is written down with the mail, and stays. */
export interface Router {
  destinationOf(recipient: Recipient): Destination;
  /** Connections that may be made at once. */
  atOnce(destination: Destination): number;
}

export type Way =
  /** By SMTP or LMTP; without `destination`: `server`. */
  | { kind: 'smtp'; destination?: Destination }
  /** Into a mailbox. `archive`: its name in the configuration; `login`: the sender's. */
  | { kind: 'append'; archive: string; login: string };

export type MailToDeliver = {
  /** Of the mail that it is or belongs to: it is in the log, and in replies. */
  id: MailId;
  purpose: Purpose;
  way: Way;
  /** `reversePath` null: nobody hears of a failure. */
  envelope: Envelope;
  /** As the rule has it: `upstream` it must not leave but by TLS, `onward` the mail server must promise that too (RFC 8689). */
  requireTls: TlsDemand;
  /** It is a failure when it has not left by then. */
  expiresAt: Date;
  /** Absent: it leaves at once. Else not before, unless `Queue.begin` says so: until then it can be taken back for certain. */
  notBefore?: Date;
  /** A source is read before `enqueue` or `stage` resolves, and never after. */
  octets: Buffer | OctetSource;
};

/** One entry of the queue: a mail for its recipients at one destination. */
export type DeliveryId = string;

/** Where deliveries wait together: those of another place do not wait for them. */
export type Place = { kind: Way['kind']; destination: Destination };

/**
 * Who takes turns at a place: the sender of what was never tried there, in a form of its own; `RETRIES` for all that was. One sender's mail
 * does not wait for another's.
 */
export type Lane = string;
export const RETRIES: Lane = '';

/** What waits in one lane for one place. */
export type Line = { place: Place; lane: Lane };

/** Deliveries of a place that are due from then on. `lane` absent: nobody has said in which. */
export type Due = { place: Place; lane?: Lane; at: Date };

/**
 * Says where something may be due. What that is, the rows say: whoever is told claims it there, so that it does no harm to be told twice, or
 * for nothing. On one node it is the node itself; several tell each other.
 */
export interface DueWork {
  /** `told` is called with places where something may be due at that time, or with null: anywhere. */
  watch(told: (due: readonly Due[] | null) => void): void;
  /** Rows were written that are due then. Never throws. */
  written(due: readonly Due[]): void;
  /** `told` is not called any more. */
  stop(): Promise<void>;
}

/** A mail whose octets lie in the spool, and whose rows are still to be written. */
export type Staged = {
  /** One for each destination. */
  deliveries: readonly DeliveryId[];
  /** For a transaction with others of the same database. */
  statements: readonly Statement[];
  /** To be called once they are written: the delivery begins. */
  committed(): void;
  /** To be called where they will not be: what was spooled goes. Never rejects. */
  dropped(): Promise<void>;
};

export interface Queue {
  /** Durable, all of them, when the promise resolves. @throws SealgateError `queue.*`, temporary; nothing is kept then */
  enqueue(mails: readonly MailToDeliver[]): Promise<readonly DeliveryId[]>;
  /** The same in two steps. */
  stage(mail: MailToDeliver): Promise<Staged>;
  /** What waits for its `notBefore` leaves now. Where this cannot be written down it leaves then: never rejects. */
  begin(deliveries: readonly DeliveryId[]): Promise<void>;
  /** Takes back what has not left yet. @throws SealgateError `store.unavailable` */
  withdraw(deliveries: readonly DeliveryId[]): Promise<void>;
}

/** Files that only the gateway's own key opens, each written once. Names say when, and nothing else. */
export interface SealedSpool {
  /**
   * On the disk, with its folder, when the promise resolves. No private key is used.
   *
   * @throws SealgateError `queue.spool`, `queue.full`, temporary; nothing is kept then
   */
  write(octets: Buffer | OctetSource): Promise<string>;
  /** @param usedFor in the audit trail of the key. @throws SealgateError `queue.spool`, `key.unavailable` (temporary); `queue.damaged` (permanent) */
  read(name: string, usedFor?: MailId): Promise<OctetSource>;
  /** One that is not there is none to remove. Never rejects. */
  remove(name: string): Promise<void>;
}

/** Takes one mail one step on. */
export interface Courier {
  /** Why it can take nothing this way for the moment: no key is used for what would not leave. null, or absent: it has to be tried. */
  away?(way: Way): string | null;
  /** What became of each recipient, in their order. Never rejects. */
  deliver(mail: Omit<MailToDeliver, 'expiresAt' | 'notBefore'>): Promise<readonly DeliveryOutcome[]>;
  /** What is under way ends within seconds, one way or the other. Never rejects. */
  close(): Promise<void>;
}

export type DeliveryOutcome =
  /**
   * `unconfirmed`: whoever took it will not tell its sender where she asked for that (RFC 3461 §5.2.3). `by`: who took it, and how the
   * connection was protected, for people; absent: the mail server of the configuration.
   */
  | { recipient: Recipient; kind: 'delivered'; reply: Reply | null; unconfirmed?: true; by?: string }
  | ({ recipient: Recipient; kind: 'later' } & Undelivered)
  | ({ recipient: Recipient; kind: 'failed' } & Undelivered);

/** `status`: RFC 3463, where there is no reply that has one. `server`: who said the reply; absent: the mail server of the section `queue`. */
export type Undelivered = { reply: Reply | null; because: string; status?: string; server?: string };
