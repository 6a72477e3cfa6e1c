import type { Socket } from 'node:net';
import type { SecureContext } from 'node:tls';
import { AddressRanges } from '../../connections/address-range.ts';
import type { ClientConnection } from '../../connections/client-connection.ts';
import { secured } from '../../connections/handshake.ts';
import { listen } from '../../connections/listen.ts';
import { SealgateError } from '../../errors.ts';
import { newSessionId, type SessionId } from '../../ids.ts';
import { limits } from '../../limits.ts';
import type { Log } from '../../log/log.ts';
import type { PublishedPeople } from '../published-people.ts';
import { Conversation, lastWords } from './conversation.ts';
import { type Allowance, GivenEntries, UNBOUNDED } from './given-entries.ts';
import { Incoming } from './incoming.ts';
import { readRequest } from './request.ts';
import { PublishedSearch, type SearchAnswer, type SearchSettings } from './search.ts';

export type LdapListenerOptions = SearchSettings & {
  /** Name in the configuration; for log lines and errors. */
  name: string;
  host: string;
  /** 0: the system chooses. */
  port: number;
  tls: 'implicit' | 'starttls' | 'none';
  /** Needed unless `tls` is `none`. */
  secureContext?: SecureContext;
  /** With `starttls`: people are told of without it as well. */
  allowPlaintext: boolean;
  /** Names that one client may try, or people that it may be told of, in an hour. */
  entriesPerHour: number;
  maxConnections: number;
  maxConnectionsPerAddress: number;
  /** Clients that nothing bounds by their address. */
  unlimitedNetworks: readonly string[];
  proxyProtocolFrom: readonly string[];
  people: PublishedPeople;
  log: Log;
  /** Silence of a client, milliseconds; default: limits.publishing. */
  silenceMs?: number;
};

export type LdapListener = { port: number; close(): Promise<void> };

/**
 * An LDAP server that only answers searches. Resolves when connections are taken.
 * Throws SealgateError `listener.no-certificate` and what `listen` throws.
 */
export async function startLdapListener(options: LdapListenerOptions): Promise<LdapListener> {
  const { name, host, port, log, maxConnections, maxConnectionsPerAddress, people } = options;
  const { unlimitedNetworks, proxyProtocolFrom } = options;
  if (options.tls !== 'none' && options.secureContext === undefined) throw noCertificate(name);
  const shared: Shared = {
    options,
    search: new PublishedSearch(people, options),
    given: new GivenEntries(options.entriesPerHour),
    unlimited: new AddressRanges(unlimitedNetworks),
  };
  const listening = await listen({
    ...{ name, host, port, log, maxConnections, maxConnectionsPerAddress },
    ...{ unlimitedNetworks, proxyProtocolFrom },
    serve: (client) => serve(shared, client),
  });
  return {
    port: listening.port,
    async close() {
      const stopped = listening.stop();
      listening.destroy();
      await stopped;
    },
  };
}

type Shared = {
  options: LdapListenerOptions;
  search: PublishedSearch;
  given: GivenEntries;
  unlimited: AddressRanges;
};

/** Serves one connection to its end. Never throws. */
async function serve(shared: Shared, client: ClientConnection): Promise<void> {
  const { log, name: listener } = shared.options;
  const session = newSessionId();
  const remote = client.remote.address;
  log.write({ event: 'ldap.connected', level: 'debug', session, remote, listener });
  let cause: string;
  try {
    cause = await converse(shared, client, session);
  } catch (error) {
    if (error instanceof SealgateError) cause = error.reason ?? error.code;
    else {
      cause = 'defect';
      log.write({ event: 'gateway.defect', level: 'error', where: `ldap ${listener}`, error: String(error) });
    }
  }
  client.socket.destroy();
  log.write({ event: 'ldap.closed', level: 'debug', session, cause });
}

/** @returns why it has ended */
async function converse(shared: Shared, client: ClientConnection, session: SessionId): Promise<string> {
  const { options } = shared;
  let socket = options.tls === 'implicit' ? await overTls(options, client) : client.socket;
  const conversation = new Conversation({
    tls: { implicit: 'on', starttls: 'offered', none: 'none' }[options.tls] as 'on' | 'offered' | 'none',
    plainSearch: options.tls === 'none' || options.allowPlaintext,
    vendor: 'Sealgate',
    search: (request, facts) =>
      counted(shared, client, session, (allowed) => shared.search.answer(request, facts, allowed)),
  });
  const silenceMs = options.silenceMs ?? limits.publishing.silenceMs;
  let incoming = new Incoming(socket);
  for (;;) {
    const message = await orLastWords(socket, () => incoming.next(silenceMs));
    if (message === null) return 'the client has gone, or said nothing for long';
    const request = await orLastWords(socket, async () => readRequest(message));
    const { octets, next } = await conversation.answer(request);
    if (next === 'close') {
      socket.end();
      return 'unbind';
    }
    // RFC 4511 §4.14.1: what follows in the clear would be taken for what is said under TLS.
    if (next === 'start-tls' && !incoming.isEmpty) {
      await write(socket, [lastWords('Nothing may follow StartTLS before its answer.')]);
      return 'octets behind StartTLS';
    }
    await write(socket, octets);
    if (next === 'start-tls') {
      socket = await overTls(options, client);
      incoming = new Incoming(socket);
      conversation.secured();
    }
  }
}

/** What a client asks for is counted by its address, where it is bounded by that. */
async function counted(
  { given, unlimited, options: { log, name: listener } }: Shared,
  { remote: { address } }: ClientConnection,
  session: SessionId,
  work: (allowed: Allowance) => Promise<SearchAnswer>,
): Promise<SearchAnswer> {
  if (unlimited.has(address)) return await work(UNBOUNDED);
  const answer = await work(given.of(address));
  if (answer.result.code === 'busy' && given.isNews(address)) {
    log.write({ event: 'ldap.asks-for-many', level: 'warn', session, remote: address, listener });
  }
  return answer;
}

async function orLastWords<T>(socket: Socket, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof SealgateError) await write(socket, [lastWords(error.publicText)]);
    throw error;
  }
}

/** Ends the connection of a client that does not take what it has asked for. Never rejects. */
function write(socket: Socket, pieces: readonly Buffer[]): Promise<void> {
  return new Promise((resolve) => {
    if (pieces.length === 0 || socket.destroyed) return resolve();
    const late = setTimeout(() => socket.destroy(), limits.publishing.writeMs);
    const settle = (): void => {
      clearTimeout(late);
      socket.off('close', settle);
      resolve();
    };
    socket.once('close', settle);
    socket.write(Buffer.concat(pieces), settle);
  });
}

function overTls(
  { secureContext, name }: LdapListenerOptions,
  { guard, socket }: ClientConnection,
): Promise<Socket> {
  if (secureContext === undefined) throw noCertificate(name);
  return guard.handshake(() => secured(socket, secureContext, limits.connections.handshakeTimeoutMs));
}

function noCertificate(name: string): SealgateError {
  return new SealgateError({
    code: 'listener.no-certificate',
    publicText: `The listener "${name}" offers TLS but has no certificate. Name a certificate and its key.`,
    duration: 'permanent',
  });
}
