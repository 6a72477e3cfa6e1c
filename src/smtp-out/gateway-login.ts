import type { Secret } from '../log/secret.ts';
import type { Credentials } from '../sasl/credentials.ts';
import { upstreamMechanism } from '../sasl/mechanism.ts';
import { summary } from '../smtp/reply.ts';
import { authenticate } from './auth.ts';
import type { Upstream } from './client.ts';

/** How the gateway itself logs in to a mail server. */
export type GatewayLogin =
  /** The password is one character an octet, as credentials carry it. */
  { kind: 'password'; name: string; password: Secret };

/** null: the server has accepted the login. Else why not, for people. */
export async function logInTo(upstream: Upstream, login: GatewayLogin): Promise<string | null> {
  const credentials: Credentials = {
    ...{ kind: 'password', mechanism: 'PLAIN', login: login.name, secret: login.password },
  };
  if (upstreamMechanism('PLAIN', upstream.extensions.get('AUTH') ?? []) === null) {
    return 'the mail server offers no login by password';
  }
  const outcome = await authenticate(upstream, credentials);
  switch (outcome.kind) {
    case 'accepted':
      return null;
    case 'lost':
      return `the mail server was lost: ${outcome.reason}`;
    case 'rejected':
    case 'challenge':
      return `the mail server refused the gateway's login: ${summary(outcome.reply)}`;
  }
}
