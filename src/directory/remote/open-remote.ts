import { createSecureContext } from 'node:tls';
import type { Log } from '../../log/log.ts';
import type { Clock } from '../../pipeline/ports.ts';
import type { Certificate } from '../../pki/certificate.ts';
import { validatePath } from '../../pki/path.ts';
import type { TrustAnchors } from '../../pki/trust-anchors.ts';
import type { SqlStore } from '../../store/sql-store.ts';
import { type HttpStoreSettings, HttpStoreSource } from '../http-store/http-store-source.ts';
import { ldapTls } from '../ldap/connection.ts';
import { type LdapSettings, LdapSource } from '../ldap/ldap-source.ts';
import { type SmimeaSettings, SmimeaSource } from '../smimea/smimea-source.ts';
import { authorities } from './authorities.ts';
import { clearAway, noteAway } from './away.ts';
import { RemoteLookups } from './remote-lookups.ts';
import type { RemoteSource } from './remote-source.ts';

/** `directory.sources` and `directory.lookup` of the configuration. */
export type RemoteSettings = {
  sources: readonly (
    | (Omit<LdapSettings, 'tls' | 'timeoutMs'> & {
        kind: 'ldap';
        ca: string | null;
        serverName: string | null;
        timeoutSeconds: number;
      })
    | (Omit<SmimeaSettings, 'timeoutMs'> & { kind: 'smimea'; timeoutSeconds: number })
    | (Omit<HttpStoreSettings, 'tls' | 'timeoutMs'> & {
        kind: 'http-store';
        ca: string | null;
        timeoutSeconds: number;
      })
  )[];
  lookup: {
    timeoutSeconds: number;
    foundHours: number;
    noneMinutes: number;
    failures: number;
    retrySeconds: number;
  };
};

export type OpenRemoteParts = {
  settings: RemoteSettings;
  /** Where certificates are; several gateways may share it. */
  store: SqlStore;
  /** The gateway's own, for what it alone has noticed; null: that is kept nowhere. */
  own: SqlStore | null;
  anchors: TrustAnchors;
  intermediates: readonly Certificate[];
  postQuantum: boolean;
  clock: Clock;
  log: Log;
};

/**
 * Remote sources as they are configured; nothing is asked yet. null: there are none.
 *
 * @throws SealgateError `directory.source-ca` (permanent)
 */
export async function openRemote(parts: OpenRemoteParts): Promise<RemoteLookups | null> {
  const { settings, store, own, anchors, intermediates, clock, log } = parts;
  if (own !== null) await clearAway(own);
  if (settings.sources.length === 0) return null;
  const sources = await Promise.all(settings.sources.map((source) => opened(source, parts)));
  const { timeoutSeconds, foundHours, noneMinutes, failures, retrySeconds } = settings.lookup;
  return new RemoteLookups({
    ...{ sources, store, clock, log },
    settings: {
      ...{ timeoutMs: timeoutSeconds * 1_000, foundMs: foundHours * 3_600_000, noneMs: noneMinutes * 60_000 },
      ...{ failures, retryMs: retrySeconds * 1_000 },
    },
    leadsToAnchor: (certificate, chain, address) =>
      validatePath({
        ...{ certificate, pool: [...chain, ...intermediates], anchors: anchors.for('encryption', address) },
        ...{ at: clock(), purpose: 'email-protection' },
      }).outcome === 'valid',
    onChange: (source, reason) => {
      if (own !== null) noteAway(own, { source, reason, at: clock(), log });
    },
  });
}

async function opened(
  settings: RemoteSettings['sources'][number],
  { clock, postQuantum, intermediates }: OpenRemoteParts,
): Promise<RemoteSource> {
  const timeoutMs = settings.timeoutSeconds * 1_000;
  if (settings.kind === 'smimea') {
    return new SmimeaSource({ ...settings, timeoutMs }, { clock, postQuantum, intermediates });
  }
  const { ca, name } = settings;
  const pem = ca === null ? null : await authorities(ca, name);
  if (settings.kind === 'http-store') {
    const tls = createSecureContext({ minVersion: 'TLSv1.2', ...(pem === null ? {} : { ca: pem }) });
    return new HttpStoreSource({ ...settings, tls, timeoutMs }, { clock, postQuantum });
  }
  return new LdapSource(
    { ...settings, tls: ldapTls(pem, settings.serverName), timeoutMs },
    clock,
    postQuantum,
  );
}
