import { once } from 'node:events';
import {
  SMTPServer,
  type SMTPServerDataStream,
  type SMTPServerEnvelope,
  type SMTPServerError,
} from 'smtp-server';
import { limits } from '../limits.ts';
import type { DovecotUser } from './dovecot.ts';
import { deliverByLmtp, type LmtpOutcome } from './lmtp-delivery.ts';

/**
 * A small submission server for evaluation and tests: checks AUTH, takes mail for the users it knows, hands it to LMTP
 * and keeps what came in, octet for octet, so that one can look at what the wire carried.
 */
export type SmtpUpstream = {
  readonly port: number;
  /** Every message taken, oldest first; the last `KEPT` of them. */
  readonly received: readonly ReceivedMail[];
  stop(): Promise<void>;
};

export type ReceivedMail = {
  envelope: ReceivedEnvelope;
  /** The message as sent, with dot-stuffing undone. */
  octets: Buffer;
};

export type ReceivedEnvelope = {
  login: string | null;
  reversePath: string;
  recipients: string[];
  body: '7bit' | '8bitmime' | null;
  smtpUtf8: boolean;
  ret: string | null;
  envid: string | null;
  /** NOTIFY of RFC 3461 for each recipient, in the recipients' order. */
  notify: (string[] | null)[];
  /** Whether the connection was encrypted when the mail came. */
  tls: boolean;
};

export type SmtpUpstreamOptions = {
  users: readonly DovecotUser[];
  /** Where to deliver; null keeps the mail in `received` only. */
  lmtpPort: number | null;
  /** PEM. With it STARTTLS is offered and AUTH is taken only after it; without it AUTH is taken in the clear. */
  tls?: { cert: string; key: string };
  /** TLS from the first octet (RFC 8314 §3.3) instead of STARTTLS; needs `tls`. */
  implicitTls?: boolean;
  /** XOAUTH2 is offered when given: the token that each login must show. */
  bearerTokens?: ReadonlyMap<string, string>;
  /** Addresses taken besides the users' logins; a domain is written `@example.test`. */
  alsoTake?: readonly string[];
  port?: number;
};

const KEPT = 100;

export async function startSmtpUpstream(options: SmtpUpstreamOptions): Promise<SmtpUpstream> {
  const received: ReceivedMail[] = [];
  const passwords = new Map(options.users.map(({ login, password }) => [login.toLowerCase(), password]));
  const taken = new Set([...passwords.keys(), ...(options.alsoTake ?? []).map((a) => a.toLowerCase())]);
  const server = new SMTPServer({
    ...(options.tls === undefined
      ? {}
      : { cert: options.tls.cert, key: options.tls.key, minVersion: 'TLSv1.2' }),
    secure: options.implicitTls ?? false,
    disabledCommands: options.tls === undefined ? ['STARTTLS'] : [],
    authMethods: options.bearerTokens === undefined ? ['PLAIN', 'LOGIN'] : ['PLAIN', 'LOGIN', 'XOAUTH2'],
    name: 'upstream.localhost',
    size: limits.messageOctets,
    rejectOversized: true,
    hideDSN: false,
    hideENHANCEDSTATUSCODES: false,
    disableReverseLookup: true,
    closeTimeout: 500,
    logger: false,
    onAuth(auth, _session, callback) {
      const login = auth.username?.toLowerCase() ?? '';
      const wanted = auth.method === 'XOAUTH2' ? options.bearerTokens?.get(login) : passwords.get(login);
      const shown = auth.method === 'XOAUTH2' ? auth.accessToken : auth.password;
      if (wanted !== undefined && shown === wanted) callback(null, { user: login });
      else callback(refusal(535, 'Error: authentication failed'));
    },
    onRcptTo({ address }, _session, callback) {
      const known = address.toLowerCase();
      const domain = known.slice(known.lastIndexOf('@'));
      if (taken.has(known) || taken.has(domain)) callback();
      else callback(refusal(550, 'Error: no such user here'));
    },
    onData(stream, session, callback) {
      const envelope = receivedEnvelope(session.envelope, session.user, session.secure);
      const finish = async (): Promise<string> => {
        const octets = await readAll(stream);
        received.push({ envelope, octets });
        if (received.length > KEPT) received.shift();
        return options.lmtpPort === null ? 'OK: kept' : await deliver(options.lmtpPort, envelope, octets);
      };
      finish().then(
        (text) => callback(null, text),
        (error: Error) => callback(isReply(error) ? error : refusal(451, `Error: ${error.message}`)),
      );
    },
  });
  // A client that breaks off is no failure of the server; without a listener it would end the process.
  server.on('error', () => undefined);
  const listening = server.listen(options.port ?? 0, '127.0.0.1');
  await once(listening, 'listening');
  const address = listening.address();
  if (address === null || typeof address === 'string') throw new Error('the upstream listens on no TCP port');
  return {
    port: address.port,
    received,
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

async function deliver(port: number, envelope: ReceivedEnvelope, octets: Buffer): Promise<string> {
  const outcomes = await deliverByLmtp(port, {
    reversePath: envelope.reversePath,
    recipients: envelope.recipients,
    octets,
    eightBit: envelope.body === '8bitmime',
    smtpUtf8: envelope.smtpUtf8,
  });
  const failed = outcomes.find(({ code }) => code >= 300);
  if (failed !== undefined) throw refusal(failed.code, failureText(failed));
  return `OK: delivered to ${outcomes.length}`;
}

function failureText({ recipient, text }: LmtpOutcome): string {
  return `Error: ${recipient}: ${text}`;
}

function receivedEnvelope(envelope: SMTPServerEnvelope, login: unknown, tls: boolean): ReceivedEnvelope {
  return {
    login: typeof login === 'string' ? login : null,
    reversePath: envelope.mailFrom === false ? '' : envelope.mailFrom.address,
    recipients: envelope.rcptTo.map(({ address }) => address),
    body: envelope.bodyType === '7bit' || envelope.bodyType === '8bitmime' ? envelope.bodyType : null,
    smtpUtf8: envelope.smtpUtf8 ?? false,
    ret: envelope.dsn?.ret ?? null,
    envid: envelope.dsn?.envid ?? null,
    notify: envelope.rcptTo.map(({ dsn }) => dsn?.notify ?? null),
    tls,
  };
}

async function readAll(stream: SMTPServerDataStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

function refusal(responseCode: number, text: string): SMTPServerError {
  return Object.assign(new Error(text), { responseCode });
}

function isReply(error: Error): boolean {
  return (error as SMTPServerError).responseCode !== undefined;
}
