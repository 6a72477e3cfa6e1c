import { limits } from '../limits.ts';
import type { Entity, Range } from '../mail/entity.ts';
import { tooComplex } from '../mail/entity-scanner.ts';
import { readEntityFrom } from '../mail/entity-source.ts';
import { fieldsNamed } from '../mail/header.ts';
import { sliceOf } from '../octets/buffer-source.ts';
import { collectFrom } from '../octets/collect.ts';
import { OctetSearch } from '../octets/octet-search.ts';
import { scan } from '../octets/scan.ts';
import type { OctetSource, Spool, SpoolWriter } from '../octets/source.ts';
import { type OctetTransform, transformed } from '../octets/transform.ts';
import { Base64Rows, CleanLineCheck, CleanLines, cleanLines, EncodingNeed } from './clean-lines.ts';

/** Content of any size, as it is put into a view. */
export type CanonicalEntity = {
  octets: OctetSource;
  root: Entity;
  /** Whether the octets that were asked for are in it. */
  holdsForbidden: boolean;
  /** Frees what was made for it; the content itself is somebody else's. */
  discard(): Promise<void>;
};

/**
 * Decrypted content in the form that IMAP and POP3 can carry inside the shell: CRLF line ends, no NUL, no line over 998
 * octets (RFC 5321 §4.5.3.1.6) in text that is not encoded. What cannot be carried as lines becomes base64, one leaf at
 * a time. Content that is clean already, which is nearly all of it, is looked at and neither touched nor copied.
 *
 * @param forbidden octets that must not be in it
 * @param spool where content waits that had to be made anew
 * @param textOnly what may fetch something when it is shown, or hide what does, becomes an attachment
 * @throws SealgateError `mail.too-complex`, `mail.header-too-large`; the content's and the spool's own
 */
export async function canonicalEntity(
  content: OctetSource,
  forbidden: Buffer,
  spool: Spool,
  textOnly = false,
): Promise<CanonicalEntity> {
  const { entity, root } = await unwrapMessages(content);
  if (!(await beginsWithHeader(entity))) return rebuilt(spool, forbidden, (to) => asAttachment(entity, to));
  const look = await lookAt(entity, forbidden);
  if (look.clean && !look.binary && !textOnly) {
    requireRoom(root);
    return { octets: entity, root, holdsForbidden: look.holdsForbidden, discard: async () => undefined };
  }
  const made = await rebuilt(spool, forbidden, (to) => rebuild(entity, root, to, textOnly));
  // A lone CR that has become a line end may have made a boundary line, and a part behind it. What was made has none any more.
  if (!textOnly || isAllHarmless(made.root)) return made;
  try {
    return await rebuilt(spool, forbidden, (to) => rebuild(made.octets, made.root, to, textOnly));
  } finally {
    await made.discard();
  }
}

function isAllHarmless(entity: Entity): boolean {
  return entity.parts.length > 0 ? entity.parts.every(isAllHarmless) : isHarmless(entity);
}

/** RFC 8551 §3.1: header protection by wrapping. Some clients cannot show a message/rfc822 in a listing. */
const WRAPPERS = 3;

async function unwrapMessages(content: OctetSource): Promise<{ entity: OctetSource; root: Entity }> {
  let inner = content;
  for (let i = 0; ; i++) {
    const root = await readEntityFrom(inner);
    const { type, subtype } = root.mediaType;
    const isMessage = type === 'message' && subtype === 'rfc822' && root.declared;
    const isEncoded = root.transferEncoding === 'base64' || root.transferEncoding === 'quoted-printable';
    if (i === WRAPPERS || !isMessage || isEncoded) return { entity: inner, root };
    inner = sliceOf(inner, root.body.start, root.body.end);
  }
}

/** The shell is one more level, with a header and a part of its own, and has to be readable as well. */
function requireRoom(root: Entity): void {
  let entities = 2;
  let headerOctets = 0;
  let fields = 0;
  let deepest = 0;
  const count = (entity: Entity, depth: number): void => {
    entities++;
    headerOctets += entity.header.end - entity.header.start;
    fields += entity.fields.length;
    deepest = Math.max(deepest, depth);
    for (const part of entity.parts) count(part, depth + 1);
  };
  count(root, 1);
  if (deepest > limits.mail.depth) throw tooComplex('parts nested too deep');
  if (entities > limits.mail.entities) throw tooComplex('too many parts');
  const { headerOctets: shell, treeHeaderOctets, treeFields } = limits.mail;
  // No field has fewer than two octets.
  if (headerOctets > treeHeaderOctets - 2 * shell || fields > treeFields - shell / 2) {
    throw tooComplex('the headers of all parts together are too large');
  }
}

/** A field, or the empty line of an entity without fields (RFC 2045 §5.2: text/plain). */
async function beginsWithHeader(entity: OctetSource): Promise<boolean> {
  const start = await collectFrom(entity, 0, Math.min(entity.length, 1_000));
  return /^(?:[!-9;-~]+[ \t]*:|\r?\n)/.test(start.toString('latin1'));
}

const BINARY = [Buffer.from('binary'), Buffer.from('BINARY')];

/** All that has to be known of the octets, in one reading. */
async function lookAt(
  entity: OctetSource,
  forbidden: Buffer,
): Promise<{ clean: boolean; binary: boolean; holdsForbidden: boolean }> {
  const lines = new CleanLineCheck();
  let binary = false;
  let holdsForbidden = false;
  const onBinary = (): void => {
    binary = true;
  };
  const searches = [
    ...BINARY.map((word) => new OctetSearch(word, onBinary)),
    new OctetSearch(forbidden, () => {
      holdsForbidden = true;
    }),
  ];
  await scan(entity, (octets) => {
    lines.update(octets);
    for (const search of searches) search.update(octets);
    return undefined;
  });
  return { clean: lines.finish(), binary, holdsForbidden };
}

/** Octets on their way into a spool, looked through for what must not be in them. */
class Outcome {
  readonly #writer: SpoolWriter;
  readonly #search: OctetSearch;
  holdsForbidden = false;

  constructor(writer: SpoolWriter, forbidden: Buffer) {
    this.#writer = writer;
    this.#search = new OctetSearch(forbidden, () => {
      this.holdsForbidden = true;
    });
  }

  async write(octets: Buffer): Promise<void> {
    if (octets.length === 0) return;
    this.#search.update(octets);
    await this.#writer.write(octets);
  }

  async range(source: OctetSource, { start, end }: Range, form: OctetTransform): Promise<void> {
    for await (const chunk of transformed(source.read(start, end), form)) await this.write(chunk);
  }
}

async function rebuilt(
  spool: Spool,
  forbidden: Buffer,
  make: (to: Outcome) => Promise<void>,
): Promise<CanonicalEntity> {
  const writer = spool.begin();
  const to = new Outcome(writer, forbidden);
  try {
    await make(to);
  } catch (error) {
    await writer.discard();
    throw error;
  }
  const octets = await writer.finish();
  try {
    const root = await readEntityFrom(octets);
    requireRoom(root);
    return { octets, root, holdsForbidden: to.holdsForbidden, discard: () => octets.discard() };
  } catch (error) {
    await octets.discard();
    throw error;
  }
}

const CRLF = '\r\n';

async function asAttachment(content: OctetSource, to: Outcome): Promise<void> {
  const header = [
    'Content-Type: application/octet-stream; name="content.bin"',
    'Content-Transfer-Encoding: base64',
    'Content-Disposition: attachment; filename="content.bin"',
  ];
  await to.write(Buffer.from(`${header.join(CRLF)}${CRLF}${CRLF}`));
  await to.range(content, { start: 0, end: content.length }, new Base64Rows());
}

async function rebuild(source: OctetSource, entity: Entity, to: Outcome, textOnly: boolean): Promise<void> {
  if (entity.parts.length > 0) {
    let at = entity.range.start;
    for (const part of entity.parts) {
      await to.range(source, { start: at, end: part.range.start }, new CleanLines());
      await rebuild(source, part, to, textOnly);
      at = part.range.end;
    }
    return to.range(source, { start: at, end: entity.range.end }, new CleanLines());
  }
  if (textOnly && !isHarmless(entity)) return asFile(source, entity, to);
  if (await mustEncode(source, entity)) return encodedLeaf(source, entity, to);
  return to.range(source, entity.range, new CleanLines());
}

async function mustEncode(
  source: OctetSource,
  { transferEncoding, mediaType, body }: Entity,
): Promise<boolean> {
  // RFC 2046 §5.2.1 and §5.1: composite types may not be encoded.
  if (mediaType.type === 'message' || mediaType.type === 'multipart') return false;
  if (transferEncoding === 'base64' || transferEncoding === 'quoted-printable') return false;
  if (transferEncoding === 'binary' && mediaType.type !== 'text') return true;
  const need = new EncodingNeed();
  await scan(source, (octets) => need.update(octets), body.start, body.end);
  return need.finish();
}

async function encodedLeaf(source: OctetSource, { fields, body }: Entity, to: Outcome): Promise<void> {
  for (const { name, range } of fields) {
    if (name.toLowerCase() === 'content-transfer-encoding') continue;
    await to.write(cleanLines(await collectFrom(source, range.start, range.end)));
  }
  await to.write(Buffer.from(`Content-Transfer-Encoding: base64${CRLF}${CRLF}`));
  await to.range(source, body, new Base64Rows());
}

/** Shown without anything of it being followed. */
function isHarmless({ mediaType: { type, subtype }, declared, fields }: Entity): boolean {
  // Readers do not agree on what it is.
  if (!declared && fieldsNamed(fields, 'content-type').length > 0) return false;
  switch (type) {
    case 'text':
      return subtype === 'plain';
    case 'image':
      return !subtype.startsWith('svg');
    case 'audio':
    case 'video':
      return true;
    case 'application':
      return !/xml|html|smil|script|pkcs7|pgp/.test(subtype);
    default:
      return false;
  }
}

/** A leaf that no program shows by itself. Its octets are those it had, decoded by whoever opens it. */
async function asFile(source: OctetSource, entity: Entity, to: Outcome): Promise<void> {
  const { mediaType, transferEncoding, body } = entity;
  // Some programs go by the name: they show HTML of whatever type.
  const name = mediaType.type === 'text' ? 'message.html.txt' : 'part.bin';
  const asItIs = transferEncoding === 'base64' || transferEncoding === 'quoted-printable';
  const header = [
    `Content-Type: application/octet-stream; name="${name}"`,
    `Content-Transfer-Encoding: ${asItIs ? transferEncoding : 'base64'}`,
    `Content-Disposition: attachment; filename="${name}"`,
  ];
  await to.write(Buffer.from(`${header.join(CRLF)}${CRLF}${CRLF}`));
  await to.range(source, body, asItIs ? new CleanLines() : new Base64Rows());
}
