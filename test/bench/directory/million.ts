import { addressKey } from '../../../src/directory/address-key.ts';
import { publicKeyHash, searchTexts } from '../../../src/directory/certificate-rows.ts';
import { type Certificate, parseCertificate } from '../../../src/pki/certificate.ts';
import type { SqlStore, SqlValue } from '../../../src/store/sql-store.ts';
import { ecKey, generalName, makeDer, subjectAltName } from '../../pki/make-certificate.ts';

/** A directory as a large organisation has it: one certificate for each address, of one authority for each domain. */

const DOMAINS = 5_000;
/** Certificates of one statement. */
const AT_ONCE = 1_000;

const NAME = 'Person 00000000';
const ADDRESS = 'p00000000@d00000.example';
const SERIAL = 0x0b0b0b0b;

export function addressOf(i: number): string {
  return `p${digits(i, 8)}@d${digits(i % DOMAINS, 5)}.example`;
}

/** The octets of one certificate with name, address and serial number of another person in their place: nobody looks at the signature here. */
export function certificates(): (i: number) => Certificate {
  const template = makeDer({
    ...{ subject: NAME, issuer: 'Example Issuing Authority', key: ecKey('person'), issuerKey: ecKey('ca') },
    serial: SERIAL,
    extensions: [subjectAltName(generalName.mailbox(ADDRESS))],
  });
  const places = [NAME, ADDRESS].map((text) => template.indexOf(text));
  if (places.some((at) => at < 0)) throw new Error('the template has no place for a name');
  const [nameAt = 0, addressAt = 0] = places;
  const serial = Buffer.alloc(4);
  serial.writeUInt32BE(SERIAL);
  // It stands near the beginning.
  const serialAt = template.indexOf(serial);
  return (i) => {
    const der = Buffer.from(template);
    der.write(`Person ${digits(i, 8)}`, nameAt, 'latin1');
    der.write(addressOf(i), addressAt, 'latin1');
    der.writeUInt32BE(0x0b000000 + i, serialAt);
    return parseCertificate(der);
  };
}

/** Adds the people from `begin` to `end`, a thousand rows a statement. What was learnt in between has numbers of its own. */
export async function fill(store: SqlStore, begin: number, end: number): Promise<void> {
  const idOf = (i: number) => i + (begin === 0 ? 1 : 1_000_000);
  const make = certificates();
  const now = Date.parse('2026-06-01T00:00:00Z');
  let publicKey = '';
  for (let from = begin; from < end; from += AT_ONCE) {
    const kept: SqlValue[][] = [];
    const known: SqlValue[][] = [];
    for (let i = from; i < Math.min(from + AT_ONCE, end); i++) {
      const certificate = make(i);
      const key = addressKey(addressOf(i));
      if (key === null) throw new Error('an address');
      publicKey ||= publicKeyHash(certificate.subjectPublicKeyInfo);
      const { fingerprint, issuer, notBefore, notAfter, der } = certificate;
      const { serial, subject, issuer: issuerText } = searchTexts(certificate);
      const validity = [notBefore.getTime(), notAfter.getTime()];
      kept.push([idOf(i), fingerprint, issuer.der, publicKey, serial, subject, issuerText, ...validity, der]);
      const { exact, folded, domain } = key;
      known.push([
        idOf(i),
        exact,
        folded,
        domain,
        idOf(i),
        'verified',
        'current',
        'mail',
        '[]',
        now,
        now,
        now,
        1,
      ]);
    }
    await store.transaction([
      rows('certificate', CERTIFICATE, kept),
      rows('known_address', KNOWN_ADDRESS, known),
    ]);
  }
}

const CERTIFICATE =
  'id, fingerprint, issuer, public_key, serial, subject_text, issuer_text, not_before, not_after, der';
const KNOWN_ADDRESS =
  'id, address, folded, domain, certificate, trust, state, source, capabilities, capabilities_at, first_seen, last_seen, times_seen';

function rows(table: string, columns: string, values: readonly (readonly SqlValue[])[]) {
  const row = `(${columns
    .split(',')
    .map(() => '?')
    .join(', ')})`;
  const text = `INSERT INTO ${table} (${columns}) VALUES ${values.map(() => row).join(', ')}`;
  return { sql: text, parameters: values.flat() };
}

function digits(n: number, width: number): string {
  return String(n).padStart(width, '0');
}
