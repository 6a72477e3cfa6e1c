import type { CrossProblem } from './cross-checks.ts';
import { isLoopback } from './loopback.ts';
import type { Sections } from './schema.ts';

type Source = Sections['directory']['sources'][number];
type LdapPlace = Sections['directory']['groupSources'][number];

/** What is wrong in those who are asked: names that are there twice, and ways to them on which somebody could change what they say. */
export function sourceChecks({ directory }: Partial<Sections>): CrossProblem[] {
  const { sources = [], groupSources = [] } = directory ?? {};
  const places = [
    ...sources.map(({ name }, index) => ({ name, list: 'sources', index })),
    ...groupSources.map(({ name }, index) => ({ name, list: 'groupSources', index })),
  ];
  const twice = places.flatMap(({ name, list, index }, i): CrossProblem[] => {
    const earlier = places.slice(0, i).find((other) => other.name === name);
    if (earlier === undefined) return [];
    const text = `directory.${earlier.list}[${earlier.index}] has this name already`;
    return [{ path: ['directory', list, index, 'name'], severity: 'error', text }];
  });
  return [
    ...twice,
    ...sources.flatMap((source, index) => wayChecks(source, ['directory', 'sources', index])),
    ...groupSources.flatMap((source, index) => ldapChecks(source, ['directory', 'groupSources', index])),
  ];
}

function wayChecks(source: Source, path: readonly PropertyKey[]): CrossProblem[] {
  if (source.kind === 'ldap') return ldapChecks(source, path);
  if (source.kind === 'smimea') {
    const beyond = source.resolvers.find(({ host }) => !isLoopback(host));
    if (beyond === undefined || source.trustNetwork) return [];
    const text = `what ${beyond.host} says of DNSSEC can be changed on the way to this machine: name a resolver on 127.0.0.1, or say trustNetwork: true`;
    return [error(path, 'resolvers', text)];
  }
  const { url, ca, allowPlaintext } = source;
  if (url.protocol === 'https:') return [];
  const isOpen = !allowPlaintext && !isLoopback(url.hostname.replace(/^\[|\]$/g, ''));
  const text =
    'without TLS certificates can be changed on the way: use https://, or say allowPlaintext: true';
  return [
    ...(isOpen ? [error(path, 'url', text)] : []),
    ...(ca === null ? [] : [error(path, 'ca', WITHOUT_TLS)]),
  ];
}

function ldapChecks(
  {
    servers,
    allowPlaintext,
    ca,
    serverName,
  }: Pick<LdapPlace, 'servers' | 'allowPlaintext' | 'ca' | 'serverName'>,
  path: readonly PropertyKey[],
): CrossProblem[] {
  const plain = servers.find(({ tls, host }) => tls === 'none' && !isLoopback(host));
  const problems: CrossProblem[] = [];
  if (plain !== undefined && !allowPlaintext) {
    const text = `without TLS to ${plain.host} the password can be read on the way, and what it says can be changed: leave startTls: false out, use ldaps://, or say allowPlaintext: true`;
    problems.push(error(path, 'startTls', text));
  }
  for (const [key, value] of Object.entries({ ca, serverName })) {
    if (value !== null && servers.every(({ tls }) => tls === 'none'))
      problems.push(error(path, key, WITHOUT_TLS));
  }
  return problems;
}

const WITHOUT_TLS = 'this says something only with TLS';

function error(path: readonly PropertyKey[], key: string, text: string): CrossProblem {
  return { path: [...path, key], severity: 'error', text };
}
