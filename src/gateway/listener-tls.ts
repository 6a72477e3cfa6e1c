import { readFile } from 'node:fs/promises';
import type { SecureContext } from 'node:tls';
import type { Config } from '../config/load.ts';
import { type ClientCertificates, tlsContext } from '../connections/tls-context.ts';
import { SealgateError } from '../errors.ts';

/** The certificate and key for clients; one context for all listeners with the usual settings. */
export type ListenerTls = { context(oldTls: boolean, certificates?: ClientCertificates): SecureContext };

/** null: the configuration has none. @throws SealgateError `listener.tls` */
export async function loadListenerTls(tls: Config['tls']): Promise<ListenerTls | null> {
  if (tls === null) return null;
  try {
    const material = {
      cert: await readFile(tls.certificate),
      key: await readFile(tls.key),
      ...(tls.passphrase === null ? {} : { passphrase: tls.passphrase.reveal() }),
    };
    const usual = tlsContext(material, false);
    return {
      context: (oldTls, certificates = 'ignored') =>
        oldTls || certificates === 'asked' ? tlsContext(material, oldTls, certificates) : usual,
    };
  } catch (cause) {
    throw new SealgateError({
      code: 'listener.tls',
      duration: 'permanent',
      publicText: `The certificate ${tls.certificate} and the key ${tls.key} cannot be used for TLS: ${cause instanceof Error ? cause.message : 'unknown error'}. They must belong together and be PEM.`,
      cause,
    });
  }
}
