import { limits } from '../../limits.ts';
import { type Item, type ItemReader, itemsOfDer, problem, strictBase64 } from './item.ts';

/** RFC 4523 §2.1, §2.9: with the option `binary`, which servers of old leave out. */
const ATTRIBUTE = /^(usercertificate|usersmimecertificate)$/;
const DESCRIPTION = /^([A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)*)((?:;[A-Za-z0-9-]+)*)$/;

/**
 * userCertificate and userSMIMECertificate of an LDIF file (RFC 2849): folded lines, comments, base64. Content records and those
 * that add entries are read; a value that is named by a URL is not fetched. What is against the grammar is named with
 * its line, and reading goes on with the next line.
 */
export function ldifReader(): ItemReader {
  /** The logical line that is being put together. */
  let parts: string[] = [];
  let begun = 0;
  let characters = 0;
  /** The name of the entry, for people; null: between entries. */
  let entry: string | null = null;
  let passing = false;

  function place(): string {
    return entry === null ? `line ${begun}` : `line ${begun} (${entry})`;
  }

  function finished(): Item[] {
    const text = parts.join('');
    const tooLong = characters > limits.directory.importValueOctets;
    [parts, characters] = [[], 0];
    if (text === '' || text.startsWith('#')) return [];
    if (tooLong) return [problem(place(), 'The value is too long.')];
    const colon = text.indexOf(':');
    if (text === '-' && entry !== null) return [];
    if (colon < 1) return [problem(place(), 'This is no line of LDIF.')];
    return attribute(text.slice(0, colon), text.slice(colon + 1));
  }

  function attribute(described: string, value: string): Item[] {
    const match = DESCRIPTION.exec(described);
    if (match === null) return [problem(place(), 'This is no name of an attribute.')];
    const [, written = '', options = ''] = match;
    const name = written.toLowerCase();
    if (name === 'dn') {
      const dn = value.startsWith(':') ? strictBase64(value.slice(1).trim())?.toString() : value.trim();
      if (dn === undefined) return [problem(place(), 'The base64 of the name is damaged.')];
      [entry, passing] = [dn.slice(0, SHOWN), false];
      return [];
    }
    if (entry === null)
      return name === 'version' ? version(value) : [problem(place(), 'An entry begins with dn.')];
    if (name === 'changetype') {
      passing = value.trim().toLowerCase() !== 'add';
      return passing ? [problem(place(), 'Changes of entries are not imported, only entries.')] : [];
    }
    if (!ATTRIBUTE.test(name) || passing) return [];
    if (!/^(;binary)?$/i.test(options))
      return [problem(place(), `The option ${options.slice(0, SHOWN)} is not known.`)];
    if (value.startsWith('<')) return [problem(place(), 'A value that a URL names is not fetched.')];
    if (!value.startsWith(':')) return [problem(place(), 'A certificate has to be in base64 (two colons).')];
    const octets = strictBase64(value.slice(1).replace(/^ +/, ''));
    return octets === null ? [problem(place(), 'Its base64 is damaged.')] : itemsOfDer(octets, place());
  }

  function version(value: string): Item[] {
    return value.trim() === '1' ? [] : [problem(place(), 'Only version 1 of LDIF is known.')];
  }

  return {
    line(text, number) {
      // RFC 2849, note 2: a line that begins with one space goes on with the line before.
      if (text.startsWith(' ')) {
        if (parts.length === 0)
          return [problem(`line ${number}`, 'There is no line before that this one goes on with.')];
        characters += text.length - 1;
        if (characters <= limits.directory.importValueOctets) parts.push(text.slice(1));
        return [];
      }
      const items = finished();
      if (text === '') {
        [entry, passing] = [null, false];
        return items;
      }
      [parts, begun, characters] = [[text], number, text.length];
      return items;
    },
    end: finished,
  };
}

const SHOWN = 200;
