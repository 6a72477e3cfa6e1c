import { SealgateError } from '../errors.ts';

/**
 * PKCS #11 URIs (RFC 7512): how tokens and objects are named in configurations.
 *
 * Strict: unknown and vendor attributes, attributes that are there twice, and everything longer than a token could hold are
 * refused. A `pin-value` is refused too: a PIN does not stand where it is read by whoever sees the URI. No sentence repeats a
 * value, or a name that is not one of the standard's.
 */

export type Pkcs11Uri = {
  /** CK_TOKEN_INFO; null: any. The empty text is a value like any other. */
  token: string | null;
  manufacturer: string | null;
  serial: string | null;
  model: string | null;
  /** CK_INFO. */
  libraryManufacturer: string | null;
  libraryDescription: string | null;
  libraryVersion: { major: number; minor: number } | null;
  /** CKA_LABEL, CKA_CLASS, and CKA_ID in hexadecimal. */
  object: string | null;
  type: ObjectType | null;
  id: string | null;
  /** CK_SLOT_INFO. */
  slotManufacturer: string | null;
  slotDescription: string | null;
  slotId: number | null;
  modulePath: string | null;
  moduleName: string | null;
  /** `pin-source`: absolute path out of its file: URI. */
  pinFile: string | null;
};

export type ObjectType = 'public' | 'private' | 'cert' | 'secret-key' | 'data';

/** Characters. whatever is not refused for a part of it fits in, however much of it is encoded. */
const LONGEST_URI = 65_536;

/** A path of the operating system; octets. */
const LONGEST_PATH = 4_096;

/** What the attributes may hold, octets: the fields of CK_TOKEN_INFO, CK_INFO and CK_SLOT_INFO are of fixed size. */
const TEXTS = {
  token: ['token', 32],
  manufacturer: ['manufacturer', 32],
  serial: ['serial', 16],
  model: ['model', 16],
  'library-manufacturer': ['libraryManufacturer', 32],
  'library-description': ['libraryDescription', 32],
  object: ['object', 255],
  'slot-manufacturer': ['slotManufacturer', 32],
  'slot-description': ['slotDescription', 64],
} as const;

const LONGEST_ID = 255;
const OBJECT_TYPES: readonly ObjectType[] = ['public', 'private', 'cert', 'secret-key', 'data'];

/** RFC 7512 §2.3: pk11-pchar and pk11-qchar besides percent-encoding. */
const PATH_CHARACTERS = /^[A-Za-z0-9\-._~:[\]@!$'()*+,=&]*$/;
const QUERY_CHARACTERS = /^[A-Za-z0-9\-._~:[\]@!$'()*+,=/?|]*$/;

export const ANYTHING: Pkcs11Uri = {
  ...{ token: null, manufacturer: null, serial: null, model: null },
  ...{ libraryManufacturer: null, libraryDescription: null, libraryVersion: null },
  ...{ object: null, type: null, id: null },
  ...{ slotManufacturer: null, slotDescription: null, slotId: null },
  ...{ modulePath: null, moduleName: null, pinFile: null },
};

/** @throws SealgateError `key.uri-malformed` */
export function parsePkcs11Uri(text: string): Pkcs11Uri {
  if (text.length > LONGEST_URI) throw malformed(`it is longer than ${LONGEST_URI} characters`);
  if (!/^pkcs11:/i.test(text)) throw malformed('it does not begin with pkcs11:');
  const rest = text.slice('pkcs11:'.length);
  const question = rest.indexOf('?');
  const path = question < 0 ? rest : rest.slice(0, question);
  const uri = { ...ANYTHING };
  for (const [name, value] of attributes(path, ';', 'path')) readPathAttribute(uri, name, value);
  if (question >= 0) {
    for (const [name, value] of attributes(rest.slice(question + 1), '&', 'query')) {
      readQueryAttribute(uri, name, value);
    }
  }
  return uri;
}

function attributes(component: string, separator: ';' | '&', place: 'path' | 'query'): [string, string][] {
  if (component === '') return [];
  const seen = new Set<string>();
  return component.split(separator).map((attribute, index) => {
    const equals = attribute.indexOf('=');
    const where = `attribute ${index + 1} of its ${place}`;
    if (equals < 0) throw malformed(`${where} has no "="`);
    // Literals of the grammar are the same in either case (RFC 5234 §2.3).
    const name = attribute.slice(0, equals).toLowerCase();
    if (!isKnown(name, place)) throw malformed(unknownAttribute(name, where));
    if (seen.has(name)) throw malformed(`${name} is in it twice`);
    seen.add(name);
    const value = attribute.slice(equals + 1);
    const characters = place === 'path' ? PATH_CHARACTERS : QUERY_CHARACTERS;
    const odd = value.replace(/%[0-9A-Fa-f]{2}/g, '');
    if (odd.includes('%')) throw malformed(`${name} has a % without two hexadecimal digits behind it`);
    if (!characters.test(odd)) {
      throw malformed(`${name} has a character that must be percent-encoded (a blank is written %20)`);
    }
    return [name, value];
  });
}

const PATH_NAMES = new Set([...Object.keys(TEXTS), 'library-version', 'type', 'id', 'slot-id']);
const QUERY_NAMES = new Set(['module-path', 'module-name', 'pin-source', 'pin-value']);

function isKnown(name: string, place: 'path' | 'query'): boolean {
  return (place === 'path' ? PATH_NAMES : QUERY_NAMES).has(name);
}

function unknownAttribute(name: string, where: string): string {
  if (QUERY_NAMES.has(name)) return `${name} belongs behind the "?"`;
  if (PATH_NAMES.has(name)) return `${name} belongs before the "?", between ";"`;
  return `${where} is none that RFC 7512 has; attributes of vendors are not understood`;
}

function readPathAttribute(uri: Pkcs11Uri, name: string, value: string): void {
  switch (name) {
    case 'type': {
      const type = OBJECT_TYPES.find((one) => one === value.toLowerCase());
      if (type === undefined) throw malformed(`type is none of ${OBJECT_TYPES.join(', ')}`);
      uri.type = type;
      return;
    }
    case 'id': {
      const id = decoded(value, name, LONGEST_ID);
      uri.id = id.toString('hex');
      return;
    }
    case 'slot-id': {
      const slotId = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
      if (!Number.isSafeInteger(slotId)) throw malformed('slot-id is not the number of a slot');
      uri.slotId = slotId;
      return;
    }
    case 'library-version': {
      const [, major, minor] = /^(\d{1,3})(?:\.(\d{1,3}))?$/.exec(value) ?? [];
      const version = { major: Number(major), minor: Number(minor ?? 0) };
      // Each is one octet of CK_VERSION; not a number is not at most 255 either.
      if (!(version.major <= 255 && version.minor <= 255)) {
        throw malformed('library-version is not like 2.4, each part up to 255');
      }
      uri.libraryVersion = version;
      return;
    }
    default: {
      const [, text] = Object.entries(TEXTS).find(([known]) => known === name) ?? [];
      if (text === undefined) throw new Error(`no reader for the attribute ${name}`);
      const [member, longest] = text;
      uri[member] = decodedText(value, name, longest);
    }
  }
}

function readQueryAttribute(uri: Pkcs11Uri, name: string, value: string): void {
  switch (name) {
    case 'module-path':
      uri.modulePath = absolute(decodedText(value, name, LONGEST_PATH), name);
      return;
    case 'module-name':
      uri.moduleName = decodedText(value, name, 255);
      return;
    case 'pin-source':
      uri.pinFile = fileOf(decodedText(value, name, 3 * LONGEST_PATH));
      return;
    case 'pin-value':
      throw malformed(
        'pin-value holds a PIN, which does not stand here: put it into a file of its own (mode 0600)',
      );
    default:
      throw new Error(`no reader for the attribute ${name}`);
  }
}

/** RFC 8089 §2, of this machine. */
function fileOf(source: string): string {
  const [, path] = /^file:(?:\/\/(?:localhost)?)?(\/(?!\/).*)$/is.exec(source) ?? [];
  if (path === undefined) {
    throw malformed('pin-source is not the file: URI of an absolute path, like file:/etc/sealgate/token.pin');
  }
  if (/%(?![0-9A-Fa-f]{2})/.test(path) || /[?#]/.test(path)) {
    throw malformed('the file: URI in pin-source has characters that must be percent-encoded in it');
  }
  return absolute(decodedText(path, 'pin-source', LONGEST_PATH), 'pin-source');
}

function absolute(path: string, name: string): string {
  if (!path.startsWith('/')) throw malformed(`${name} is not an absolute path`);
  if (path.includes('\0')) throw malformed(`${name} is not the path of a file`);
  return path;
}

function decoded(value: string, name: string, longest: number): Buffer {
  const octets = Buffer.from(
    // Every character that is not encoded is ASCII.
    value.replace(/%([0-9A-Fa-f]{2})|[^%]/g, (whole, hex?: string) =>
      hex === undefined ? Buffer.from(whole).toString('hex') : hex,
    ),
    'hex',
  );
  if (octets.length > longest) throw malformed(`${name} is longer than the ${longest} octets it can have`);
  return octets;
}

function decodedText(value: string, name: string, longest: number): string {
  const octets = decoded(value, name, longest);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(octets);
  } catch (cause) {
    throw malformed(`${name} is not UTF-8 text`, cause);
  }
}

function malformed(why: string, cause?: unknown): SealgateError {
  return new SealgateError({
    code: 'key.uri-malformed',
    publicText: `This is not a PKCS #11 URI that can be used (RFC 7512): ${why}.`,
    duration: 'permanent',
    ...(cause === undefined ? {} : { cause }),
  });
}
