import type { Log } from '../../log/log.ts';
import { ldapTls } from '../ldap/connection.ts';
import { authorities } from '../remote/authorities.ts';
import { GroupSource, type GroupSourceSettings } from './group-source.ts';
import { LdapMemberships } from './memberships.ts';

/** `directory.groupSources` and `directory.lookup` of the configuration. */
export type MembershipSettings = {
  groupSources: readonly (Omit<GroupSourceSettings, 'tls' | 'timeoutMs' | 'keptMs'> & {
    ca: string | null;
    serverName: string | null;
    keptMinutes: number;
    timeoutSeconds: number;
  })[];
  lookup: { timeoutSeconds: number; failures: number; retrySeconds: number };
};

/**
 * Who is asked about groups; nothing is asked yet. null: nobody.
 *
 * @throws SealgateError `directory.source-ca` (permanent)
 */
export async function openMemberships(
  settings: MembershipSettings,
  log: Log,
): Promise<LdapMemberships | null> {
  if (settings.groupSources.length === 0) return null;
  const sources = await Promise.all(
    settings.groupSources.map(async ({ ca, serverName, keptMinutes, timeoutSeconds, ...rest }) => {
      const tls = ldapTls(ca === null ? null : await authorities(ca, rest.name), serverName);
      return new GroupSource({
        ...rest,
        tls,
        keptMs: keptMinutes * 60_000,
        timeoutMs: timeoutSeconds * 1_000,
      });
    }),
  );
  const { timeoutSeconds, failures, retrySeconds } = settings.lookup;
  return new LdapMemberships({
    ...{ sources, log },
    settings: { timeoutMs: timeoutSeconds * 1_000, failures, retryMs: retrySeconds * 1_000 },
  });
}
