import { type Certificate, parseCertificate } from '../pki/certificate.ts';

const MOST_REMEMBERED = 4_096;

/** Certificates that were parsed last, since the same ones are asked for again and again. */
export class ParsedCertificates {
  readonly #parsed = new Map<string, Certificate>();

  of(fingerprint: string, der: Buffer): Certificate {
    const known = this.#parsed.get(fingerprint);
    if (known !== undefined) return known;
    const certificate = parseCertificate(der);
    remember(this.#parsed, fingerprint, certificate);
    return certificate;
  }
}

/** Keeps a memory bounded: what was put in first leaves first. */
export function remember<V>(memory: Map<string, V>, key: string, value: V): void {
  const oldest = memory.size >= MOST_REMEMBERED ? memory.keys().next().value : undefined;
  if (oldest !== undefined) memory.delete(oldest);
  memory.set(key, value);
}
