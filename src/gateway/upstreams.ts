import type { Config } from '../config/load.ts';
import { type MailServer, type MailServerOptions, prepareMailServer } from '../connections/mail-server.ts';
import { SealgateError } from '../errors.ts';
import { connectUpstream as connectImap } from '../imap-proxy/upstream-connection.ts';
import type { Log } from '../log/log.ts';
import { connectUpstream as connectPop3 } from '../pop3-proxy/upstream-connection.ts';
import { DEFAULT_ROUTE } from '../routing/routes.ts';
import { connectAsGateway } from '../smtp-out/pool.ts';
import { gatewayLogin, outgoingServerOptions } from './outgoing-server.ts';
import { serverOfRoute, serversOf } from './routing.ts';

/** A listener of any kind that has a mail server behind it. */
export type ProxyListener =
  | Config['imap'][number]
  | Config['pop3'][number]
  | Config['submission'][number]
  | Config['relay'][number];

/** The mail server behind a listener, as connections are made to it. */
export function mailServerOf({ upstream }: ProxyListener): MailServerOptions {
  const { host, port, tls, allowPlaintext, ca, serverName, proxyProtocol, tellClientAddress } = upstream;
  return {
    ...{ host, port, tls, allowPlaintext, proxyProtocol, tellClientAddress },
    ...(ca === null ? {} : { caFile: ca }),
    ...(serverName === null ? {} : { serverName }),
    ...('protocol' in upstream ? outgoingServerOptions(upstream) : {}),
  };
}

/**
 * Calls every upstream once, as a session would, and hangs up.
 *
 * @throws SealgateError `upstream.check-failed` with the listener, the server and what to do.
 */
export async function checkUpstreams(config: Config): Promise<void> {
  await Promise.all([
    ...[...config.submission, ...config.relay].map((listener) =>
      checked(listener, async (server) => {
        const { upstream } = listener;
        const login = 'authentication' in upstream ? await gatewayLogin(upstream, () => new Date()) : null;
        const client = await connectAsGateway(server, config.hostname, login);
        client.quit();
      }),
    ),
    ...config.imap.map((listener) =>
      checked(listener, async (server) => {
        const { wire } = await connectImap(server, null, new AbortController().signal);
        wire.destroy();
      }),
    ),
    ...config.pop3.map((listener) =>
      checked(listener, async (server) => {
        const { replies } = await connectPop3(server, null, new AbortController().signal);
        replies.leg.write('QUIT\r\n');
        replies.leg.end();
      }),
    ),
  ]);
}

/**
 * Calls each server of the queue once, and writes of those that cannot be used into the log. That is no reason not to start: mail for
 * them waits in the queue, and somebody else's server that is away must not keep the mail of all others. Never rejects.
 */
export async function tellServersOfQueue(
  { queue, hostname }: Pick<Config, 'queue' | 'hostname'>,
  log: Log,
): Promise<void> {
  if (queue === null) return;
  await Promise.all(
    Array.from(serversOf(queue), async ([route, settings]) => {
      const place = route === DEFAULT_ROUTE ? 'queue.server' : `queue.routes, ${route}`;
      try {
        const { server, login } = await serverOfRoute(settings, () => new Date());
        (await connectAsGateway(server, hostname, login)).quit();
      } catch (error) {
        const reason = error instanceof SealgateError ? (error.reason ?? error.publicText) : String(error);
        log.write({ event: 'queue.server-unusable', level: 'warn', place, reason });
      }
    }),
  );
}

async function checked(listener: ProxyListener, call: (server: MailServer) => Promise<void>): Promise<void> {
  const {
    name,
    upstream: { host, port, tls },
  } = listener;
  try {
    await call(await prepareMailServer(mailServerOf(listener)));
  } catch (cause) {
    if (!(cause instanceof SealgateError)) throw cause;
    throw new SealgateError({
      code: 'upstream.check-failed',
      duration: 'permanent',
      publicText: `The mail server ${host}:${port} behind the listener "${name}" cannot be used (${cause.reason ?? cause.publicText}). Check upstream.host, port and tls: ${tls} in the configuration, or start with --no-upstream-check.`,
      cause,
    });
  }
}
