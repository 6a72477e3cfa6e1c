import { SealgateError } from '../errors.ts';
import { Base64Decoder } from '../mail/base64.ts';
import type { Range } from '../mail/entity.ts';
import { QuotedPrintableDecoder } from '../mail/quoted-printable.ts';
import type { MessageView } from '../mail-view/message-view.ts';
import { selectFields } from '../mail-view/shape.ts';
import { sliceOf } from '../octets/buffer-source.ts';
import { collect } from '../octets/collect.ts';
import type { OctetSource } from '../octets/source.ts';
import { type OctetTransform, transformed } from '../octets/transform.ts';
import { transformedSource } from '../octets/transformed-source.ts';
import type { SourceRange } from './answer.ts';
import type { FetchItem, MessageText, Partial, Section } from './fetch-item.ts';
import type { FetchCommand } from './fetch-plan.ts';

/** What the sections of a view hold (RFC 9051 §6.4.5, RFC 3516 §4.2). */

/** Octets, or where they are. */
export type Value = Buffer | SourceRange;

/** null: there is no such part. */
export async function sectionOf(view: MessageView, section: Section): Promise<Value | null> {
  switch (section.kind) {
    case 'whole':
      return rangeOf(view, { start: 0, end: view.length });
    case 'header':
      return view.header();
    case 'text':
      return rangeOf(view, await view.text());
    case 'fields':
      return selectFields(await view.header(), section.names, section.not);
    case 'part':
      return partOf(view, section.path, section.text);
  }
}

async function partOf(
  view: MessageView,
  path: readonly number[],
  text: MessageText | { kind: 'mime' } | null,
): Promise<Value | null> {
  const part = await view.part(path);
  if (part === null) return null;
  const { entity, message } = part;
  if (text === null) return rangeOf(view, entity.body);
  if (text.kind === 'mime') return rangeOf(view, { start: entity.header.start, end: entity.body.start });
  if (message === null) return null;
  const { header, body } = message;
  if (text.kind === 'text') return rangeOf(view, body);
  const range = { start: header.start, end: body.start };
  if (text.kind === 'header') return rangeOf(view, range);
  return selectFields(await collect(view.read(range)), text.names, text.not);
}

/** A part without its transfer encoding; null: there is no such part. `undecodable`: its encoding is unknown, or it is damaged. */
export async function binaryOf(
  view: MessageView,
  path: readonly number[],
): Promise<Value | null | 'undecodable'> {
  // The encoding of a message that is a multipart is that of its octets.
  if (path.length === 0) return rangeOf(view, { start: 0, end: view.length });
  const part = await view.part(path);
  if (part === null) return null;
  const { body, transferEncoding } = part.entity;
  switch (transferEncoding) {
    case '7bit':
    case '8bit':
    case 'binary':
      return rangeOf(view, body);
    case 'base64':
      return await decoded(view, body, () => new Base64Decoder());
    case 'quoted-printable':
      return await decoded(view, body, () => new QuotedPrintableDecoder());
    default:
      return 'undecodable';
  }
}

/** Lengths that were counted, by the part's first octet: who fetches in pieces comes back. */
const LENGTHS = new WeakMap<MessageView, Map<number, number>>();

async function decoded(
  view: MessageView,
  body: Range,
  begin: () => OctetTransform,
): Promise<SourceRange | 'undecodable'> {
  const encoded = sliceOf(view.octets, body.start, body.end);
  const lengths = LENGTHS.get(view) ?? new Map<number, number>();
  LENGTHS.set(view, lengths);
  try {
    const length = lengths.get(body.start) ?? (await lengthDecoded(encoded, begin()));
    lengths.set(body.start, length);
    return { source: transformedSource(encoded, length, begin), range: { start: 0, end: length } };
  } catch (error) {
    if (error instanceof SealgateError && error.code === 'mail.malformed-encoding') return 'undecodable';
    throw error;
  }
}

async function lengthDecoded(encoded: OctetSource, transform: OctetTransform): Promise<number> {
  let length = 0;
  for await (const chunk of transformed(encoded.read(), transform)) length += chunk.length;
  return length;
}

function rangeOf({ octets: source }: MessageView, range: Range): SourceRange {
  return { source, range };
}

/** The piece that was asked for. Beyond the end there is nothing. */
export function pieceOf(value: Value, { origin }: Partial, count: number): Value {
  if (Buffer.isBuffer(value)) return value.subarray(origin, origin + count);
  const start = Math.min(value.range.start + origin, value.range.end);
  return { source: value.source, range: { start, end: Math.min(start + count, value.range.end) } };
}

export function lengthOf(value: Value): number {
  return Buffer.isBuffer(value) ? value.length : value.range.end - value.range.start;
}

/** Items of which a piece can be asked for. */
export type Divisible = Extract<FetchItem, { kind: 'section' | 'binary' }>;

/** A response names only the origin of a piece; its length is in the command. null: it is not there. */
export function askedCount(command: FetchCommand | null, item: Divisible): number | null {
  for (const asked of command?.items ?? []) {
    if (asked.kind !== item.kind || asked.partial?.origin !== item.partial?.origin) continue;
    if (keyOf(asked) === keyOf(item)) return asked.partial?.count ?? null;
  }
  return null;
}

function keyOf(item: Divisible): string {
  return item.kind === 'binary' ? item.path.join('.') : sectionKey(item.section);
}

function sectionKey(section: Section | MessageText | { kind: 'mime' }): string {
  switch (section.kind) {
    case 'fields':
      return `fields ${section.not} ${[...section.names].sort().join(' ')}`;
    case 'part':
      return `${section.path.join('.')} ${section.text === null ? '' : sectionKey(section.text)}`;
    default:
      return section.kind;
  }
}
