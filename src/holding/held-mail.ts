import type { MailId } from '../ids.ts';

/** A mail that waits, as people and programs see it; nothing of its text. */
export type HeldMail = {
  id: MailId;
  from: string;
  login: string;
  /** null: it is not to be shown outside the mail, or there is none. */
  subject: string | null;
  heldAt: Date;
  expiresAt: Date;
  rule: string;
  recipients: readonly HeldRecipient[];
  /** What its sender may choose for those who wait. */
  choices: readonly Choice[];
};

export type HeldRecipient = {
  address: string;
  state: HeldState;
  /** A clause for people: what it waits for, or what became of it. */
  because: string;
};

/** `leaving`: in the queue, as it may leave. */
export type HeldState = 'waiting' | 'leaving' | 'discarded' | 'expired';

/** `release`: leave now if it can be encrypted now. */
export type Choice = 'send-signed' | 'wait' | 'discard' | 'release';

export type ChoiceOutcome =
  | { kind: 'done'; mail: HeldMail }
  /** `publicText`: whole sentences. */
  | { kind: 'refused'; publicText: string }
  | { kind: 'unknown' };

export interface HeldMails {
  /** Newest first. `from`: of this address alone. Not those that are settled. */
  list(of: { from: string | null; limit: number }): Promise<readonly HeldMail[]>;
  find(id: MailId): Promise<HeldMail | null>;
  /** @param recipients null: all who wait. @param by who chose, for the log: an address or an operator's login */
  choose(
    id: MailId,
    choice: Choice,
    chosen: { recipients: readonly string[] | null; by: string },
  ): Promise<ChoiceOutcome>;
}
