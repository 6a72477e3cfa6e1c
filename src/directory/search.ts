import { domainToASCII } from 'node:url';
import { canonicalDomain } from '../pki/mailbox.ts';
import { allOf, type Statement, sql } from '../store/sql-store.ts';
import { type CertificateState, contains, searchText } from './certificate-rows.ts';
import type { CertificateTrust } from './source.ts';

/** What is looked for: all that is said must hold. */
export type CertificateSearch = {
  /** A part of an address, in any letter case. */
  address?: string;
  domain?: string;
  /** A part of the subject's or of the issuer's name, in any letter case. */
  subject?: string;
  issuer?: string;
  /** Hexadecimal; blanks and colons are passed over, as programs write them. */
  serial?: string;
  fingerprint?: string;
  state?: CertificateState;
  trust?: CertificateTrust;
  decision?: 'trusted' | 'distrusted';
  expiresBefore?: Date;
  expiresAfter?: Date;
};

/** A condition on the entries of certificate-rows.ts. What looks a certificate up does so by an index, once. */
export function searchCondition(search: CertificateSearch): Statement {
  const conditions: Statement[] = [];
  const certificates = (condition: Statement) =>
    conditions.push(sql`k.certificate IN (SELECT id FROM certificate WHERE ${condition})`);
  if (search.address !== undefined) conditions.push(contains(sql`k.folded`, addressPart(search.address)));
  if (search.domain !== undefined) {
    conditions.push(sql`k.domain = ${canonicalDomain(search.domain) ?? search.domain.toLowerCase()}`);
  }
  if (search.subject !== undefined) certificates(contains(sql`subject_text`, searchText(search.subject)));
  if (search.issuer !== undefined) certificates(contains(sql`issuer_text`, searchText(search.issuer)));
  if (search.serial !== undefined) {
    const serial = hexadecimal(search.serial);
    // An INTEGER whose first bit is set has a zero octet before it, which most programs leave out.
    certificates(sql`serial IN (${serial}, ${`00${serial}`})`);
  }
  if (search.fingerprint !== undefined) certificates(sql`fingerprint = ${hexadecimal(search.fingerprint)}`);
  if (search.state !== undefined) {
    // Said twice: by the first half the index of those that are not current is found.
    if (search.state !== 'current') conditions.push(sql`k.state <> 'current'`);
    conditions.push(sql`k.state = ${search.state}`);
  }
  if (search.trust !== undefined) conditions.push(sql`k.trust = ${search.trust}`);
  if (search.decision !== undefined) conditions.push(sql`d.decision = ${search.decision}`);
  if (search.expiresBefore !== undefined)
    conditions.push(sql`c.not_after < ${search.expiresBefore.getTime()}`);
  if (search.expiresAfter !== undefined)
    conditions.push(sql`c.not_after >= ${search.expiresAfter.getTime()}`);
  return allOf(conditions);
}

export function hexadecimal(written: string): string {
  return written.replace(/[\s:]/g, '').toLowerCase();
}

/** A domain of another script is looked for as it is kept, as A-labels. */
function addressPart(written: string): string {
  const lower = searchText(written);
  const at = lower.lastIndexOf('@');
  const domain = at === -1 ? null : canonicalDomain(lower.slice(at + 1));
  if (domain !== null) return `${lower.slice(0, at)}@${domain}`;
  return at === -1 && !/^[\0-\x7f]*$/.test(lower) && lower.includes('.')
    ? domainToASCII(lower) || lower
    : lower;
}
