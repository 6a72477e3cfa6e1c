import type { CertificateRevocationList } from './crl.ts';
import { type DistinguishedName, nameKey } from './name.ts';

type OfIssuer = { complete: CertificateRevocationList[]; deltas: CertificateRevocationList[] };

/**
 * CRLs by issuer, each once, the newest first. Nothing in it is believed. Build one for CRLs that are used often; its
 * index is made once.
 */
export class CrlSet implements Iterable<CertificateRevocationList> {
  readonly #byIssuer = new Map<string, OfIssuer>();
  readonly #byFingerprint = new Map<string, CertificateRevocationList>();

  constructor(crls: Iterable<CertificateRevocationList> = []) {
    for (const crl of crls) this.add(crl);
  }

  static of(crls: Iterable<CertificateRevocationList>): CrlSet {
    return crls instanceof CrlSet ? crls : new CrlSet(crls);
  }

  get size(): number {
    return this.#byFingerprint.size;
  }

  add(crl: CertificateRevocationList): void {
    if (this.#byFingerprint.has(crl.fingerprint)) return;
    this.#byFingerprint.set(crl.fingerprint, crl);
    const key = nameKey(crl.issuer);
    const known = this.#byIssuer.get(key) ?? { complete: [], deltas: [] };
    this.#byIssuer.set(key, known);
    const list = crl.baseCRLNumber === null ? known.complete : known.deltas;
    list.push(crl);
    list.sort((one, other) => other.thisUpdate.getTime() - one.thisUpdate.getTime());
  }

  complete(issuer: DistinguishedName): readonly CertificateRevocationList[] {
    return this.#byIssuer.get(nameKey(issuer))?.complete ?? [];
  }

  deltas(issuer: DistinguishedName): readonly CertificateRevocationList[] {
    return this.#byIssuer.get(nameKey(issuer))?.deltas ?? [];
  }

  [Symbol.iterator](): Iterator<CertificateRevocationList> {
    return this.#byFingerprint.values();
  }
}
