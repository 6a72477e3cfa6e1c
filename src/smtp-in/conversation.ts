import type { ClientGuard } from '../connections/client-guard.ts';
import type { ClientCertificates } from '../connections/tls-context.ts';
import type { MailId, SessionId } from '../ids.ts';
import type { Log } from '../log/log.ts';
import type { Spool } from '../octets/source.ts';
import type { Origin, OutboundStory, OwnMailbox, StoreAndForward } from '../pipeline/ports.ts';
import type { RelayedMechanism } from '../sasl/relayed-identity.ts';
import type { ClientAttributes } from '../smtp/client-attributes.ts';
import type { Parameter, Recipient, ReversePath } from '../smtp/envelope.ts';
import type { Reply } from '../smtp/reply.ts';
import type { Upstream } from '../smtp-out/client.ts';
import type { Admission } from './admission.ts';
import type { ChunkedMessage } from './bdat.ts';
import type { Intake } from './intake.ts';
import type { SendingLimits } from './sending-limits.ts';

/** What a listener says about its sessions. */
export type SessionSettings = {
  listener: string;
  /** What we call ourselves, to clients and to the upstream. */
  hostname: string;
  /** Host and port of the mail server; for the log. */
  upstream: string;
  tls: 'implicit' | 'starttls' | 'none';
  maxMessageOctets: number;
  /** Logins without TLS, from other machines too. */
  allowPlainAuth: boolean;
  /** Logins in which the password does not travel that are passed on; absent: none. */
  relayMechanisms?: readonly RelayedMechanism[];
  /** The login that clients of this machine are taken for without AUTH; null: they log in. */
  assumeLogin: string | null;
  /** The client is on this machine, and no balancer between. */
  fromHere: boolean;
  /** Absent: ignored. */
  clientCertificates?: ClientCertificates;
};

/** What is needed to take messages. */
export type Reception = {
  /** Where long messages wait until they are answered. */
  spool: Spool;
  /** What takes mail in the place of the upstream, and is asked whether there is room; null: nothing does. */
  storeAndForward: StoreAndForward | null;
  /** How much may be sent; null: as much as anybody likes. */
  sendingLimits: SendingLimits | null;
  /** Milliseconds, from any beginning. */
  now: () => number;
};

/** What a session needs of the world; no socket, clock or chance of its own. */
export type SessionPorts = {
  settings: SessionSettings;
  story: OutboundStory;
  /** null: the gateway takes no mail for itself. */
  ownMailbox: OwnMailbox | null;
  log: Log;
  /** Throws SealgateError. `signal`: the session has ended, nobody needs it any more. */
  openUpstream: (signal: AbortSignal) => Promise<Upstream>;
  newMailId: () => MailId;
  reception: Reception;
  guard: ClientGuard;
  /** Whose mail it is, where clients do not log in; absent: they do. */
  admission?: Admission;
};

/** From an accepted MAIL to the end of data (RFC 5321 §3.3). */
export type Transaction = {
  reversePath: ReversePath;
  /** As the client wrote them. */
  mailParameters: readonly Parameter[];
  /** Those the upstream has accepted, in order. */
  recipients: Recipient[];
  /** The gateway itself, which is then the only recipient; null: the mail is for others. */
  own: Recipient | null;
  /** RCPT commands for others that nobody has refused. */
  passedOn: number;
  /** The upstream has accepted MAIL. */
  accepted: boolean;
  /** Called where its message was not accepted: it does not count. */
  notAccepted?: () => void;
  /** Its reply to MAIL is there and has been judged: replies to RCPT of the same pipeline are not looked at before. */
  opening: Promise<unknown>;
  /** The upstream has been asked about the last recipient that somebody else judges first, or will not be; null: there is none. */
  asked: Promise<void> | null;
};

/** The state of one session, which the verbs read and change. */
export type Conversation = {
  readonly ports: SessionPorts;
  readonly id: SessionId;
  /** Address of the client. */
  readonly remote: string;
  /** Aborted when the session has ended: nobody waits for what a verb is about to say. */
  readonly gone: AbortSignal;
  /** TLS is active. */
  secure: boolean;
  greeted: 'no' | 'helo' | 'ehlo';
  /** What the client calls itself; empty: it has not said. */
  helo: string;
  /** Set by a login that the upstream has accepted; its principal decides whose keys are used. */
  origin: Origin | null;
  authFailures: number;
  /** What a trusted peer has said of whose mail it passes on (XFORWARD), and whether that was followed by the mail. */
  forwarded: ClientAttributes;
  forwardedWithMail: boolean;
  upstream: Upstream | null;
  /** The upstream may have a transaction open: RSET before the next MAIL. */
  upstreamOpen: boolean;
  transaction: Transaction | null;
  /** What has come by BDAT in the open transaction; null: nothing. */
  chunks: ChunkedMessage | null;
  /** See transaction-end.ts. */
  untilEnd: { transaction: Transaction; giveBack: () => void }[];
};

/** What a verb wants done. */
export type Step =
  | { kind: 'reply'; reply: Reply }
  /** The same refusal once more, to what the client may have sent before it heard the first one. */
  | { kind: 'refused-before'; reply: Reply }
  /** To one command: LMTP's end of data (RFC 2033 §4.2). */
  | { kind: 'replies'; replies: readonly Reply[] }
  /** The upstream's reply is under way; a RCPT may be worked on meanwhile (RFC 2920 §3.2). */
  | { kind: 'relay'; reply: Promise<Reply> }
  /** The next line is no command but an answer; null: it was too long. */
  | { kind: 'ask'; reply: Reply; answer: (line: Buffer | null) => Step | Promise<Step> }
  /** What follows are no commands; null: nothing is said before. */
  | { kind: 'take'; reply: Reply | null; intake: Intake }
  | { kind: 'start-tls'; reply: Reply }
  | { kind: 'end'; reply: Reply };

export function newConversation(
  ports: SessionPorts,
  id: SessionId,
  remote: string,
  secure: boolean,
  gone: AbortSignal,
): Conversation {
  return {
    ports,
    id,
    remote,
    gone,
    secure,
    greeted: 'no',
    helo: '',
    origin: null,
    authFailures: 0,
    forwarded: new Map(),
    forwardedWithMail: false,
    upstream: null,
    upstreamOpen: false,
    transaction: null,
    chunks: null,
    untilEnd: [],
  };
}
