import type { CrossProblem } from './cross-checks.ts';
import type { Sections } from './schema.ts';

type Place = {
  path: readonly PropertyKey[];
  listener: { name: string; host: string; port: number; tls: string };
};

/** Of all listeners, whatever they speak: each has a name and a port of its own, and those with TLS have what they need for it. */
export function listenerPlaces(config: Partial<Sections>): CrossProblem[] {
  const problems: CrossProblem[] = [];
  const all: Place[] = [
    ...placesIn(['submission'], config.submission),
    ...placesIn(['relay'], config.relay),
    ...placesIn(['imap'], config.imap),
    ...placesIn(['pop3'], config.pop3),
    ...placesIn(['publishing', 'ldap'], config.publishing?.ldap),
    ...placesIn(['http'], config.http),
  ];
  for (const [index, { path, listener }] of all.entries()) {
    for (const { path: earlierPath, listener: earlier } of all.slice(0, index)) {
      const place = `${earlierPath.slice(0, -1).map(String).join('.')}[${String(earlierPath.at(-1))}]`;
      const problem = (key: 'name' | 'port', text: string) =>
        problems.push({ path: [...path, key], severity: 'error', text: `${place} ${text}` });
      if (earlier.name === listener.name)
        problem('name', 'has this name already: every listener has its own');
      if (listener.port !== 0 && earlier.port === listener.port && hostsMeet(earlier.host, listener.host)) {
        problem('port', 'listens on this port already');
      }
    }
    if (listener.tls !== 'none' && config.tls === null) {
      const text = 'this needs a certificate: add tls: { certificate, key } at the top of the file';
      problems.push({ path: [...path, 'tls'], severity: 'error', text });
    }
  }
  return problems;
}

function placesIn(section: readonly PropertyKey[], listeners: readonly Place['listener'][] = []): Place[] {
  return listeners.map((listener, index) => ({ path: [...section, index], listener }));
}

function hostsMeet(one: string, other: string): boolean {
  const wildcard = (host: string) => host === '0.0.0.0' || host === '::';
  return one.toLowerCase() === other.toLowerCase() || wildcard(one) || wildcard(other);
}
