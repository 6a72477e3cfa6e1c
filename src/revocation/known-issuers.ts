import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import type { Log } from '../log/log.ts';
import { type Certificate, parseCertificate } from '../pki/certificate.ts';
import { CertificateSet } from '../pki/certificate-set.ts';
import type { EvidenceFile } from './evidence-file.ts';

/**
 * CA certificates that once were on a valid path to an anchor: a mail brings its signer's whole chain, and of a
 * correspondent only the last certificate is kept. They help to find paths and nothing more: nothing in here is believed.
 * No stranger can fill it, since every one of them was issued below an anchor, as a CA.
 */
export class KnownIssuers {
  readonly #set: CertificateSet;
  readonly #file: EvidenceFile | null;
  readonly #log: Log;

  constructor(known: readonly Certificate[], file: EvidenceFile | null, log: Log) {
    this.#set = new CertificateSet(known);
    this.#file = file;
    this.#log = log;
  }

  all(): CertificateSet {
    return this.#set;
  }

  /** @param issuers of a validated path, without the anchor */
  remember(issuers: readonly Certificate[], now: Date): void {
    for (const issuer of issuers) {
      if (this.#set.has(issuer) || this.#set.size >= limits.revocation.knownIssuers) continue;
      this.#set.add(issuer);
      this.#file?.keepIssuer(issuer.fingerprint, issuer.der, now).catch((error: unknown) => {
        this.#log.write({ event: 'revocation.cache-failed', level: 'warn', reason: String(error) });
      });
    }
  }
}

/** Those that the file holds; what cannot be read is left out. */
export async function loadKnownIssuers(file: EvidenceFile | null, log: Log): Promise<KnownIssuers> {
  const known: Certificate[] = [];
  try {
    for (const der of (await file?.issuers()) ?? []) known.push(parseCertificate(der));
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    log.write({ event: 'revocation.cache-failed', level: 'warn', reason: String(error) });
  }
  return new KnownIssuers(known, file, log);
}
