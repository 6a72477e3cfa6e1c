import { domainToUnicode } from 'node:url';
import type { Decision, DirectoryEntry, JournalEntry } from '../directory/register.ts';
import { printable } from '../log/printable.ts';

/** Certificates of correspondents as lines for people. Names in them are strangers' words. */

export function entryLines(entry: DirectoryEntry): string[] {
  const { subject, issuer, notBefore, notAfter, serialNumber } = entry.certificate;
  const state = entry.state === 'current' ? '' : ` (${entry.state})`;
  return [
    addressText(entry.address),
    `  trust        ${entry.trust}${state}, from ${sourceText(entry)}`,
    ...(entry.decision === null ? [] : [`  decision     ${decisionText(entry.decision)}`]),
    `  subject      ${printable(subject.text)}`,
    `  issuer       ${printable(issuer.text)}`,
    `  serial       ${serialNumber.toString('hex')}`,
    `  valid        ${day(notBefore)} to ${day(notAfter)}`,
    `  seen         ${day(entry.firstSeen)} to ${day(entry.lastSeen)}`,
    `  fingerprint  ${entry.fingerprint}`,
  ];
}

/** A domain of another script is shown as it is written on the wire first: a look-alike cannot hide there. */
export function addressText(address: string): string {
  const domain = address.slice(address.lastIndexOf('@') + 1);
  const unicode = domainToUnicode(domain);
  const shown = printable(address);
  return unicode === domain || unicode === '' ? shown : `${shown} (in its script: ${printable(unicode)})`;
}

export function decisionText({ decision, by, at, reason }: Decision): string {
  return `${decision} by ${printable(by)} on ${day(at)}: ${printable(reason)}`;
}

export function journalText({ id, action, by, at, reason, address, undoneBy, undoes }: JournalEntry): string {
  const of = address === null ? '' : ` for ${printable(address)}`;
  const what = action === 'undo' ? `undo of ${undoes ?? 0}` : `${action}${of}`;
  const who = by === '' ? '' : ` by ${printable(by)}`;
  return `${id}: ${what}${who} on ${day(at)}: ${printable(reason)}${undoneBy === null ? '' : ` (undone by ${undoneBy})`}`;
}

/** Where a certificate came from, and which configured sources have it now. */
export function sourceText({ source, sources }: Pick<DirectoryEntry, 'source' | 'sources'>): string {
  const words = {
    ...{ mail: 'signed mail', import: 'an import', file: 'a pinned file', ldap: 'an LDAP directory' },
    ...{ smimea: 'DNS (SMIMEA)', 'http-store': 'an HTTP certificate store' },
  };
  return `${words[source]}${sources.length === 0 ? '' : ` (now in ${sources.map(printable).join(', ')})`}`;
}

export function day(date: Date): string {
  return date.toISOString().slice(0, 10);
}
