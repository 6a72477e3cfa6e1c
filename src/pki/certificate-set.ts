import type { Certificate } from './certificate.ts';
import type { DistinguishedName } from './name.ts';
import { nameKey } from './name.ts';

/**
 * Certificates by subject (RFC 5280 §7.1), each once, in the order in which they came: what path building looks issuers
 * up in. Build one for a pool that is used often; its index is made once.
 */
export class CertificateSet implements Iterable<Certificate> {
  readonly #bySubject = new Map<string, Certificate[]>();
  readonly #byFingerprint = new Map<string, Certificate>();

  readonly #barredKeys: ReadonlySet<string>;

  /** @param barred whose keys no path may lead through, whoever else has certified them */
  constructor(certificates: Iterable<Certificate> = [], barred: Iterable<Certificate> = []) {
    for (const certificate of certificates) this.add(certificate);
    const own = new Set([...this].map(keyOf));
    this.#barredKeys = new Set([...barred].map(keyOf).filter((key) => !own.has(key)));
  }

  static of(certificates: Iterable<Certificate>): CertificateSet {
    return certificates instanceof CertificateSet ? certificates : new CertificateSet(certificates);
  }

  get size(): number {
    return this.#byFingerprint.size;
  }

  add(certificate: Certificate): void {
    if (this.#byFingerprint.has(certificate.fingerprint)) return;
    this.#byFingerprint.set(certificate.fingerprint, certificate);
    const key = nameKey(certificate.subject);
    const same = this.#bySubject.get(key);
    if (same === undefined) this.#bySubject.set(key, [certificate]);
    else same.push(certificate);
  }

  has(certificate: Certificate): boolean {
    return this.#byFingerprint.has(certificate.fingerprint);
  }

  /** Whether a path to this set may not lead through it. */
  bars(certificate: Certificate): boolean {
    return this.#barredKeys.size > 0 && this.#barredKeys.has(keyOf(certificate));
  }

  bySubject(name: DistinguishedName): readonly Certificate[] {
    return this.#bySubject.get(nameKey(name)) ?? [];
  }

  /** The same without these certificates, by fingerprint. */
  without(fingerprints: ReadonlySet<string>): CertificateSet {
    if (fingerprints.size === 0) return this;
    return new CertificateSet([...this].filter(({ fingerprint }) => !fingerprints.has(fingerprint)));
  }

  [Symbol.iterator](): Iterator<Certificate> {
    return this.#byFingerprint.values();
  }
}

function keyOf({ subjectPublicKeyInfo }: Certificate): string {
  return subjectPublicKeyInfo.toString('latin1');
}
