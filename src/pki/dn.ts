/** Distinguished names as text (RFC 4514), as LDAP has them: to compare, to write. Those of certificates are in name.ts. Pure. */

/** Its relative names, the innermost first, each in the form in which two are compared; null: it is none. The empty text is the root. */
export function parseDn(text: string): readonly string[] | null {
  if (text.trim() === '') return [];
  const names: string[] = [];
  for (const part of split(text, ',')) {
    const attributes: string[] = [];
    for (const each of split(part, '+')) {
      const attribute = relativeName(each);
      if (attribute === null) return null;
      attributes.push(attribute);
    }
    names.push(attributes.toSorted().join('+'));
  }
  return names;
}

/** `attribute=value`, with what means something in a name escaped (RFC 4514 §2.4). */
export function relativeDn(attribute: string, value: string): string {
  const escaped = value.replace(/["+,;<>\\=]|^[ #]| $|\p{Cc}/gu, (character) =>
    /\p{Cc}/u.test(character)
      ? Buffer.from(character).toString('hex').replace(/../g, '\\$&')
      : `\\${character}`,
  );
  return `${attribute}=${escaped}`;
}

/** Text as LDAP compares it (RFC 4518 §2): compatibility forms, letter case and the length of blanks do not matter. */
export function folded(text: string): string {
  return text.normalize('NFKC').toLowerCase().normalize('NFKC').replace(/\s+/gu, ' ');
}

/** At separators that no backslash stands before. */
function split(text: string, separator: string): string[] {
  const parts: string[] = [];
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === separator) {
      parts.push(text.slice(start, i));
      start = i + 1;
    }
  }
  parts.push(text.slice(start));
  return parts;
}

function relativeName(text: string): string | null {
  const equals = text.indexOf('=');
  const type = text.slice(0, equals).trim().toLowerCase();
  if (equals < 0 || !/^(?:[a-z][a-z0-9-]*|\d+(?:\.\d+)*)$/.test(type)) return null;
  const value = unescaped(
    text
      .slice(equals + 1)
      .replace(/^ +/, '')
      .replace(/(^|[^\\]) +$/, '$1'),
  );
  return value === null ? null : `${OTHER_NAMES.get(type) ?? type}=${folded(value).trim()}`;
}

/** Of attributes that names here have. */
const OTHER_NAMES: ReadonlyMap<string, string> = new Map([
  ['0.9.2342.19200300.100.1.3', 'mail'],
  ['rfc822mailbox', 'mail'],
  ['0.9.2342.19200300.100.1.25', 'dc'],
  ['domaincomponent', 'dc'],
  ['2.5.4.3', 'cn'],
  ['commonname', 'cn'],
  ['2.5.4.6', 'c'],
  ['countryname', 'c'],
  ['2.5.4.7', 'l'],
  ['2.5.4.8', 'st'],
  ['2.5.4.10', 'o'],
  ['organizationname', 'o'],
  ['2.5.4.11', 'ou'],
  ['organizationalunitname', 'ou'],
]);

/** null: an escape that is none, or octets that are not UTF-8. */
function unescaped(text: string): string | null {
  // What begins with a sharp is a value in BER.
  if (text.startsWith('#') || /[";<>]/.test(text.replace(/\\./gs, ''))) return null;
  const octets: Buffer[] = [];
  let rest = text;
  while (rest !== '') {
    const [all = '', hex, special, plain] =
      /^(?:\\([0-9a-f]{2})|\\([ "#+,;<=>\\])|([^\\]+))/i.exec(rest) ?? [];
    if (all === '') return null;
    octets.push(hex === undefined ? Buffer.from(special ?? plain ?? '', 'utf8') : Buffer.from(hex, 'hex'));
    rest = rest.slice(all.length);
  }
  const value = Buffer.concat(octets).toString('utf8');
  return Buffer.from(value, 'utf8').equals(Buffer.concat(octets)) ? value : null;
}
