import { ANYTHING, type Pkcs11Uri } from '../../../src/hsm/pkcs11-uri.ts';

const TEXTS = {
  token: 'token',
  manufacturer: 'manufacturer',
  serial: 'serial',
  model: 'model',
  'library-manufacturer': 'libraryManufacturer',
  'library-description': 'libraryDescription',
  object: 'object',
  'slot-manufacturer': 'slotManufacturer',
  'slot-description': 'slotDescription',
} as const;

/** The other way round: `parsePkcs11Uri` gives the same again. What is absent is null. */
export function printPkcs11Uri(parts: Partial<Pkcs11Uri>): string {
  const uri = { ...ANYTHING, ...parts };
  const path: string[] = [];
  for (const [name, member] of Object.entries(TEXTS)) {
    const value = uri[member];
    if (value !== null) path.push(`${name}=${encoded(value)}`);
  }
  const { libraryVersion, type, id, slotId } = uri;
  if (libraryVersion !== null) {
    path.push(`library-version=${libraryVersion.major}.${libraryVersion.minor}`);
  }
  // §2.3: octets that are no text are best percent-encoded as a whole.
  if (id !== null) path.push(`id=${id.replace(/../g, (octet) => `%${octet.toUpperCase()}`)}`);
  if (type !== null) path.push(`type=${type}`);
  if (slotId !== null) path.push(`slot-id=${slotId}`);
  const query: string[] = [];
  if (uri.modulePath !== null) query.push(`module-path=${encodedPath(uri.modulePath)}`);
  if (uri.moduleName !== null) query.push(`module-name=${encoded(uri.moduleName)}`);
  // Twice: once as the path of a file: URI, once as a value in this one.
  if (uri.pinFile !== null) query.push(`pin-source=file:${encodedPath(encodedPath(uri.pinFile))}`);
  return `pkcs11:${path.join(';')}${query.length === 0 ? '' : `?${query.join('&')}`}`;
}

/** Everything but the unreserved characters, which is more than has to be. */
function encoded(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function encodedPath(path: string): string {
  return path.split('/').map(encoded).join('/');
}
