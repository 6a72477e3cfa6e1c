import type { HeldLink } from '../holding/held-links.ts';
import type { HeldMail } from '../holding/held-mail.ts';

/** The last segment of links to pages about mail that waits: whoever has one may do what its page offers. */
export interface HeldLinks {
  /** null: it was not made here, was changed, or its time is over. In constant time, as far as that could help to forge one. */
  read(token: string): HeldLink | null;
  /** Good as long as the mail waits. */
  toMail(mail: Pick<HeldMail, 'id' | 'expiresAt'>): string;
  toList(address: string): string;
}

/** A mail of the gateway's own, in words (empty lines part paragraphs); durable when the promise resolves. */
export type SendNote = (note: { to: string; subject: string; lines: readonly string[] }) => Promise<void>;
