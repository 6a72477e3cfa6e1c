import type { Config } from '../config/load.ts';
import { AddressRanges } from '../connections/address-range.ts';
import { sourceOf } from '../hsm/key-reference.ts';
import type { ReadingSettings } from '../reading/reading-settings.ts';

/** How decrypted mail is shown, as the configuration says. */
export function readingSettings(config: Config['reading']): ReadingSettings {
  const { shell, padding, profiles, backlog, unauthenticated, protectedHeaders } = config;
  const { clearSignedStatus, foreign } = config;
  return {
    form: { shell, padding },
    profiles: profiles.map(({ logins, clients, networks, ...form }) => ({
      ...{ logins, clients, form },
      networks: networks === null ? null : new AddressRanges(networks),
    })),
    backlog: backlog === 'all' ? null : backlog,
    policy: { unauthenticated, protectedHeaders },
    ...{ clearSignedStatus, foreign },
  };
}

/**
 * Logins with keys that open mail, by the configuration alone: a card that is out, or that was never seen, is a key that is away
 * and not one that is absent.
 */
export function loginsThatRead(
  principals: readonly { login: string; keys: readonly string[] }[],
  sources: Config['keys'],
): ReadonlySet<string> {
  const opening = new Set(sources.filter(({ use }) => use !== 'sign').map(({ name }) => name));
  const reading = principals.filter(({ keys }) => keys.some((key) => opening.has(sourceOf(key))));
  return new Set(reading.map(({ login }) => login));
}
