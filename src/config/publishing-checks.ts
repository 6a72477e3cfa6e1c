import { parseMailbox } from '../pki/mailbox.ts';
import type { CrossProblem } from './cross-checks.ts';
import { isLoopback } from './loopback.ts';
import type { Sections } from './schema.ts';

/** What is wrong in the section `publishing`, and between it and the others. */
export function publishingChecks(config: Partial<Sections>): CrossProblem[] {
  const { publishing, principals } = config;
  if (publishing === undefined) return [];
  const problems: CrossProblem[] = [];
  for (const [
    i,
    { host, tls, allowPlaintext, unlimitedNetworks, peoplePerHour, maxResults },
  ] of publishing.ldap.entries()) {
    const problem = (key: string, severity: CrossProblem['severity'], text: string) =>
      problems.push({ path: ['publishing', 'ldap', i, key], severity, text });
    if (tls === 'none' && !allowPlaintext && !isLoopback(host)) {
      problem(
        'tls',
        'error',
        'without TLS a certificate can be exchanged for another one on the way: choose starttls or implicit, listen on 127.0.0.1 only, or say allowPlaintext: true',
      );
    }
    if (peoplePerHour < maxResults) {
      problem('peoplePerHour', 'error', 'this is less than one search may find (maxResults)');
    }
    if (unlimitedNetworks.some((network) => network.endsWith('/0'))) {
      problem(
        'unlimitedNetworks',
        'warning',
        'everybody is in this network: nobody is kept from asking for all people',
      );
    }
  }
  const owned = new Set(
    (principals?.list ?? []).flatMap(({ addresses, login }) => [...addresses, login].map(canonical)),
  );
  for (const [i, address] of publishing.withheld.entries()) {
    if (principals === undefined || owned.has(canonical(address))) continue;
    const text = 'no login of principals.list has this address, so it would not be published anyway';
    problems.push({ path: ['publishing', 'withheld', i], severity: 'warning', text });
  }
  return problems;
}

function canonical(address: string): string {
  const mailbox = parseMailbox(address);
  return mailbox === null ? address : `${mailbox.localPart}@${mailbox.domain}`;
}
