import { SealgateError } from '../errors.ts';
import { limits } from '../limits.ts';
import { decodeEncodedWords } from '../mail/encoded-word.ts';
import type { Entity } from '../mail/entity.ts';
import { readEntity } from '../mail/entity-tree.ts';
import { fieldsNamed } from '../mail/header.ts';
import { decodeCharset, readParameterised } from '../mail/media-type.ts';
import { isMessage } from '../mail-view/message-view.ts';
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
  const plain = text.normalize('NFKC').toUpperCase().toLowerCase().replaceAll('ς', 'σ');
  return plain.replace(/[\u00ad\u200b-\u200d\u2060\ufeff]+/g, '').replace(/\s+/g, ' ');
}

/**
 * The words of a view. Damage, and what is too large or too deep, costs words, never an error.
 *
 * @param view the first `limits.searchText.viewOctets` octets of the view, or all of it
 */
export function searchTextOf(view: Buffer): SearchText {
  const words = new Words(view);
  let fields: SearchText['fields'] = [];
  try {
    const root = readEntity(view);
    fields = root.fields.map((field) => ({
      name: field.name.toLowerCase(),
      text: folded(readable(field.value)),
    }));
    words.add(root, 0, true);
  } catch (error) {
    if (!(error instanceof SealgateError)) throw error;
  }
  const body = foldedWithin(words.text(), limits.searchText.characters);
  const characters = fields.reduce((sum, { name, text }) => sum + name.length + text.length, body.length);
  return { fields, body, characters };
}

/** Characters that are folded at a time. */
const FOLDED = 16_384;

/** The beginning of it: compatibility forms may be eighteen characters for one. */
function foldedWithin(text: string, characters: number): string {
  const parts: string[] = [];
  let room = characters;
  for (let at = 0; at < text.length && room > 0; ) {
    const blank = text.lastIndexOf(' ', at + FOLDED);
    const end = at + FOLDED >= text.length ? text.length : blank > at ? blank : at + FOLDED;
    const part = folded(text.slice(at, end)).slice(0, room);
    room -= part.length;
    parts.push(part);
    at = end;
  }
  return parts.join('');
}

class Words {
  readonly #octets: Buffer;
  readonly #texts: string[] = [];
  #room: number = limits.searchText.characters;

  constructor(octets: Buffer) {
    this.#octets = octets;
  }

  text(): string {
    return this.#texts.join('\n');
  }

  /** `around`: messages it is inside of. */
  add(entity: Entity, around: number, isRoot: boolean): void {
    if (this.#room <= 0) return;
    if (!isRoot) this.#push(fileName(entity));
    if (entity.parts.length > 0) {
      for (const part of entity.parts) this.add(part, around, false);
    } else if (isMessage(entity, around)) this.#addMessage(entity, around);
    else if (entity.mediaType.type === 'text') this.#push(this.#leaf(entity));
  }

  #addMessage(entity: Entity, around: number): void {
    const message = readEntity(this.#octets, entity.body);
    for (const { name, value } of message.fields) this.#push(`${name}: ${readable(value)}`);
    this.add(message, around + 1, true);
  }

  #leaf({ body, transferEncoding, mediaType }: Entity): string {
    // What is decoded is at least as long as what becomes of it, but for QUOTED-PRINTABLE's three for one and markup.
    const end = Math.min(body.end, body.start + 8 * this.#room);
    return leafText({ transferEncoding, mediaType }, this.#octets.subarray(body.start, end));
  }

  #push(text: string): void {
    if (text === '') return;
    const kept = text.slice(0, this.#room);
    this.#room -= kept.length;
    this.#texts.push(kept);
  }
}

/** The text of a leaf, or of its beginning, without markup. */
export function leafText({ transferEncoding, mediaType }: LeafKind, body: Buffer): string {
  const text = decodedText(decoded(body, transferEncoding), mediaType.parameters.get('charset') ?? '');
  return mediaType.subtype === 'html' || mediaType.subtype === 'xhtml' ? textOfHtml(text) : text;
}

type LeafKind = Pick<Entity, 'transferEncoding' | 'mediaType'>;

/** Decodes what can be: words are looked for in damaged text too. */
function decoded(octets: Buffer, transferEncoding: string): Buffer {
  switch (transferEncoding) {
    case 'base64':
      return Buffer.from(octets.toString('latin1'), 'base64');
    case 'quoted-printable': {
      const text = octets.toString('latin1').replace(/=[ \t]*\r?\n/g, '');
      return Buffer.from(
        text.replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => octet(hex)),
        'latin1',
      );
    }
    default:
      return octets;
  }
}

function octet(hex: string): string {
  return String.fromCharCode(Number.parseInt(hex, 16));
}

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
