import type { Config } from '../config/load.ts';
import { canonicalAddress } from '../hsm/canonical-address.ts';
import type { KeySources } from '../hsm/key-sources.ts';
import { LoginCertificates } from '../hsm/own-certificates.ts';
import type { RevocationStanding } from '../pipeline/ports.ts';
import { startLdapListener } from '../publishing/ldap/listener.ts';
import { PublishedPeople, type PublishingScope } from '../publishing/published-people.ts';
import type { Opening } from './opening.ts';
import type { Listening } from './ports.ts';

/** What there is to publish, as of now. */
export function publishedPeople(
  { config, clock }: Pick<Opening, 'config' | 'clock'>,
  { keys, standing }: { keys: KeySources; standing: RevocationStanding },
): PublishedPeople {
  const { list: principals, loginIsAddress } = config.principals;
  return new PublishedPeople({
    own: new LoginCertificates({ principals, loginIsAddress, keys }),
    scope: publishingScope(config.publishing),
    ...{ clock, standing, postQuantum: config.smime.postQuantum },
  });
}

export function publishingScope({ domains, withheld }: Config['publishing']): PublishingScope {
  return { domains, withheld: withheld.flatMap((address) => canonicalAddress(address) ?? []) };
}

/** LDAP clients are taken from here on. */
export async function startLdapListeners(
  { config, log, opened }: Opening,
  people: PublishedPeople,
  { ports, tls }: Listening,
): Promise<void> {
  for (const { find, letters, peoplePerHour: entriesPerHour, ...listener } of config.publishing.ldap) {
    const started = await startLdapListener({
      ...{ ...listener, log, people, entriesPerHour },
      naming: { letters: find === 'by-address' ? null : letters },
      ...(tls === null ? {} : { secureContext: tls.context(false) }),
    });
    ports.add(listener, opened.keep(started).port);
  }
}
