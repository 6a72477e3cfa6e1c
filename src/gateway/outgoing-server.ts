import { createSecureContext } from 'node:tls';
import type { Config } from '../config/load.ts';
import { type MailServerOptions, readAuthorities } from '../connections/mail-server.ts';
import { Secret } from '../log/secret.ts';
import type { Clock } from '../pipeline/ports.ts';
import { TokenSource } from '../smtp-out/access-token.ts';
import type { GatewayLogin } from '../smtp-out/gateway-login.ts';

/** A server that the gateway sends mail to, as the configuration has it: of the queue, of a route, behind a relay listener. */
export type OutgoingServer = Pick<
  NonNullable<NonNullable<Config['queue']>['server']>,
  'host' | 'port' | 'tls' | 'ca' | 'serverName' | 'allowPlaintext' | 'protocol' | 'authentication'
>;

/** As connections are made to it. */
export function outgoingServerOptions(server: OutgoingServer): MailServerOptions {
  const { host, port, tls, allowPlaintext, ca, serverName, protocol, authentication } = server;
  return {
    ...{ host, port, tls, allowPlaintext, protocol },
    ...(ca === null ? {} : { caFile: ca }),
    ...(serverName === null ? {} : { serverName }),
    ...(authentication?.kind === 'certificate'
      ? { clientCertificate: { certificateFile: authentication.certificate, keyFile: authentication.key } }
      : {}),
  };
}

/**
 * How the gateway logs in to it; null: it does not.
 *
 * @throws SealgateError `upstream.ca-file` (permanent) where the authorities for the token endpoint cannot be read
 */
export async function gatewayLogin(
  { authentication }: Pick<OutgoingServer, 'authentication'>,
  clock: Clock,
): Promise<GatewayLogin | null> {
  if (authentication === null) return null;
  switch (authentication.kind) {
    case 'password': {
      const { login, password } = authentication;
      return { kind: 'password', name: login, password: octetsOf(password) };
    }
    case 'oauth2': {
      const { login, tokenEndpoint: endpoint, clientId, clientSecret, scope, ca } = authentication;
      const tls =
        ca === null
          ? null
          : createSecureContext({ minVersion: 'TLSv1.2', ca: await readAuthorities(ca, endpoint.host) });
      const tokens = new TokenSource({ endpoint, clientId, clientSecret, scope, tls, clock });
      return { kind: 'oauth2', name: login, tokens };
    }
    case 'certificate':
      return { kind: 'certificate', name: authentication.login };
  }
}

/** One character an octet, as credentials carry it. */
function octetsOf(password: Secret): Secret {
  return new Secret(Buffer.from(password.reveal(), 'utf8').toString('latin1'));
}
