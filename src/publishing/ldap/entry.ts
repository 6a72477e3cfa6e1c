import type { Certificate } from '../../pki/certificate.ts';
import { folded, relativeDn } from '../../pki/dn.ts';
import type { PublishedPerson } from '../published-people.ts';
import type { SentEntry } from './response.ts';

/** A person as an entry of inetOrgPerson (RFC 2798): what searches look at, and what is sent. Pure. */
export type Entry = {
  person: PublishedPerson;
  dn: string;
  /** By attribute; the values as they are shown. */
  values: ReadonlyMap<string, readonly string[]>;
  /** The same as they are compared. */
  compared: ReadonlyMap<string, readonly string[]>;
};

/** Every attribute that entries have, in the order in which it is sent, with its other names (RFC 4519, RFC 4524, RFC 4523). */
const NAMES: readonly (readonly [string, ...string[]])[] = [
  ['objectClass', '2.5.4.0'],
  ['cn', 'commonname', '2.5.4.3'],
  ['sn', 'surname', '2.5.4.4'],
  ['givenName', 'gn', '2.5.4.42'],
  ['displayName', '2.16.840.1.113730.3.1.241'],
  ['mail', 'rfc822mailbox', '0.9.2342.19200300.100.1.3'],
  ['userCertificate;binary', 'usercertificate', '2.5.4.36', '2.5.4.36;binary'],
];

const BY_NAME: ReadonlyMap<string, string> = new Map(
  NAMES.flatMap(([name, ...others]) => [name.toLowerCase(), ...others].map((each) => [each, name])),
);

export const CERTIFICATES = 'userCertificate;binary';
const OBJECT_CLASSES = ['top', 'person', 'organizationalPerson', 'inetOrgPerson'];

/** The attribute that a description names; null: nobody has it. @param description in lower case */
export function attributeNamed(description: string): string | null {
  return BY_NAME.get(description) ?? null;
}

/** @param base distinguished name below which it is */
export function entryOf(person: PublishedPerson, base: string): Entry {
  const { address, certificates } = person;
  const attribute = (type: string): string | null => {
    for (const { subject } of certificates) {
      const found = subject.attributes
        .find((each) => each.type === type)
        ?.value.replace(/\p{Cc}/gu, ' ')
        .trim();
      if (found !== undefined && found !== '') return found;
    }
    return null;
  };
  const cn = attribute('2.5.4.3') ?? address;
  const givenName = attribute('2.5.4.42');
  // RFC 4519 §3.12: a person must have one.
  const sn = attribute('2.5.4.4') ?? cn.split(' ').at(-1) ?? cn;
  const values = new Map<string, readonly string[]>([
    ['objectClass', OBJECT_CLASSES],
    ['cn', [cn]],
    ['sn', [sn]],
    ...(givenName === null ? [] : [['givenName', [givenName]] as const]),
    ['displayName', [cn]],
    ['mail', [address]],
  ]);
  const compared = new Map(
    [...values].map(([name, texts]) => [name, texts.map((text) => folded(text).trim())]),
  );
  return { person, values, compared, dn: `${relativeDn('mail', address)},${base}` };
}

/**
 * What is sent of an entry (RFC 4511 §4.5.1.8).
 *
 * @param wanted descriptions in lower case; none, or `*` among them: all
 */
export function sentEntry(
  { dn, values }: Entry,
  certificates: readonly Certificate[],
  wanted: readonly string[],
  typesOnly: boolean,
): SentEntry {
  const chosen = selection(wanted);
  const texts = [...values].map(([type, all]) => ({ type, values: all.map((text) => Buffer.from(text)) }));
  const attributes = [...texts, { type: CERTIFICATES, values: certificates.map(({ der }) => der) }];
  return { dn, attributes: chosenOf(attributes, chosen, typesOnly) };
}

/** null: all. */
function selection(wanted: readonly string[]): ReadonlySet<string> | null {
  if (wanted.length === 0 || wanted.includes('*')) return null;
  return new Set(wanted.flatMap((name) => attributeNamed(name) ?? name));
}

function chosenOf(
  attributes: SentEntry['attributes'],
  chosen: ReadonlySet<string> | null,
  typesOnly: boolean,
): SentEntry['attributes'] {
  return attributes
    .filter(({ type }) => chosen === null || chosen.has(type))
    .map(({ type, values }) => ({ type, values: typesOnly ? [] : values }));
}

/** An entry that is about the server and not about a person: attributes by their names in lower case. */
export function plainEntry(
  dn: string,
  attributes: readonly { type: string; values: readonly string[] }[],
  wanted: readonly string[],
  typesOnly: boolean,
): SentEntry {
  const all = wanted.length === 0 || wanted.includes('*') || wanted.includes('+');
  return {
    dn,
    attributes: attributes
      .filter(({ type }) => all || wanted.includes(type.toLowerCase()))
      .map(({ type, values }) => ({
        type,
        values: typesOnly ? [] : values.map((text) => Buffer.from(text)),
      })),
  };
}
