import { SealgateError } from '../../errors.ts';
import type { Certificate } from '../../pki/certificate.ts';
import { readCertificates } from '../../pki/certificate-file.ts';

/** What a file of certificates holds, one after the other. `place`: for people, where it stands there. */
export type Item =
  | { kind: 'certificate'; place: string; certificate: Certificate }
  | { kind: 'problem'; place: string; why: string };

/** Reads one kind of file, line by line. What cannot be read is an item as well and never an error: the rest of the file may be good. */
export interface ItemReader {
  /** @param number of the line, from 1 */
  line(text: string, number: number): readonly Item[];
  end(): readonly Item[];
}

export function problem(place: string, why: string): Item {
  return { kind: 'problem', place, why };
}

/** One certificate in DER, or a certs-only PKCS #7 object (RFC 5652 §5) with several. */
export function itemsOfDer(octets: Buffer, place: string): Item[] {
  try {
    const found = readCertificates(octets);
    return found.map((certificate, i) => ({
      kind: 'certificate',
      place: found.length === 1 ? place : `${place}, certificate ${i + 1}`,
      certificate,
    }));
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
    return [problem(place, error.publicText)];
  }
}

/** Canonical base64 alone (RFC 4648 §3.5, §4); null: it is not. */
export function strictBase64(text: string): Buffer | null {
  const octets = Buffer.from(text, 'base64');
  return octets.length > 0 && octets.toString('base64') === text ? octets : null;
}
