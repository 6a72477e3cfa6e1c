import type { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContext } from 'node:tls';
import { SealgateError } from '../errors.ts';
import type { ProxyVersion } from './write-proxy-header.ts';

/** How a server shows who it is, on one connection. */
export type Verification =
  /** By a certificate for this name, from one of the authorities (RFC 9525). */
  | { kind: 'ca'; serverName: string }
  /**
   * By its TLSA records alone (RFC 7672). `serverName` is asked for (SNI) and not checked; `check` gets the certificates that the
   * server has shown, its own first and each one's issuer behind it, and gives null, or why it is not the server. It never throws.
   */
  | {
      kind: 'dane';
      serverName: string;
      check: (chain: readonly X509Certificate[]) => string | null;
    }
  /** Not at all: whoever answers gets the mail, out of others' sight. Such a connection does not count as secure. */
  | { kind: 'none'; serverName: string };

/** The mail server behind a listener, of whatever protocol. */
export type MailServerOptions = {
  host: string;
  port: number;
  /** `if-offered`: STARTTLS where the server has it, else none (RFC 7435); what must leave by TLS does not go by it then. */
  tls: 'implicit' | 'starttls' | 'if-offered' | 'none';
  /** How the server shows who it is. Absent: `ca`, with `serverName` or `host`. */
  verification?: Verification;
  /** LMTP (RFC 2033) in the place of SMTP; absent: `smtp`. */
  protocol?: 'smtp' | 'lmtp';
  /** PEM file with the only authorities that count for this server; else the system's. */
  caFile?: string;
  /** PEM files of what is shown to a server that asks for a certificate. */
  clientCertificate?: { certificateFile: string; keyFile: string };
  /** Name that the certificate must carry, where it is not `host`. */
  serverName?: string;
  /** Says in a PROXY header whose connection it is. */
  proxyProtocol?: 'none' | ProxyVersion;
  /** Tells the client's address in the protocol itself, to a server that trusts the gateway with that. */
  tellClientAddress?: boolean;
  /** `none` to another machine: for evaluation only, passwords go in the clear. */
  allowPlaintext?: boolean;
};

/** Options that have been checked, with what is read or built once. */
export type MailServer = {
  readonly options: MailServerOptions;
  /** `host:port`; for logs, and not for clients. */
  readonly name: string;
  /** One for all connections: each takes 27 KB. null: without TLS. */
  readonly context: SecureContext | null;
};

/** How a server shows who it is, where its options leave it open. */
export function verificationOf({ verification, serverName, host }: MailServerOptions): Verification {
  return verification ?? { kind: 'ca', serverName: serverName ?? host };
}

/** Throws SealgateError `upstream.ca-file`, `upstream.client-certificate` (permanent). */
export async function prepareMailServer(options: MailServerOptions): Promise<MailServer> {
  const name = `${options.host.includes(':') ? `[${options.host}]` : options.host}:${options.port}`;
  if (options.tls === 'none') return { options, name, context: null };
  const { caFile, clientCertificate } = options;
  if (caFile === undefined && clientCertificate === undefined) {
    // One for all: it is asked for with each server of each domain that mail goes to.
    systemContext ??= createSecureContext(TLS);
    return { options, name, context: systemContext };
  }
  const ca = caFile === undefined ? {} : { ca: await readAuthorities(caFile, name) };
  const shown = clientCertificate === undefined ? {} : await readClientCertificate(clientCertificate, name);
  return { options, name, context: createSecureContext({ ...TLS, ...ca, ...shown }) };
}

const TLS = { minVersion: 'TLSv1.2' } as const;
let systemContext: SecureContext | null = null;

/** Of a PEM file; `name` is the server that they are for. Throws SealgateError `upstream.ca-file` (permanent). */
export async function readAuthorities(file: string, name: string): Promise<Buffer> {
  try {
    const ca = await readFile(file);
    if (!ca.includes('-----BEGIN CERTIFICATE-----')) throw new Error('no certificate in PEM form');
    createSecureContext({ ca });
    return ca;
  } catch (cause) {
    throw new SealgateError({
      code: 'upstream.ca-file',
      publicText: `The file ${file} with the authorities for ${name} cannot be used; give a readable PEM file.`,
      duration: 'permanent',
      reason: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
}

async function readClientCertificate(
  { certificateFile, keyFile }: NonNullable<MailServerOptions['clientCertificate']>,
  name: string,
): Promise<{ cert: Buffer; key: Buffer }> {
  try {
    const shown = { cert: await readFile(certificateFile), key: await readFile(keyFile) };
    createSecureContext(shown);
    return shown;
  } catch (cause) {
    throw new SealgateError({
      code: 'upstream.client-certificate',
      publicText: `The certificate ${certificateFile} and the key ${keyFile} for ${name} cannot be used; give readable PEM files that belong to each other.`,
      duration: 'permanent',
      reason: cause instanceof Error ? cause.message : String(cause),
      cause,
    });
  }
}

/** Why a mail server is not used. */
export type MailServerFailure =
  | 'upstream.unreachable'
  | 'upstream.tls'
  | 'upstream.plaintext'
  | 'upstream.refused';

const TEXTS: Readonly<Record<MailServerFailure, string>> = {
  'upstream.unreachable': 'The mail server cannot be reached',
  'upstream.tls': 'The mail server could not be reached securely',
  'upstream.plaintext': 'The mail server may only be used with TLS',
  'upstream.refused': 'The mail server does not accept connections at the moment',
};

/** An error (temporary) whose text may be shown to anybody: the server's name and the reason are for the log only. */
export function mailServerFailure(
  code: MailServerFailure,
  { name }: MailServer,
  reason: string,
  cause?: unknown,
): SealgateError {
  return new SealgateError({
    code,
    publicText: `${TEXTS[code]}; try again later or tell your administrator.`,
    duration: 'temporary',
    reason: `${name}: ${reason}`,
    cause,
  });
}
