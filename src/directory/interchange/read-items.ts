import { limits } from '../../limits.ts';
import { type Item, type ItemReader, itemsOfDer, problem } from './item.ts';
import { ldifReader } from './ldif-reader.ts';
import { pemReader } from './pem-reader.ts';
import { vcardReader } from './vcard-reader.ts';

/** `binary`: DER, of one certificate or of a certs-only PKCS #7 object. */
export type FileKind = 'pem' | 'ldif' | 'vcard' | 'binary';

const READERS: Readonly<Record<Exclude<FileKind, 'binary'>, () => ItemReader>> = {
  pem: pemReader,
  ldif: ldifReader,
  vcard: vcardReader,
};

/** What a file is by its beginning; null: nothing that is known. */
export function kindOfFile(beginning: Buffer): FileKind | null {
  if (beginning[0] === 0x30) return 'binary';
  const text = beginning.toString('latin1').replace(/^\u{EF}\u{BB}\u{BF}/u, '');
  if (/^\s*BEGIN:VCARD/i.test(text)) return 'vcard';
  if (/^-----BEGIN /m.test(text)) return 'pem';
  return /^(?:#.*\r?\n(?: .*\r?\n)*|\s*\r?\n)*(version|dn):/i.test(text) ? 'ldif' : null;
}

/**
 * The certificates of a file of any length, one after the other, each with its place, and what could not be read, with the reason. A
 * file of text is read line by line, one in DER as a whole (`limits.pki.bundleOctets`).
 */
export async function* readItems(
  octets: AsyncIterable<Buffer> | Iterable<Buffer>,
  kind: FileKind,
): AsyncGenerator<Item> {
  if (kind === 'binary') {
    yield* itemsOfDer(await whole(octets), 'the file');
    return;
  }
  const reader = READERS[kind]();
  let number = 0;
  for await (const text of lines(octets)) {
    number++;
    if (text === null) yield problem(`line ${number}`, 'The line is too long.');
    else yield* reader.line(text, number);
  }
  yield* reader.end();
}

/** Without their ends (LF or CRLF); null: one that is too long. */
async function* lines(octets: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<string | null> {
  let open: Buffer[] = [];
  let length = 0;
  let first = true;
  const take = (): string | null => {
    const tooLong = length > limits.directory.importLineOctets;
    const text = tooLong ? null : Buffer.concat(open).toString('utf8').replace(/\r$/, '');
    [open, length] = [[], 0];
    const begins = first;
    first = false;
    return begins && text !== null ? text.replace(/^\u{FEFF}/u, '') : text;
  };
  for await (const chunk of octets) {
    let at = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, at)) {
      add(chunk.subarray(at, end));
      yield take();
      at = end + 1;
    }
    add(chunk.subarray(at));
  }
  if (length > 0) yield take();

  function add(part: Buffer): void {
    length += part.length;
    if (length <= limits.directory.importLineOctets) open.push(part);
  }
}

async function whole(octets: AsyncIterable<Buffer> | Iterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of octets) {
    length += part.length;
    // One more octet than is read: the reader says that it is too long.
    if (length > limits.pki.bundleOctets + 1) break;
    parts.push(part);
  }
  return Buffer.concat(parts);
}
