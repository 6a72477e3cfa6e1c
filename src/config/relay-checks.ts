import type { CrossProblem } from './cross-checks.ts';
import { isLoopback } from './loopback.ts';
import type { Sections } from './schema.ts';

type Relay = Sections['relay'][number];

/** What is wrong with listeners for other servers. Whatever would make one an open relay is an error. */
export function relayChecks({ relay, principals }: Partial<Sections>): CrossProblem[] {
  return (relay ?? []).flatMap((listener, i) => {
    const error = (keys: readonly PropertyKey[], text: string): CrossProblem => ({
      ...{ path: ['relay', i, ...keys], severity: 'error', text },
    });
    return [
      ...transportProblems(listener, error),
      ...(listener.direction === 'inbound' ? inboundProblems : outboundProblems)(listener, error),
      ...fromProblems(listener, error),
      ...(listener.direction === 'outbound' && principals?.list.length === 0
        ? [
            {
              ...error(['direction'], 'principals.list is empty: all mail is of strangers'),
              severity: 'warning',
            } as const,
          ]
        : []),
    ];
  });
}

type Problem = (keys: readonly PropertyKey[], text: string) => CrossProblem;

function transportProblems(
  { tls, allowPlaintext, host, oldTls, upstream }: Relay,
  error: Problem,
): CrossProblem[] {
  if (upstream.tls === 'none' && upstream.authentication?.kind === 'certificate') {
    return [error(['upstream', 'authentication'], 'a certificate is shown with TLS only')];
  }
  if (tls === 'none' && oldTls) return [error(['oldTls'], 'this says something only with TLS')];
  if (tls !== 'none' || allowPlaintext || isLoopback(host)) return [];
  const text =
    'without TLS mail can be read on the way: choose starttls or implicit, listen on 127.0.0.1 only, or say allowPlaintext: true';
  return [error(['tls'], text)];
}

function inboundProblems(listener: Relay, error: Problem): CrossProblem[] {
  const { domains, strangers, nullSender } = listener;
  const problems: CrossProblem[] = [];
  if (domains === null) {
    problems.push(error([], 'an inbound listener takes mail for own domains only: name them under domains'));
  }
  for (const [j, pattern] of (domains ?? []).entries()) {
    if (pattern === '*') {
      problems.push(error(['domains', j], 'this would be an open relay: name the own domains'));
    } else if (pattern.startsWith('*.') && !pattern.slice(2).includes('.')) {
      const text = 'this would be nearly an open relay: all below a top-level domain is nobody’s own';
      problems.push(error(['domains', j], text));
    }
  }
  if (strangers !== 'refuse') problems.push(error(['strangers'], ONLY_OUTBOUND));
  if (nullSender !== 'pass') problems.push(error(['nullSender'], ONLY_OUTBOUND));
  return problems;
}

const ONLY_OUTBOUND = 'this says something only with direction: outbound';
const ONLY_INBOUND = 'this says something only with direction: inbound';

function outboundProblems({ domains, from, keyAway }: Relay, error: Problem): CrossProblem[] {
  const problems: CrossProblem[] = [];
  if (from === null) {
    const text =
      'this would be an open relay: an outbound listener takes mail from servers that are named under from: { networks, certificates }';
    problems.push(error([], text));
  }
  if (domains !== null) problems.push(error(['domains'], ONLY_INBOUND));
  if (keyAway !== 'defer') problems.push(error(['keyAway'], ONLY_INBOUND));
  return problems;
}

function fromProblems({ direction, from, tls, trustedProxies }: Relay, error: Problem): CrossProblem[] {
  const problems: CrossProblem[] = [];
  for (const [j, network] of trustedProxies.entries()) {
    if (isTooWide(network)) problems.push(error(['trustedProxies', j], TOO_WIDE));
  }
  if (from === null) return problems;
  const { networks, certificates } = from;
  if (networks.length + certificates.length === 0) {
    problems.push(error(['from'], 'nobody is named: give networks or certificates'));
  }
  for (const [j, network] of networks.entries()) {
    if (direction === 'outbound' && isTooWide(network)) {
      problems.push(error(['from', 'networks', j], TOO_WIDE));
    }
  }
  for (const [j, { fingerprint, ca, names }] of certificates.entries()) {
    const place = ['from', 'certificates', j];
    if (tls === 'none') problems.push(error(place, 'certificates are shown with TLS only'));
    if ((fingerprint === null) === (ca === null)) {
      problems.push(error(place, 'a certificate is named by fingerprint, or by ca and names'));
    }
    if (ca !== null && names === null) {
      const text = 'everybody with a certificate of this authority would be let in: add names';
      problems.push(error(place, text));
    }
    if (ca === null && names !== null) problems.push(error([...place, 'names'], 'this needs ca'));
    if (ca !== null && names?.includes('*') === true) {
      const text = 'everybody with a certificate of this authority would be let in: name the servers';
      problems.push(error([...place, 'names'], text));
    }
  }
  return problems;
}

const TOO_WIDE = 'this is so much of the Internet that it would be an open relay: name the servers';

/** Ranges of more than a /8 of IPv4, or a /16 of IPv6, are nobody's own network. */
function isTooWide(range: string): boolean {
  const [written = '', prefix] = range.split('/');
  const address = written.includes(':') ? usualSpelling(written) : written;
  if (prefix === undefined) return address === '0.0.0.0' || address === '::';
  if (!address.includes(':')) return Number(prefix) < 8;
  // RFC 4291 §2.5.5.2: all of IPv4 lies in ::ffff:0:0/96.
  const isMapped = address.startsWith('::ffff:');
  return Number(prefix) < (isMapped ? 104 : 16) || (address === '::' && Number(prefix) < 96);
}

/** RFC 5952: an IPv6 address has many spellings, and one of these. */
function usualSpelling(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}
