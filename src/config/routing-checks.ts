import type { CrossProblem } from './cross-checks.ts';
import { isLoopback } from './loopback.ts';
import { names } from './name-checks.ts';
import type { Sections } from './schema.ts';

/** What is wrong with where the queue takes mail. */

type Queue = NonNullable<Sections['queue']>;
type Server = Omit<NonNullable<Queue['server']>, 'connections'>;

export function routingChecks({ server, routes, mx }: Queue): CrossProblem[] {
  const path = ['queue', 'routes'];
  const catchesAll = routes.findIndex(({ domains }) => domains.includes('*'));
  const problems: CrossProblem[] = names('queue.routes', routes).map((problem) => problem);
  if (server === null && catchesAll === -1) {
    const text = 'without it a route for every domain is needed: domains: ["*"]';
    problems.push({ path: ['queue', 'server'], severity: 'error', text });
  }
  for (const [i, { name, via }] of routes.entries()) {
    if (catchesAll !== -1 && i > catchesAll) {
      const text = 'an earlier route has every domain: nothing ever goes this way';
      problems.push({ path: [...path, i, 'domains'], severity: 'warning', text });
    }
    if (name === 'server') {
      const text = 'this name is that of the section server: choose another one';
      problems.push({ path: [...path, i, 'name'], severity: 'error', text });
    }
    if (via.kind === 'server') problems.push(...deliveryServerChecks(via, [...path, i, 'via']));
  }
  const beyond = mx.resolvers.find(({ host }) => !isLoopback(host));
  if (beyond !== undefined && !mx.trustNetwork && routes.some(({ via }) => via.kind === 'mx')) {
    const text = `the resolver ${beyond.name} is not on this machine: whoever can change what it says on the way can lead mail elsewhere. Use one that is, or say trustNetwork: true`;
    problems.push({ path: ['queue', 'mx', 'resolvers'], severity: 'error', text });
  }
  return problems;
}

/**
 * Mail that a listener opens and the queue delivers has routes of its own: the one for everybody, or the server, may lead to strangers, who
 * would get in clear what was encrypted to somebody.
 */
export function ownDomainsChecks({ routes }: Queue, relay: Sections['relay']): CrossProblem[] {
  return relay.flatMap(({ direction, delivery, domains }, i) => {
    if (direction !== 'inbound' || delivery === 'live') return [];
    const astray = (domains ?? []).filter((domain) => {
      const first = routes.find((route) => route.domains.some((pattern) => covers(pattern, domain)));
      return (
        first === undefined || !first.domains.some((pattern) => pattern !== '*' && covers(pattern, domain))
      );
    });
    if (astray.length === 0) return [];
    const text = `what arrives is delivered opened, so it needs a route in queue.routes that names ${astray.join(', ')}, before any for "*"`;
    return [{ path: ['relay', i, 'delivery'], severity: 'error' as const, text }];
  });
}

/** Whether a pattern of a route has all that one of a listener has. */
function covers(pattern: string, domain: string): boolean {
  return (
    pattern === '*' || pattern === domain || (pattern.startsWith('*.') && domain.endsWith(pattern.slice(1)))
  );
}

export function deliveryServerChecks(
  { host, tls, allowPlaintext, login, password, ca, serverName, authentication }: Server,
  path: readonly PropertyKey[],
): CrossProblem[] {
  const problems: CrossProblem[] = [];
  const error = (key: string, text: string) =>
    problems.push({ path: [...path, key], severity: 'error', text });
  if (tls === 'none' && !allowPlaintext && !isLoopback(host)) {
    error(
      'tls',
      'without TLS passwords and mail can be read on the way: say starttls or implicit, or allowPlaintext: true',
    );
  }
  if (login !== null && password === null) error('login', 'a login needs its password');
  if (login === null && password !== null) error('password', 'a password needs its login');
  if (authentication !== null && (login !== null || password !== null)) {
    error('authentication', 'login and password already say how the gateway logs in: write one of the two');
  }
  if (authentication?.kind === 'certificate' && tls === 'none') {
    error('authentication', 'a certificate is shown with TLS only');
  }
  for (const [key, value] of Object.entries({ ca, serverName })) {
    if (tls === 'none' && value !== null) error(key, 'this says something only with TLS');
  }
  return problems;
}
