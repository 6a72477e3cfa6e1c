import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { decodeEncodedWords } from '../mail/encoded-word.ts';
import type { Entity } from '../mail/entity.ts';
import { readEntityFrom } from '../mail/entity-source.ts';
import { fieldsNamed } from '../mail/header.ts';
import { decodeCharset, readParameterised } from '../mail/media-type.ts';
import { isMessage } from '../mail-view/message-view.ts';
import { bufferSource } from '../octets/buffer-source.ts';
import type { OctetSource } from '../octets/source.ts';
import { TimeSlice } from '../octets/time-slice.ts';
import { textOfHtml } from './html-text.ts';

/** The words of one view by which SEARCH finds it, folded: see `folded`. */
export type SearchText = {
  /** Of the view's own header: names in lower case, values with encoded words decoded (RFC 2047). */
  fields: readonly { name: string; text: string }[];
  /** Text parts without tags, headers of messages inside, names of attachments. */
  body: string;
  /** Characters of all of it, for whoever bounds what is kept. */
  characters: number;
};

/** Text as it is compared: compatibility forms (NFKC), case, runs of blanks and what has no width make no difference. */
export function folded(text: string): string {
  // Both ways, because ß, ligatures and the end form of sigma meet their other forms only in capitals.
  const plain = inStreamSafeRows(text).normalize('NFKC').toUpperCase().toLowerCase().replaceAll('ς', 'σ');
  return plain.replace(/[\u00ad\u200b-\u200d\u2060\ufeff]+/g, '').replace(/\s+/g, ' ');
}

/** Marks on one letter: normalization sorts them, which takes the square of their number (UAX #15, Stream-Safe Text Format). */
function inStreamSafeRows(text: string): string {
  return MANY_MARKS.test(text) ? text.replace(EVERY_MANY_MARKS, (marks) => marks.slice(0, 30)) : text;
}

const MANY_MARKS = /\p{M}{31}/u;
const EVERY_MANY_MARKS = /\p{M}{31,}/gu;

/**
 * The words of a view. Damage, and what is too large or too deep, costs words, never an error. Others have their turn meanwhile.
 *
 * @param view the first `limits.searchText.viewOctets` octets of the view, or all of it
 */
export async function searchTextOf(view: Buffer, slice: TimeSlice = new TimeSlice()): Promise<SearchText> {
  const words = new Words(view, slice);
  const fields: { name: string; text: string }[] = [];
  try {
    const root = await readEntityFrom(bufferSource(view), undefined, undefined, slice);
    for (const field of root.fields) {
      fields.push({ name: field.name.toLowerCase(), text: folded(readable(field.value)) });
      await slice.over();
    }
    await words.add(root, 0, true);
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
  }
  const body = await foldedWithin(words.text(), limits.searchText.characters, slice);
  const characters = fields.reduce((sum, { name, text }) => sum + name.length + text.length, body.length);
  return { fields, body, characters };
}

/** Characters that are folded at a time. */
const FOLDED = 16_384;

/** The beginning of it: compatibility forms may be eighteen characters for one. */
async function foldedWithin(text: string, characters: number, slice: TimeSlice): Promise<string> {
  const parts: string[] = [];
  let room = characters;
  for (let at = 0; at < text.length && room > 0; ) {
    const blank = text.lastIndexOf(' ', at + FOLDED);
    const end = at + FOLDED >= text.length ? text.length : blank > at ? blank : at + FOLDED;
    const part = folded(text.slice(at, end)).slice(0, room);
    room -= part.length;
    parts.push(part);
    at = end;
    await slice.over();
  }
  return parts.join('');
}

class Words {
  readonly #octets: Buffer;
  readonly #source: OctetSource;
  readonly #slice: TimeSlice;
  readonly #texts: string[] = [];
  #room: number = limits.searchText.characters;

  constructor(octets: Buffer, slice: TimeSlice) {
    this.#octets = octets;
    this.#source = bufferSource(octets);
    this.#slice = slice;
  }

  text(): string {
    return this.#texts.join('\n');
  }

  /** `around`: messages it is inside of. */
  async add(entity: Entity, around: number, isRoot: boolean): Promise<void> {
    if (this.#room <= 0) return;
    await this.#slice.over();
    if (!isRoot) this.#push(fileName(entity));
    if (entity.parts.length > 0) {
      for (const part of entity.parts) await this.add(part, around, false);
    } else if (isMessage(entity, around)) await this.#addMessage(entity, around);
    else if (entity.mediaType.type === 'text') this.#push(await this.#leaf(entity));
  }

  async #addMessage(entity: Entity, around: number): Promise<void> {
    const message = await readEntityFrom(this.#source, entity.body, undefined, this.#slice);
    for (const { name, value } of message.fields) {
      this.#push(`${name}: ${readable(value)}`);
      await this.#slice.over();
    }
    await this.add(message, around + 1, true);
  }

  async #leaf({ body, transferEncoding, mediaType }: Entity): Promise<string> {
    // What is decoded is at least as long as what becomes of it, but for QUOTED-PRINTABLE's three for one and markup.
    const end = Math.min(body.end, body.start + 8 * this.#room);
    let text = '';
    for (const piece of leafPieces({ transferEncoding, mediaType }, this.#octets.subarray(body.start, end))) {
      text += piece;
      if (text.length >= this.#room) break;
      await this.#slice.over();
    }
    return text;
  }

  #push(text: string): void {
    if (text === '') return;
    const kept = text.slice(0, this.#room);
    this.#room -= kept.length;
    this.#texts.push(kept);
  }
}

/** The text of a leaf, or of its beginning, without markup. */
export function leafText(leaf: LeafKind, body: Buffer): string {
  return [...leafPieces(leaf, body)].join('');
}

function* leafPieces({ transferEncoding, mediaType }: LeafKind, body: Buffer): Generator<string, void> {
  const text = decodedText(decoded(body, transferEncoding), mediaType.parameters.get('charset') ?? '');
  if (mediaType.subtype === 'html' || mediaType.subtype === 'xhtml') yield* textOfHtml(text);
  else yield text;
}

type LeafKind = Pick<Entity, 'transferEncoding' | 'mediaType'>;

/** Decodes what can be: words are looked for in damaged text too. */
function decoded(octets: Buffer, transferEncoding: string): Buffer {
  switch (transferEncoding) {
    case 'base64':
      return Buffer.from(octets.toString('latin1'), 'base64');
    case 'quoted-printable':
      return decodedQuotedPrintable(octets);
    default:
      return octets;
  }
}

const EQUALS = 0x3d;

/** What is in no grammar stays as it is. */
function decodedQuotedPrintable(encoded: Buffer): Buffer {
  const octets = Buffer.from(encoded.toString('latin1').replace(SOFT_LINE_END, ''), 'latin1');
  let end = 0;
  for (let i = 0; i < octets.length; i++) {
    let octet = octets[i] ?? 0;
    if (octet === EQUALS) {
      const high = HEX[octets[i + 1] ?? 0] ?? -1;
      const low = HEX[octets[i + 2] ?? 0] ?? -1;
      if (high >= 0 && low >= 0) {
        octet = high * 16 + low;
        i += 2;
      }
    }
    octets[end++] = octet;
  }
  return octets.subarray(0, end);
}

/** Blanks are padding that was added on the way; more of them than that are none. */
const SOFT_LINE_END = /=[ \t]{0,100}\r?\n/g;
/** The value of a digit by its octet; -1: it is none. */
const HEX = Int8Array.from({ length: 256 }, (_, octet) => {
  const digit = '0123456789abcdef'.indexOf(String.fromCharCode(octet).toLowerCase());
  return octet < 0x80 ? digit : -1;
});

/** ASCII, and what says nothing else, is UTF-8 where it can be. */
function decodedText(octets: Buffer, charset: string): string {
  if (!/^(?:us-ascii|ascii|utf-?8)?$/i.test(charset)) return decodeCharset(octets, charset);
  const text = octets.toString('utf8');
  return text.includes('\ufffd') && !/^utf-?8$/i.test(charset) ? octets.toString('latin1') : text;
}

/** An unfolded value (latin1) as a reader is shown it (RFC 6532 §3.2: octets beyond ASCII are UTF-8). */
function readable(value: string): string {
  return decodeEncodedWords(
    /[\x80-\xff]/.test(value) ? decodedText(Buffer.from(value, 'latin1'), '') : value,
  );
}

/** The name of an attachment (RFC 2183 §2.3); '' for none. */
function fileName({ fields, mediaType }: Entity): string {
  const [disposition] = fieldsNamed(fields, 'content-disposition');
  const said = disposition === undefined ? null : readParameterised(disposition.value);
  return readable(said?.parameters.get('filename') ?? mediaType.parameters.get('name') ?? '');
}
