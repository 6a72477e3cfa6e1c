import type { Certificate } from '../pki/certificate.ts';
import { nameForPeople } from '../pki/name.ts';
import { smimeaName } from '../pki/smimea-name.ts';

/** SMIMEA records (RFC 8162) as lines of a zone file (RFC 1035 §5.1). Pure. */

/** An address with what is published of it, the newest first. */
export type ZonePerson = { address: string; certificates: readonly Certificate[] };

export type ZoneOptions = {
  /** Seconds. */
  ttl: number;
  /** As records of a type without a name (RFC 3597 §5), for name servers that do not know SMIMEA. */
  generic: boolean;
};

/** RFC 8162 §2, RFC 6698 §2.1: DANE-EE, which vouches for the certificate itself; all of it; as it is, so that mail can be encrypted to it. */
const USAGE = 3;
const SELECTOR = 0;
const MATCHING = 0;
const TYPE = 53;

/**
 * One record for each certificate. Names are absolute, so that the text can stand in any zone above them; comments say whose it is, since
 * the name does not.
 */
export function zoneText(people: readonly ZonePerson[], options: ZoneOptions): string {
  return people.flatMap((person) => recordsOf(person, options)).join('');
}

/** Addresses that are too long to have such a name. */
export function withoutName(people: readonly ZonePerson[]): string[] {
  return people.flatMap(({ address }) => (smimeaName(address) === null ? [address] : []));
}

function recordsOf({ address, certificates }: ZonePerson, { ttl, generic }: ZoneOptions): string[] {
  const name = smimeaName(address);
  if (name === null) return [];
  return certificates.map((certificate) => {
    const { der, fingerprint, notAfter, subject } = certificate;
    const data = generic
      ? `TYPE${TYPE} \\# ${der.length + 3} ${hex(Buffer.from([USAGE, SELECTOR, MATCHING]))}`
      : `SMIMEA ${USAGE} ${SELECTOR} ${MATCHING}`;
    return [
      comment(`${address}, until ${notAfter.toISOString().slice(0, 10)}, ${nameForPeople(subject)}`),
      comment(`SHA-256 ${fingerprint}`),
      `${name}. ${ttl} IN ${data} (`,
      ...inLines(hex(der)).map((line) => `  ${line}`),
      '  )',
      '',
    ].join('\n');
  });
}

/** What others have written is in it; a line break would end it. */
function comment(text: string): string {
  return `; ${text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?')}`;
}

function hex(octets: Buffer): string {
  return octets.toString('hex');
}

/** Name servers bound what stands in a row. */
function inLines(digits: string): string[] {
  return digits.match(/.{1,96}/g) ?? [];
}
