import type { Principal } from '../pipeline/ports.ts';
import type { Mailbox, ReversePath } from '../smtp/envelope.ts';
import type { Reply } from '../smtp/reply.ts';

/**
 * Whose mail a session brings that does not log in: of one client, from its connection to its end.
 *
 * Holds: what is not admitted is refused at MAIL or RCPT, so that nobody's mail is relayed to where it is not the listener's business.
 */
export interface Admission {
  /** RFC 2033 in the place of RFC 5321. */
  readonly protocol: 'smtp' | 'lmtp';
  /** Whether the peer may say whose connection it is (XCLIENT), and whose mail it passes on (XFORWARD). */
  readonly trustsPeer: boolean;
  /** Address of the client; what a trusted peer has said it is. Empty: nobody knows. */
  readonly remote: string;
  /** The TLS handshake is done. @param chain what the client has shown, DER, its own certificate first; empty: none */
  secured(chain: readonly Buffer[]): void;
  /** A trusted peer says whose connection it is; null: it does not know, and nobody is admitted by an address. */
  clientIs(address: string | null): void;
  /** Called at MAIL. */
  judgeSender(reversePath: ReversePath): Admitted;
  /** Called at RCPT, before anybody else hears of the recipient; null: nothing stands against it. */
  judgeRecipient(mailbox: Mailbox): Reply | null;
}

export type Admitted =
  /** Whose mail it is; nobody's where the listener knows nothing of senders. */
  { kind: 'admitted'; principal: Principal } | { kind: 'refused'; reply: Reply };
